package swarm

import "time"

func (s *Swarm) setMaxPeers(n int) {
	if n <= 0 {
		n = defaultMaxPeers
	}
	s.c.MaxPeers = min(n, maxMaxPeers)
}

// reconfigured follows a change of limits. Of connections that are too many,
// the worst are closed, or else the latest.
func (s *Swarm) reconfigured(e *Event) {
	s.setMaxPeers(e.MaxPeers)
	s.c.DownloadLimit = e.DownloadLimit
	s.setPEX(e.NoPEX)
	s.setFilter(e.Filter)
	s.busy.freed = true
	for s.taken() > s.c.MaxPeers {
		p := s.worst(0)
		for i := len(s.peers) - 1; p == nil; i-- {
			if !s.peers[i].web {
				p = s.peers[i]
			}
		}
		s.close(p, ReasonFull)
	}
	s.busy.dial = true
}

// taken returns how many places are taken. Web servers need none.
func (s *Swarm) taken() (n int) {
	for _, p := range s.peers {
		if !p.web {
			n++
		}
	}
	return n
}

// worst returns the connection that is missed least, if there is one that
// nobody would miss: without interest on either side for so long, or snubbed
// and not interested in us. The one that is so for the longest is the worst.
func (s *Swarm) worst(atLeast time.Duration) *peer {
	var worst *peer
	longest := atLeast
	for _, p := range s.peers {
		var useless time.Duration
		switch {
		case p.web:
			continue
		case !p.interesting && !p.interested:
			useless = s.now - p.idle
		case p.snubbed && !p.interested:
			useless = s.now - p.lastBlock
		default:
			continue
		}
		if useless >= longest {
			worst, longest = p, useless+1
		}
	}
	return worst
}

// dropIdle closes one idle connection at a time when there is no room left.
func (s *Swarm) dropIdle() {
	if s.taken() < s.c.MaxPeers {
		return
	}
	if p := s.worst(maxIdle); p != nil {
		s.close(p, ReasonIdle)
	}
}
