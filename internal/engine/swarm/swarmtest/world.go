// Package swarmtest is a world in virtual time for whole swarms: every peer in
// it is a real [swarm.Swarm], and links, disks and a tracker are simulated
// around them. Nothing in it sleeps or depends on the machine: a world is
// decided by its Config, and two worlds of the same Config do the same, down to
// the last effect, which [World.Hash] tells.
//
// It is used by tests alone.
package swarmtest

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
)

// Config decides all that happens in a world.
type Config struct {
	Seed        uint64
	Pieces      int
	PieceLength int64
	Length      int64 // 0: all pieces are of PieceLength.
	Nodes       []Node
	Metadata    int // Bytes of the info dictionary, for those who have or want it.

	// Loss is the chance of a message to be held up by a retransmission,
	// as TCP does it; Break is the mean lifetime of a connection, 0 for ever.
	Loss  float64
	Break time.Duration
	// Addresses is how many addresses the tracker tells at once; 0 is 50.
	// With OnlyFirst there is no tracker, and all know the first node alone.
	Addresses int
	OnlyFirst bool
}

// Node describes one peer.
type Node struct {
	Complete bool          // It has everything to begin with.
	Up, Down int64         // Bytes a second; 0 is 1 MiB.
	Latency  time.Duration // From its machine to the middle of the world; 0 is 10 ms.
	Plain    bool          // It does not speak the Fast extension.
	MaxPeers int
	Limit    int64         // Bytes a second that it lets in; 0 is no limit.
	Starts   time.Duration // When it comes.

	// Wants are the pieces that it wants, in classes, the most urgent first;
	// nil is everything. Sequential has it begin them in their order.
	Wants      []*bitfield.Bitfield
	Sequential bool

	Resolves      bool    // It knows the info hash alone to begin with.
	LiesOfTorrent float64 // The chance of each piece of the info dictionary that it sends to be wrong.

	Lies       float64 // The chance of each block it sends to be wrong.
	StallAfter int     // It sends so many blocks and then none, if not 0.
	IP         netip.Addr
}

// World is a swarm of swarms.
type World struct {
	c     Config
	rng   *rand.Rand
	nodes []*node

	metadata []byte
	now      time.Duration
	queue    events
	seq      uint64
	ports    uint16
	hash     uint64
	buf      []byte
	err      error

	// Sent and Received are the bytes of blocks that left, and that arrived;
	// Lost those that left and had nobody to arrive at.
	Sent, Received, Lost int64
}

// event is something that happens at a time. Those of the same time happen in
// the order in which they were planned.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

// start is when every world begins.
var start = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// New returns a world at its beginning.
func New(c Config) *World {
	if c.Length == 0 {
		c.Length = int64(c.Pieces) * c.PieceLength
	}
	if c.Addresses == 0 {
		c.Addresses = 50
	}
	w := &World{metadata: metadata(c.Seed, c.Metadata), c: c, rng: rand.New(rand.NewPCG(c.Seed, 0x776f726c64)), ports: 10_000}
	for i, n := range c.Nodes {
		w.nodes = append(w.nodes, newNode(w, i, n))
	}
	for _, n := range w.nodes {
		w.at(n.c.Starts, n.begin)
	}
	return w
}

// at plans something.
func (w *World) at(t time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, event{t, w.seq, do})
}

func (w *World) after(d time.Duration, do func()) { w.at(w.now+d, do) }

// fail ends the world with an error.
func (w *World) fail(format string, a ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("seed %d, at %v: %w", w.c.Seed, w.now, fmt.Errorf(format, a...))
	}
}

// Run lets time go on until a condition is true, which is asked once a second.
// It fails if that does not happen within the limit, or if something happens
// that must not.
func (w *World) Run(until func() bool, limit time.Duration) error {
	end, next := w.now+limit, w.now
	for w.err == nil && len(w.queue) > 0 {
		if w.queue[0].at > next {
			if until() {
				return nil
			}
			if next += time.Second; next > end {
				w.fail("not done after %v: %s", limit, w.summary())
				break
			}
			continue
		}
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	return w.err
}

func (w *World) summary() string {
	s := ""
	for i, n := range w.nodes {
		st := n.swarm.Stats(start.Add(w.now))
		s += fmt.Sprintf("\n  %d: %d of %d pieces, %d in progress, %d peers, %d KiB in, %d KiB out",
			i, n.swarm.Have().Count(), w.c.Pieces, st.InProgress, st.Connected, st.Downloaded>>10, st.Uploaded>>10)
	}
	return s
}

// Done says whether every node that is still there has every piece that it
// wants.
func (w *World) Done() bool {
	for _, n := range w.nodes {
		if !n.left && !n.swarm.Complete() {
			return false
		}
	}
	return true
}

// Spread says whether the nodes but one have every piece between them.
func (w *World) Spread(but int) bool {
	all := 0
	for piece := range w.c.Pieces {
		for i, n := range w.nodes {
			if i != but && !n.left && n.swarm.Have().Has(piece) {
				all++
				break
			}
		}
	}
	return all == w.c.Pieces
}

// Now returns the time since the world began.
func (w *World) Now() time.Duration { return w.now }

// Hash is of all effects so far, in their order and with their times.
func (w *World) Hash() uint64 { return w.hash }

// Stats returns what the swarm of a node says of itself.
func (w *World) Stats(i int) swarm.Stats { return w.nodes[i].swarm.Stats(start.Add(w.now)) }

// SentBy returns how many bytes of blocks a node has sent.
func (w *World) SentBy(i int) int64 { return w.nodes[i].sent }

// Bans says whether a node has closed a connection to another as banned.
func (w *World) Bans(i, other int) bool { return w.nodes[i].banned[other] }

// Shuns says whether a node has banned all of the address of another, who may
// have been gone already.
func (w *World) Shuns(i, other int) bool { return w.nodes[i].shuns[w.nodes[other].addr.Addr()] }

// Deceived says whether a node has stored a wrong block of another.
func (w *World) Deceived(i, by int) bool { return w.nodes[i].deceived[by] }

// Misled says whether a node has got a wrong piece of the info dictionary of
// another.
func (w *World) Misled(i, by int) bool { return w.nodes[i].misled[by] }

// Leave takes a node out of the world: all its connections break.
func (w *World) Leave(i int) {
	n := w.nodes[i]
	n.left = true
	for _, e := range append([]*end(nil), n.ends...) {
		e.shut()
	}
}

// record adds effects to the hash.
func (w *World) record(n *node, fx *swarm.Effects) {
	w.buf = appendEffects(w.buf[:0], w.hash, n.index, w.now, fx)
	h := fnv.New64a()
	h.Write(w.buf)
	w.hash = h.Sum64()
}

// address gives a node on the same machine another port, as the far end of a
// connection that it makes.
func (w *World) address(n *node) netip.AddrPort {
	w.ports++
	return netip.AddrPortFrom(n.addr.Addr(), w.ports)
}
