package swarm

import (
	"net/netip"
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/picker"
)

// suspect is who a peer is beyond its connection. Peers choose their keys and
// web servers do not, so that one is never taken for the other.
type suspect struct {
	key  [20]byte
	addr netip.AddrPort // Not valid of a web server.
	web  bool           // It is a web server.
}

func (p *peer) suspect() suspect { return suspect{p.key, p.addr, p.web} }

// badCopy is a piece that failed: who sent each block, and what it looked like.
type badCopy struct {
	piece   uint32
	senders []suspect // The zero value for blocks that were on the disk before.
	digests []uint64
}

// name is what a peer calls itself at an address. At any other address it says
// nothing, because everybody may take every id.
type name struct {
	addr netip.Addr
	key  [20]byte
}

func (w *suspect) name() name { return name{w.addr.Addr(), w.key} }

// guilt is what is known of wrong bytes. A copy of a piece that came from one
// peer alone convicts it. Any other is kept until there is a good copy of the
// piece: whoever sent a block that differs lied, and nobody else did.
type guilt struct {
	bad      []badCopy // Oldest first.
	departed bounded[Peer, suspect]
	addrs    bounded[netip.Addr, struct{}]
	ports    bounded[netip.AddrPort, struct{}]
	names    bounded[name, struct{}]
	servers  bounded[[20]byte, struct{}] // Web servers.
	liars    bounded[netip.Addr, int]    // How many peers of an address were banned.
	banned   int
}

func newGuilt() guilt {
	return guilt{
		departed: newBounded[Peer, suspect](maxDeparted),
		addrs:    newBounded[netip.Addr, struct{}](maxBans),
		ports:    newBounded[netip.AddrPort, struct{}](maxBans),
		names:    newBounded[name, struct{}](maxBans),
		servers:  newBounded[[20]byte, struct{}](maxBans),
		liars:    newBounded[netip.Addr, int](maxBans),
	}
}

// bans says whether a peer or web server is banned.
func (g *guilt) bans(w suspect) bool {
	if w.web {
		return g.servers.has(w.key)
	}
	return g.names.has(w.name()) || g.bansAddr(w.addr)
}

// bansAddr says whether whoever is at an address is banned.
func (g *guilt) bansAddr(addr netip.AddrPort) bool {
	return g.ports.has(addr) || g.addrs.has(addr.Addr())
}

// copies returns how many failed copies of a piece are known.
func (g *guilt) copies(piece uint32) int {
	n := 0
	for i := range g.bad {
		if g.bad[i].piece == piece {
			n++
		}
	}
	return n
}

// accuse follows a piece that failed, and returns who may have spoilt it.
func (s *Swarm) accuse(piece uint32, digests []uint64) []picker.ID {
	ids := s.pick.Senders(s.idbuf[:0], piece)
	s.idbuf = ids
	if len(digests) != len(ids) || len(ids) == 0 {
		return nil
	}
	c := badCopy{piece: piece, digests: slices.Clone(digests)}
	var known []picker.ID
	for _, id := range ids {
		who, ok := s.who(id)
		if ok && !slices.Contains(known, id) {
			known = append(known, id)
		}
		c.senders = append(c.senders, who)
	}
	first := c.senders[0]
	if first != (suspect{}) && !slices.ContainsFunc(c.senders, func(w suspect) bool { return w != first }) {
		s.ban(first)
		return nil
	}
	if s.guilt.copies(piece) < maxPieceCopies {
		if len(s.guilt.bad) == maxCopies {
			s.guilt.bad = slices.Delete(s.guilt.bad, 0, 1)
		}
		s.guilt.bad = append(s.guilt.bad, c)
	}
	return known
}

// who returns who sent blocks under a connection's number.
func (s *Swarm) who(id picker.ID) (suspect, bool) {
	if p := s.byID[Peer(id)]; p != nil {
		return p.suspect(), true
	}
	return s.guilt.departed.get(Peer(id))
}

// convict compares the failed copies of a piece with the good one.
func (s *Swarm) convict(piece uint32, good []uint64) {
	s.guilt.bad = slices.DeleteFunc(s.guilt.bad, func(c badCopy) bool {
		if c.piece != piece {
			return false
		}
		for i, d := range c.digests {
			if i < len(good) && d != good[i] && c.senders[i] != (suspect{}) {
				s.ban(c.senders[i])
			}
		}
		return true
	})
}

// ban sends a peer away for good: all of its address, unless others that we
// know of share it, who did nothing wrong. Then it is its port there, and its
// own id there, until there were maxLiars at that address: ports and ids cost
// nothing. A web
// server has nothing but its id (BEP 19: a URL that gives wrong data is
// discarded).
func (s *Swarm) ban(w suspect) {
	if s.guilt.bans(w) {
		return
	}
	s.guilt.banned++
	if w.web {
		s.guilt.servers.put(w.key, struct{}{})
	} else {
		s.guilt.names.put(w.name(), struct{}{})
		s.banAddr(w)
	}
	for i := len(s.peers) - 1; i >= 0; i-- {
		if p := s.peers[i]; s.guilt.bans(p.suspect()) {
			s.close(p, ReasonBanned)
		}
	}
}

// banAddr is the part of ban that is about the peer's address.
func (s *Swarm) banAddr(w suspect) {
	s.guilt.ports.put(w.addr, struct{}{})
	s.pool.never(w.addr)
	liars, _ := s.guilt.liars.get(w.addr.Addr())
	liars++
	s.guilt.liars.put(w.addr.Addr(), liars)
	shared := s.pool.shares(w.addr)
	for _, p := range s.peers {
		shared = shared || p.addr.Addr() == w.addr.Addr() && p.key != w.key
	}
	if !shared || liars >= maxLiars {
		s.guilt.addrs.put(w.addr.Addr(), struct{}{})
		s.fx.Ban = append(s.fx.Ban, w.addr.Addr())
	}
}
