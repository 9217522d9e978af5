package dht

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Config is what a [Node] is made of.
type Config struct {
	// Seed is what all randomness derives from. It must be a secret: tokens
	// and transaction ids come of it.
	Seed [32]byte
	// Four and Six say which networks there is a socket for.
	Four, Six bool
	// ReadOnly says that nobody can ask us, or should (BEP 43): questions are
	// not answered, and ours say so.
	ReadOnly bool
	// Known is what an earlier run has left: ids, and nodes to begin with.
	Known State
	// Allow says whether packets may go to an address; nil is to all. It must
	// not block.
	Allow func(netip.Addr) bool
}

// Packet is to be sent.
type Packet struct {
	To   netip.AddrPort
	Data []byte
}

// Found are peers that a search has found.
type Found struct {
	Search SearchID
	Addrs  []netip.AddrPort
}

// Effects is what is to be done after a call of a method of a [Node]. It is the
// Node's own, and valid until the next call.
type Effects struct {
	Send  []Packet
	Found []Found
	Wake  time.Time // When Tick is to be called at the latest, whatever comes in before.
}

// Node is a node of the DHT. It has one owner and does not lock. Time never
// goes back from one call to the next.
type Node struct {
	cfg Config
	rng *rand.Rand
	now time.Time
	fx  Effects

	sides    [2]*side // By family; nil where there is no socket.
	flying   map[uint32]*flight
	order    []uint32 // Of flying, the first asked first; some are gone.
	lookups  []*lookup
	waiting  []*lookup // For a place among them.
	searches []*search
	last     SearchID
	pings    []netip.AddrPort // Nodes that peers told of, to be made sure of.
	kept     time.Time        // When upkeep was done last.
	heard    time.Time        // When a question was answered last; zero if none was.
	tokens   tokens
	crowd    crowd
	out      tap // Our questions,
	stranger tap // of them to those who are new.
}

// side is the node in the network of one family (BEP 32).
type side struct {
	family  family
	id      ID
	table   *table
	store   *store
	votes   votes
	routers []netip.AddrPort // Nodes to get into the network by, of whom only the address is known.
	due     time.Time        // When to look for a way in again, while there are few nodes.
	tries   int              // In a row.
	joining bool
}

// flight is a question under way.
type flight struct {
	side   *side
	to     Contact // The id is zero if it was not known.
	sent   time.Time
	lookup *lookup // Whose it is, or nil,
	of     *candidate
}

// NewNode returns a node that knows what cfg says, and asks nobody before the
// first call of [Node.Tick].
func NewNode(now time.Time, cfg Config) *Node {
	n := &Node{
		cfg: cfg, rng: rand.New(rand.NewChaCha8(cfg.Seed)), now: now,
		flying: map[uint32]*flight{}, crowd: crowd{hosts: map[place]*host{}},
	}
	n.tokens.renew(now, n.rng)
	for f, on := range []bool{cfg.Four, cfg.Six} {
		if !on {
			continue
		}
		known := cfg.Known[f]
		s := &side{family: family(f), id: known.ID, store: newStore(), due: now}
		if s.id == (ID{}) {
			s.id = randomID(n.rng)
		}
		s.table = newTable(now, s.id)
		for _, c := range known.Nodes {
			s.routers = append(s.routers, c.Addr)
		}
		n.sides[f] = s
	}
	return n
}

// Size returns how many nodes are known, of both networks.
func (n *Node) Size() (size int) {
	for _, s := range n.sides {
		if s != nil {
			size += s.table.size()
		}
	}
	return size
}

// Heard returns when a question was answered last; the zero time if none was.
func (n *Node) Heard() time.Time { return n.heard }

// Handle takes in a packet.
func (n *Node) Handle(now time.Time, b []byte, from netip.AddrPort) *Effects {
	n.begin(now)
	n.receive(b, from)
	n.advance()
	return n.settle()
}

// Tick does what is due.
func (n *Node) Tick(now time.Time) *Effects {
	n.begin(now)
	n.expire()
	n.upkeep()
	n.sendPings()
	n.startSearches()
	n.advance()
	return n.settle()
}

func (n *Node) begin(now time.Time) {
	if now.After(n.now) {
		n.now = now
	}
	clear(n.fx.Send)
	clear(n.fx.Found)
	n.fx.Send, n.fx.Found = n.fx.Send[:0], n.fx.Found[:0]
}

