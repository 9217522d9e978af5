package swarm

import (
	"net/netip"
	"slices"
	"sort"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// gossip is what a peer was told of others, and when it may be told more (BEP
// 11). Contacts are numbered as they become known; told has those up to upTo of
// which the peer was not told that they are gone.
type gossip struct {
	told  []netip.AddrPort
	upTo  uint64
	seen  uint64        // Swarm.known.changes when there was nothing left to tell.
	next  time.Duration // When it may be told again.
	heard time.Duration // By when it has told us as often as it may, one message an interval.
	early int           // Messages that came too early, in a row.
}

// contacts are the connections to peers of which is known how others can call
// them. Peers are told of these alone. BEP 11 lets a client that has few of them
// tell of up to 25 that it has closed itself, too; that is left out, so that all
// that is told is of somebody who is there now, and nobody is sent to whom we
// found to be of no use.
type contacts struct {
	byAddr  map[netip.AddrPort]*peer // Never iterated over.
	list    []*peer                  // In the order of their numbers.
	last    uint64
	changes uint64
}

// reachable notes at which address others can call a peer: the one that we
// have called, or the port that it says it listens on. An address is only ever
// one connection's.
func (s *Swarm) reachable(p *peer, at netip.AddrPort) {
	if !at.IsValid() || p.contact.IsValid() || s.known.byAddr[at] != nil {
		return
	}
	c := &s.known
	c.last++
	c.changes++
	p.contact, p.number = at, c.last
	c.byAddr[at] = p
	c.list = append(c.list, p)
}

// unreachable takes it back.
func (s *Swarm) unreachable(p *peer) {
	if !p.contact.IsValid() {
		return
	}
	c := &s.known
	c.changes++
	delete(c.byAddr, p.contact)
	i := c.after(p.number - 1)
	c.list = slices.Delete(c.list, i, i+1)
	p.contact, p.number = netip.AddrPort{}, 0
}

// after returns the place of the first contact of a number above n.
func (c *contacts) after(n uint64) int {
	return sort.Search(len(c.list), func(i int) bool { return c.list[i].number > n })
}

// exchanges says whether peers are exchanged: never in a private torrent (BEP
// 27).
func (s *Swarm) exchanges() bool { return !s.c.Private && !s.c.NoPEX }

// setPEX follows a change of whether peers are exchanged.
func (s *Swarm) setPEX(no bool) {
	before := s.exchanges()
	s.c.NoPEX = no
	if !before && s.exchanges() {
		for _, p := range s.peers {
			if p.extended {
				s.introduce(p)
			}
		}
	}
}

// forgetHearsay follows the news that a torrent is private: whom we know from
// other peers or the DHT alone we should not know (BEP 27).
func (s *Swarm) forgetHearsay() {
	for i := len(s.peers) - 1; i >= 0; i-- {
		if p := s.peers[i]; p.source.hearsay() {
			s.close(p, ReasonPrivate)
		}
	}
	s.pool.drop(func(c *candidate) bool { return c.source.hearsay() })
}

// gossipTo tells a peer to whom we are connected, and to whom not any more. As
// long as the torrent may turn out to be private it tells nothing.
func (s *Swarm) gossipTo(p *peer) {
	id, g := p.ext.IDs[wire.ExtPEX], &p.gossip
	if id == 0 || s.early != nil || !s.exchanges() || s.now < g.next || g.seen == s.known.changes {
		return
	}
	var x wire.PEX
	g.told = slices.DeleteFunc(g.told, func(a netip.AddrPort) bool {
		if s.known.byAddr[a] != nil || len(x.Dropped) == maxTell {
			return false
		}
		x.Dropped = append(x.Dropped, a)
		return true
	})
	for i := s.known.after(g.upTo); i < len(s.known.list) && len(x.Added) < maxTell && len(g.told) < maxTold; i++ {
		q := s.known.list[i]
		g.upTo = q.number
		if q == p || q.contact.Addr().IsLinkLocalUnicast() || slices.Contains(g.told, q.contact) {
			continue
		}
		g.told = append(g.told, q.contact)
		x.Added = append(x.Added, wire.Contact{Addr: q.contact, Flags: q.flags()})
	}
	if len(x.Added) < maxTell && len(x.Dropped) < maxTell {
		g.seen = s.known.changes
	}
	if len(x.Added)+len(x.Dropped) > 0 {
		g.next = s.now + pexInterval
		s.send(p, wire.Extend(id, x.Append(nil)))
	}
}

// flags is what others are told of a peer.
func (p *peer) flags() (f wire.ContactFlags) {
	for flag, is := range map[wire.ContactFlags]bool{
		wire.PrefersEncryption: p.ext.Encryption,
		wire.WantsNothing:      p.wantsNothing(),
		wire.SpeaksHolepunch:   p.ext.Holepunch,
		wire.Reachable:         !p.incoming,
	} {
		if is {
			f |= flag
		}
	}
	return f
}

// gossipBy takes in whom a peer is connected to. What it tells beyond one
// message a minute, with some patience, is passed over. That somebody left it
// says nothing of whether we could call him.
func (s *Swarm) gossipBy(p *peer, content []byte) error {
	if !s.exchanges() {
		return nil
	}
	g := &p.gossip
	if g.heard = max(g.heard, s.now); g.heard > s.now+pexPatience {
		if g.early++; g.early > maxEarly {
			s.close(p, ReasonPEX)
		}
		return nil
	}
	g.heard += pexInterval
	g.early = 0
	x, err := wire.ParsePEX(content)
	if err != nil {
		return err
	}
	hosts := map[netip.Prefix]int{}
	for _, c := range x.Added {
		host := wire.HostOf(c.Addr.Addr())
		if hosts[host]++; hosts[host] > maxPerAddr {
			continue
		}
		if found := s.find(c.Addr, FromPEX); found != nil {
			found.seed = c.Flags&wire.WantsNothing != 0
		}
	}
	s.busy.dial = true
	return nil
}
