package swarm

import (
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/choker"
)

// slots is what is needed to give slots away in time.
type slots struct {
	next       time.Duration // When it is decided again,
	optimistic time.Duration // and when the optimistic unchoke goes on to another.
	peers      []choker.Peer // Scratch.
	list       []*choker.Peer
}

// rechoke decides who is unchoked. Between the regular decisions it does so
// only if a slot is free.
func (s *Swarm) rechoke(regular bool) {
	s.busy.rechoke = false
	used := 0
	for _, p := range s.peers {
		if p.unchoked && p.interested {
			used++
		}
	}
	if !regular && used > regularSlots {
		return
	}
	seeding := s.Complete()
	s.slots.peers, s.slots.list = s.slots.peers[:0], s.slots.list[:0]
	for _, p := range s.peers {
		c := choker.Peer{
			Interested: p.interested,
			Snubbed:    p.snubbed,
			Rate:       p.down.rate(s.now),
			Connected:  s.now - p.since,
			Waited:     s.now - p.choked,
			Unchoked:   p.unchoked,
			Optimistic: p.optimistic,
		}
		if seeding {
			c.Rate = p.up.rate(s.now)
		}
		s.slots.peers = append(s.slots.peers, c)
	}
	for i := range s.slots.peers {
		s.slots.list = append(s.slots.list, &s.slots.peers[i])
	}
	rotate := regular && s.now >= s.slots.optimistic
	choker.Choose(s.slots.list, choker.Options{Slots: regularSlots, Seeding: seeding, Rotate: rotate, Random: s.rng.Uint64()})
	if regular {
		s.slots.next = s.now + choker.Interval
	}
	if rotate {
		s.slots.optimistic = s.now + choker.OptimisticInterval
	}
	for i, p := range s.peers {
		p.optimistic = s.slots.peers[i].Optimistic
		s.setChoke(p, s.slots.peers[i].Unchoked)
	}
}
