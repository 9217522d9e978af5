package dht

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// world is a network of nodes in virtual time. The same seed makes the same
// world.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Time
	queue events
	count int
	hosts map[netip.AddrPort]*simulated
	list  []*simulated // In the order in which they came; those who left are gone.
	loss  float64      // Of packets.
	sent  int
	// tap sees each packet that is sent, and may stand in the way.
	tap func(from, to netip.AddrPort, b []byte) bool
}

// simulated is a node of a world.
type simulated struct {
	*Node
	addr  netip.AddrPort
	wake  int                                 // The number of its next wake-up,
	wakes time.Time                           // and when that is; zero if none is due.
	found map[SearchID]map[netip.AddrPort]int // With the hops that it took.
	left  bool
}

type event struct {
	at     time.Time
	number int
	to     netip.AddrPort
	from   netip.AddrPort
	b      []byte // nil: a wake-up.
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].number < e[j].number
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Logf("seed %d", seed)
	return &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 0x646874)), now: time.Unix(1_700_000_000, 0), hosts: map[netip.AddrPort]*simulated{},
	}
}

// publicAddr returns an address of the Internet that nobody has.
func (w *world) publicAddr() netip.AddrPort {
	for {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], w.rng.Uint32())
		a := netip.AddrPortFrom(netip.AddrFrom4(b), uint16(1024+w.rng.IntN(60000)))
		if a.Addr().IsGlobalUnicast() && !local(a.Addr()) && b[0] < 224 && b[0] != 0 && b[0] != 100 && w.hosts[a] == nil {
			return a
		}
	}
}

func (w *world) seed() (s [32]byte) {
	for i := 0; i < len(s); i += 8 {
		binary.BigEndian.PutUint64(s[i:], w.rng.Uint64())
	}
	return s
}

// join adds a node at an address.
func (w *world) join(addr netip.AddrPort, c Config, by ...netip.AddrPort) *simulated {
	c.Seed = w.seed()
	c.Four, c.Six = c.Four || addr.Addr().Is4(), c.Six || addr.Addr().Is6()
	s := &simulated{Node: NewNode(w.now, c), addr: addr, found: map[SearchID]map[netip.AddrPort]int{}}
	s.Enter(by)
	w.hosts[addr] = s
	w.list = append(w.list, s)
	w.carry(s, s.Tick(w.now))
	return s
}

// leave ends a node without a word.
func (w *world) leave(s *simulated) {
	s.left = true
	delete(w.hosts, s.addr)
	for i, o := range w.list {
		if o == s {
			w.list = append(w.list[:i], w.list[i+1:]...)
			return
		}
	}
}

func (w *world) any() *simulated { return w.list[w.rng.IntN(len(w.list))] }

func (w *world) push(e event) {
	w.count++
	e.number = w.count
	heap.Push(&w.queue, e)
}

// send brings a packet on its way.
func (w *world) send(from, to netip.AddrPort, b []byte) {
	w.sent++
	if w.tap == nil || w.tap(from, to, b) {
		w.packet(from, to, b)
	}
}

// packet brings a packet on its way past the tap.
func (w *world) packet(from, to netip.AddrPort, b []byte) {
	if w.rng.Float64() < w.loss {
		return
	}
	w.push(event{at: w.now.Add(time.Duration(10+w.rng.IntN(140)) * time.Millisecond), to: to, from: from, b: b})
}

// carry follows what a node wants done.
func (w *world) carry(s *simulated, fx *Effects) {
	for _, p := range fx.Send {
		w.send(s.addr, p.To, p.Data)
	}
	for _, f := range fx.Found {
		hops := 0
		for _, l := range s.lookups {
			if l.search != nil && l.search.id == f.Search {
				hops = l.hops + 1
			}
		}
		for _, a := range f.Addrs {
			if s.found[f.Search] == nil {
				s.found[f.Search] = map[netip.AddrPort]int{}
			}
			if _, ok := s.found[f.Search][a]; !ok {
				s.found[f.Search][a] = hops
			}
		}
	}
	if s.wakes.IsZero() || fx.Wake.Before(s.wakes) {
		s.wake, s.wakes = w.count+1, fx.Wake
		w.push(event{at: fx.Wake, to: s.addr})
	}
}

// search begins a search on a node.
func (w *world) search(s *simulated, hash ID, port uint16) SearchID {
	id := s.Search(hash, port)
	w.carry(s, s.Tick(w.now))
	return id
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		s := w.hosts[e.to]
		switch {
		case s == nil:
		case e.b != nil:
			w.carry(s, s.Handle(w.now, e.b, e.from))
		case s.wake == e.number:
			s.wakes = time.Time{}
			w.carry(s, s.Tick(w.now))
		}
	}
	w.now = end
}

// fill adds nodes, some at a time, each by way of two who are there.
func (w *world) fill(n int, c Config) {
	for i := range n {
		addr := w.publicAddr()
		c := c
		if i%10 != 0 { // The others learn their address from what they are told.
			c.Known[four].ID = idFor(addr.Addr(), w.rng)
		}
		var by []netip.AddrPort
		if len(w.list) > 0 {
			by = []netip.AddrPort{w.any().addr, w.any().addr}
		}
		w.join(addr, c, by...)
		w.run(20 * time.Millisecond)
	}
}