func (n *Node) settle() *Effects {
	n.fx.Wake = n.now.Add(idleTick)
	if len(n.flying) > 0 || len(n.lookups) > 0 {
		n.fx.Wake = n.now.Add(busyTick)
	}
	return &n.fx
}

// allowed says whether packets may go to an address.
func (n *Node) allowed(a netip.AddrPort) bool {
	return usable(a) && n.sides[familyOf(a.Addr())] != nil && (n.cfg.Allow == nil || n.cfg.Allow(a.Addr()))
}

// receive looks at a packet. What answers a question of ours is always looked
// at; of all else no more than crowd lets in.
func (n *Node) receive(b []byte, from netip.AddrPort) {
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	if !n.allowed(from) || len(b) > maxPacket {
		return
	}
	expected := n.expects(from)
	if !expected && (n.cfg.ReadOnly || !n.crowd.admit(n.now, placeOf(from))) {
		return
	}
	m, err := parse(b)
	if err != nil {
		return // Strangers send anything; there is nobody to tell.
	}
	if m.kind != question {
		n.replied(&m, from)
		return
	}
	if n.cfg.ReadOnly || expected && !n.crowd.admit(n.now, placeOf(from)) {
		return
	}
	n.respond(&m, from, len(b))
}

// expects says whether a question to an address is under way.
func (n *Node) expects(from netip.AddrPort) bool {
	for _, f := range n.flying {
		if f.to.Addr == from {
			return true
		}
	}
	return false
}

// ask sends a question, if one may be sent now.
func (n *Node) ask(s *side, to Contact, m message, l *lookup, of *candidate) bool {
	if len(n.flying) >= maxFlying || !n.out.take(n.now, questionRate, questionBurst) {
		return false
	}
	t := n.rng.Uint32()
	for n.flying[t] != nil {
		t = n.rng.Uint32()
	}
	m.kind, m.id, m.readOnly = question, s.id, n.cfg.ReadOnly
	m.transaction = []byte{byte(t >> 24), byte(t >> 16), byte(t >> 8), byte(t)}
	n.flying[t] = &flight{side: s, to: to, sent: n.now, lookup: l, of: of}
	n.order = append(n.order, t)
	n.send(&m, to.Addr)
	return true
}

func (n *Node) send(m *message, to netip.AddrPort) {
	n.fx.Send = append(n.fx.Send, Packet{to, m.bytes()})
}

// replied follows an answer, or an error. One that does not match a question of
// ours, by its transaction and by its address, is nobody's.
func (n *Node) replied(m *message, from netip.AddrPort) {
	if len(m.transaction) != 4 {
		return
	}
	t := m.transaction
	key := uint32(t[0])<<24 | uint32(t[1])<<16 | uint32(t[2])<<8 | uint32(t[3])
	f := n.flying[key]
	if f == nil || f.to.Addr != from {
		return
	}
	delete(n.flying, key)
	s := f.side
	if m.kind == failure || m.id == s.id {
		n.failed(f)
		return
	}
	n.heard = n.now
	if f.to.ID != (ID{}) && f.to.ID != m.id { // It is not who it was, or was said to be.
		s.table.silent(n.now, f.to)
	}
	if router := f.of != nil && f.to.ID == (ID{}); !router {
		s.table.answered(n.now, Contact{m.id, from})
	}
	n.vote(s, from, m.ip.Addr().Unmap())
	if f.lookup != nil && f.of != nil {
		n.learned(f, m)
	}
}

// failed follows a question that was not answered, or not well.
func (n *Node) failed(f *flight) {
	f.side.table.silent(n.now, f.to)
	if f.of != nil {
		f.of.state = hopeless
	}
}

// expire gives up questions that were not answered in time.
func (n *Node) expire() {
	i := 0
	for ; i < len(n.order); i++ {
		f := n.flying[n.order[i]]
		if f == nil {
			continue
		}
		if n.now.Sub(f.sent) < answerTime {
			break
		}
		delete(n.flying, n.order[i])
		n.failed(f)
	}
	n.order = append(n.order[:0], n.order[i:]...)
}

// vote takes in what a node said our address is. When most agree, our id is made
// to follow from it (BEP 42, "Bootstrapping").
func (n *Node) vote(s *side, from netip.AddrPort, said netip.Addr) {
	a := s.votes.hear(from, said)
	if !a.IsValid() || fits(s.id, a) {
		return
	}
	s.id = idFor(a, n.rng)
	s.table = s.table.moved(n.now, s.id)
	s.due, s.tries = n.now, 0
}
