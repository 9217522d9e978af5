package utp

import (
	"bytes"
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"
)

// world is a path between two links in virtual time.
type world struct {
	t    *testing.T
	now  time.Duration
	rng  *rand.Rand
	ends [2]*end
	path [2]path // From each end.
	in   flights
	n    int
	// rival shares the path from end 0; nil if nobody does.
	rival *rival
}

// path is what happens to packets on their way.
type path struct {
	delay, jitter time.Duration
	loss, twice   float64
	rate          int // Bytes a second; 0 is no bound.
	queue         time.Duration
	free          time.Duration // When the bottleneck has sent all that waits.
	sent, dropped int
	deepest       time.Duration // The longest wait in the queue.
}

// end is one link and the program that uses it.
type end struct {
	l        *link
	clock    time.Duration // By how much its clock is ahead.
	datagram int
	first    uint16
	zero     uint32
	write    []byte // What it still has to write,
	finish   bool   // after which it says that it is done.
	read     bytes.Buffer
	idle     bool // It does not read.
}

type flight struct {
	at   time.Duration
	n    int
	to   int
	data []byte
}

type flights []flight

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	return f[i].at < f[j].at || f[i].at == f[j].at && f[i].n < f[j].n
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	x := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return x
}

// newWorld has ends 0, which dials, and 1.
func newWorld(t *testing.T, seed uint64, p path) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 0)), path: [2]path{p, p}, now: time.Second}
	for i := range w.ends {
		w.ends[i] = &end{datagram: datagram4, first: uint16(w.rng.Uint32()), zero: w.rng.Uint32(), clock: time.Duration(w.rng.IntN(1000)) * time.Second}
	}
	return w
}

func (w *world) time(i int) time.Duration { return w.now + w.ends[i].clock }

// dial begins the connection.
func (w *world) dial() {
	e := w.ends[0]
	e.l = dialed(e.datagram, uint16(w.rng.Uint32()), e.first, e.zero)
	w.use(0)
}

// leave puts what a link has made on its way.
func (w *world) leave(from int) {
	for _, b := range w.ends[from].l.out {
		w.carry(from, b)
	}
}

// carry puts one packet on its way.
func (w *world) carry(from int, b []byte) {
	p := &w.path[from]
	p.sent++
	for copies := 1; copies > 0; copies-- {
		if w.rng.Float64() < p.twice {
			copies++
		}
		if w.rng.Float64() < p.loss {
			p.dropped++
			continue
		}
		at, ok := p.pass(w.now, len(b)+28)
		if !ok {
			p.dropped++
			continue
		}
		if p.jitter > 0 {
			at += time.Duration(w.rng.Int64N(int64(p.jitter)))
		}
		w.push(at, 1-from, bytes.Clone(b))
	}
}

// pass says when something of a length that enters the path now has passed it,
// and whether there is room for it.
func (p *path) pass(now time.Duration, n int) (at time.Duration, ok bool) {
	if p.rate == 0 {
		return now + p.delay, true
	}
	p.free = max(p.free, now)
	wait := p.free - now
	if wait > p.queue {
		return 0, false
	}
	p.deepest = max(p.deepest, wait)
	p.free += time.Duration(n) * time.Second / time.Duration(p.rate)
	return p.free + p.delay, true
}

func (w *world) push(at time.Duration, to int, b []byte) {
	w.n++
	heap.Push(&w.in, flight{at, w.n, to, b})
}

// use lets the program at an end read and write, and its link answer.
func (w *world) use(i int) {
	e := w.ends[i]
	if e.l == nil {
		return
	}
	for n := 1; n > 0 && !e.idle; {
		b := make([]byte, 10_000)
		n = e.l.read(b)
		e.read.Write(b[:n])
	}
	if e.l.phase == phaseOpen && !e.l.finished {
		e.write = e.write[e.l.write(e.write):]
		if len(e.write) == 0 && e.finish {
			e.l.finish()
		}
	}
	e.l.flush(w.time(i))
	w.leave(i)
}

// arrive hands a packet to its end.
func (w *world) arrive(f flight) {
	h, payload, err := parse(f.data)
	if err != nil {
		w.t.Fatalf("a packet of our own: %v", err)
	}
	e := w.ends[f.to]
	if e.l == nil || e.l.ending == endClosed { // A caller who was waited for in vain may call again.
		if h.kind == kindSyn {
			e.l = called(w.time(f.to), e.datagram, &h, e.first, e.zero)
		}
		return
	}
	if h.id != e.l.listen && h.kind != kindSyn {
		w.t.Fatalf("a %d for connection %d at %d", h.kind, h.id, e.l.listen)
	}
	e.l.receive(w.time(f.to), &h, payload)
}

// step goes on to what happens next. It returns false if nothing does.
func (w *world) step() bool {
	next, who := time.Duration(0), -1
	if len(w.in) > 0 {
		next = w.in[0].at
	}
	for i, e := range w.ends {
		if e.l != nil && e.l.wake > 0 && (next == 0 || e.l.wake-e.clock < next) {
			next, who = max(w.now, e.l.wake-e.clock), i
		}
	}
	if next == 0 {
		return false
	}
	w.now = next
	if who < 0 {
		f := heap.Pop(&w.in).(flight)
		if f.to > 1 {
			w.rival.take(w, f.to)
			return true
		}
		w.arrive(f)
		w.use(f.to)
		return true
	}
	w.ends[who].l.expire(w.time(who))
	w.use(who)
	return true
}

// until runs the world until cond holds, at most for so long.
func (w *world) until(limit time.Duration, cond func() bool) {
	w.t.Helper()
	for end := w.now + limit; !cond(); {
		if !w.step() || w.now > end {
			for i, e := range w.ends {
				if e.l != nil {
					w.t.Logf("end %d: phase %d, ending %d, %d packets (%d sent, %d lost, %d bytes flying), window %d of ours, %d of theirs, timeout %v",
						i, e.l.phase, e.l.ending, len(e.l.packets), e.l.sent, e.l.lost, e.l.flying, e.l.pace.window, e.l.peer, e.l.trip.timeout)
				}
			}
			w.t.Fatalf("it has not come about at %v", w.now)
		}
	}
}

// random returns n bytes.
func (w *world) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return b
}

// ended says whether both links have.
func (w *world) ended() bool {
	return w.ends[0].l.phase == phaseEnded && w.ends[1].l != nil && w.ends[1].l.phase == phaseEnded
}
