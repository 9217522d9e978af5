// Package choker decides which peers may download from us.
//
// It is a pure function from a list of peers to who is unchoked. The swarm
// calls it every ten seconds and when somebody's interest changes, and carries
// out the difference. While downloading it is BEP 3's tit for tat: those who
// give the most get a slot, and one more slot goes to an optimistic unchoke,
// which changes every third time. When there is nothing to get in return, every
// peer in turn gets a slot for a while, so that the pieces spread evenly.
package choker

import (
	"cmp"
	"slices"
	"time"
)

const (
	// Interval is the time between two decisions, long enough for TCP to
	// get up to speed between a choke and the next (BEP 3).
	Interval = 10 * time.Second
	// OptimisticInterval is how long an optimistic unchoke lasts: three
	// intervals, so that the peer has the time to reciprocate (BEP 3).
	OptimisticInterval = 30 * time.Second
	// Turn is how long a peer keeps its slot when all take turns.
	Turn = 60 * time.Second
	// newcomer is how much likelier a peer is to be unchoked optimistically
	// in its first minute (BEP 3), having nothing to give yet.
	newcomer = 3
)

// Peer is what the choker looks at, and where it writes its answer.
type Peer struct {
	Interested bool          // In what we have. Nobody else gets a slot.
	Snubbed    bool          // It was asked for blocks and sends none: it gets a slot by chance alone.
	Rate       int64         // Bytes a second: what it sends us, or when seeding what we send it.
	Connected  time.Duration // For how long it has been.
	// Waited is for how long the peer has been choked, or, if Unchoked, for
	// how long it has not.
	Waited time.Duration

	Unchoked   bool // In: it is now. Out: it shall be.
	Optimistic bool // In and out: it holds the optimistic slot.
}

// Options is what a decision depends on besides the peers.
type Options struct {
	Slots   int    // Peers unchoked for what they give. One more is unchoked optimistically.
	Seeding bool   // There is nothing to get in return.
	Rotate  bool   // The optimistic unchoke has lasted long enough.
	Random  uint64 // Decides who is unchoked optimistically.
}

// Choose sets Unchoked and Optimistic of every peer. At most Slots+1 are
// unchoked.
func Choose(peers []*Peer, o Options) {
	if o.Seeding {
		takeTurns(peers, o.Slots+1)
		return
	}
	lucky := optimistic(peers, o)
	best := make([]*Peer, 0, len(peers))
	for _, p := range peers {
		if p.Interested && !p.Snubbed && p != lucky {
			best = append(best, p)
		}
	}
	slices.SortStableFunc(best, func(a, b *Peer) int {
		if c := cmp.Compare(b.Rate, a.Rate); c != 0 {
			return c
		}
		// Among equals, no needless change.
		switch {
		case a.Unchoked && !b.Unchoked:
			return -1
		case b.Unchoked && !a.Unchoked:
			return 1
		}
		return 0
	})
	for _, p := range peers {
		p.Unchoked, p.Optimistic = false, false
	}
	for _, p := range best[:min(o.Slots, len(best))] {
		p.Unchoked = true
	}
	if lucky != nil {
		lucky.Unchoked, lucky.Optimistic = true, true
	}
}

// optimistic returns who holds the optimistic slot: who held it before, unless
// it lost interest or its time is over, and then somebody at random.
func optimistic(peers []*Peer, o Options) *Peer {
	weight := 0
	var held *Peer
	for _, p := range peers {
		if p.Optimistic && p.Interested {
			held = p
		}
		weight += chance(p)
	}
	if weight == 0 || held != nil && !o.Rotate {
		return held
	}
	at := int(o.Random % uint64(weight))
	for _, p := range peers {
		if at -= chance(p); at < 0 {
			return p
		}
	}
	return held
}

func chance(p *Peer) int {
	switch {
	case !p.Interested || p.Unchoked:
		return 0
	case p.Connected < time.Minute:
		return newcomer
	}
	return 1
}

// takeTurns gives each slot to whom has it for less than a turn, then to who
// waited longest, then to who had it before, the fastest first.
func takeTurns(peers []*Peer, slots int) {
	order := make([]*Peer, 0, len(peers))
	for _, p := range peers {
		if p.Interested {
			order = append(order, p)
		}
	}
	class := func(p *Peer) int {
		switch {
		case p.Unchoked && p.Waited < Turn:
			return 0
		case !p.Unchoked:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(order, func(a, b *Peer) int {
		k := class(a)
		if c := cmp.Compare(k, class(b)); c != 0 {
			return c
		}
		if k == 1 {
			return cmp.Compare(b.Waited, a.Waited)
		}
		return cmp.Compare(b.Rate, a.Rate)
	})
	for _, p := range peers {
		p.Unchoked, p.Optimistic = false, false
	}
	for _, p := range order[:min(slots, len(order))] {
		p.Unchoked = true
	}
}
