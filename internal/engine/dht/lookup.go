package dht

import (
	"net/netip"
	"slices"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// progress is how far a lookup has come with a node.
type progress uint8

const (
	unasked progress = iota
	asking
	replied
	hopeless // It did not answer, or not as who it should be.
)

// candidate is a node that a lookup may ask.
type candidate struct {
	Contact
	state progress
	sent  time.Time
	hops  int    // How many nodes one after another led to it.
	token []byte // That it gave.
	fits  bool   // Its id follows from its address (BEP 42).
}

// lookup is the search for the nodes that are closest to a target (BEP 5,
// "Overview"): ever closer ones are asked until the closest have answered.
type lookup struct {
	side   *side
	method string // findNode or getPeers.
	target ID
	search *search // Whose it is; nil of upkeep.
	joins  bool    // It is the one by which the side gets into the network.

	candidates []*candidate // The closest first, at most maxCandidates.
	routers    []*candidate // Of whom the id is not known: asked first of all.
	places     map[place]*candidate
	groups     map[place]int

	asked, strays int // Questions so far; of these to nodes whose id does not follow from their address.
	hops          int // The most that led to a node that answered.
	values        map[netip.AddrPort]bool
	hosts         map[netip.Prefix]int // How many of values each has.

	over bool         // All have answered whose answers matter,
	tell []*candidate // and these are still to be told that we are a peer.
}

func newLookup(s *side, method string, target ID) *lookup {
	return &lookup{
		side: s, method: method, target: target,
		places: map[place]*candidate{}, groups: map[place]int{}, values: map[netip.AddrPort]bool{}, hosts: map[netip.Prefix]int{},
	}
}

// route has a node asked whose id is not known.
func (l *lookup) route(a netip.AddrPort) {
	if p := placeOf(a); l.places[p] == nil && len(l.routers) < maxRouters {
		l.places[p] = &candidate{Contact: Contact{Addr: a}}
		l.routers = append(l.routers, l.places[p])
	}
}

// add remembers a node if it is among the closest. A host counts once, whatever
// ids it is said to have, and a network twice. Until it is asked, the closest
// of those ids counts: else whoever says first that an honest node has an id far
// away would hide it.
func (l *lookup) add(c Contact, hops int) {
	p, g := placeOf(c.Addr), groupOf(c.Addr)
	if c.ID == l.side.id {
		return
	}
	switch old := l.places[p]; {
	case old == nil && l.groups[g] >= maxPerGroup:
		return
	case old == nil:
		l.insert(&candidate{Contact: c, hops: hops, fits: fits(c.ID, c.Addr.Addr())})
	case old.state == unasked && old.ID != (ID{}) && compare(l.target, c.ID, old.ID) < 0:
		l.remove(old)
		l.insert(&candidate{Contact: c, hops: hops, fits: fits(c.ID, c.Addr.Addr())})
	}
}

// insert puts a candidate in its place, if it is among the closest.
func (l *lookup) insert(c *candidate) {
	i, _ := slices.BinarySearchFunc(l.candidates, c, func(o, c *candidate) int { return compare(l.target, o.ID, c.ID) })
	if i >= maxCandidates {
		return
	}
	l.places[placeOf(c.Addr)] = c
	l.groups[groupOf(c.Addr)]++
	l.candidates = slices.Insert(l.candidates, i, c)
	if n := len(l.candidates) - 1; n == maxCandidates {
		if last := l.candidates[n]; last.state != asking {
			l.groups[groupOf(last.Addr)]--
		}
		l.candidates = l.candidates[:n]
	}
}

// remove takes out a candidate, and returns false if it was not in.
func (l *lookup) remove(c *candidate) bool {
	i := slices.Index(l.candidates, c)
	if i < 0 {
		return false
	}
	l.candidates = slices.Delete(l.candidates, i, i+1)
	l.groups[groupOf(c.Addr)]--
	return true
}

// is takes in who a candidate says that it is: the id of a router was not known
// before, and of any other the wrong one was told, which must not count against
// it.
func (l *lookup) is(c *candidate, id ID) {
	in := l.remove(c)
	c.ID, c.fits = id, fits(id, c.Addr.Addr())
	if in {
		l.insert(c)
	}
}

// next returns whom to ask now: nil if nobody, for now or at all.
func (l *lookup) next(now time.Time) *candidate {
	busy := 0
	for _, list := range [][]*candidate{l.routers, l.candidates} {
		for _, c := range list {
			if c.state == asking && now.Sub(c.sent) < slowTime {
				busy++
			}
		}
	}
	if busy >= parallel || l.asked >= maxAsked {
		return nil
	}
	for _, c := range l.routers {
		if c.state == unasked {
			return c
		}
	}
	closest := 0
	for _, c := range l.candidates {
		switch {
		case closest == bucketSize:
			return nil
		case c.state == unasked && (c.fits || l.strays < maxStrays):
			return c
		case c.fits && (c.state == replied || c.state == asking):
			closest++
		}
	}
	return nil
}

// begin takes in that a candidate is being asked.
func (l *lookup) begin(now time.Time, c *candidate) {
	c.state, c.sent = asking, now
	l.asked++
	if !c.fits && c.ID != (ID{}) {
		l.strays++
	}
}

// done says that there is nobody left to be asked or waited for.
func (l *lookup) done() bool {
	if l.over {
		return true
	}
	for _, c := range l.routers {
		if c.state == asking || c.state == unasked && l.asked < maxAsked {
			return false
		}
	}
	closest := 0
	for _, c := range l.candidates {
		switch {
		case closest == bucketSize:
			return true
		case c.state == asking, c.state == unasked && l.asked < maxAsked && (c.fits || l.strays < maxStrays):
			return false
		case c.fits && c.state == replied:
			closest++
		}
	}
	return true
}

// took takes in the answer of a candidate.
func (l *lookup) took(c *candidate, m *message) {
	c.state, c.token = replied, slices.Clone(m.token)
	l.hops = max(l.hops, c.hops)
	for _, n := range m.nodes[l.side.family] {
		l.add(n, c.hops+1)
	}
}

// fresh returns those of the peers that this lookup has not seen before, and not
// many of one host: else anybody could have it called at all of its ports.
func (l *lookup) fresh(values []netip.AddrPort) (list []netip.AddrPort) {
	for _, v := range values {
		if host := wire.HostOf(v.Addr()); !l.values[v] && len(l.values) < maxFound && l.hosts[host] < maxPeersPerHost {
			l.values[v] = true
			l.hosts[host]++
			list = append(list, v)
		}
	}
	return list
}

// replies counts the nodes that answered.
func (l *lookup) replies() (n int) {
	for _, c := range slices.Concat(l.routers, l.candidates) {
		if c.state == replied {
			n++
		}
	}
	return n
}

// holders returns the nodes that a peer is to be announced to: the closest that
// gave a token. Those whose id does not follow from their address don't count,
// so that they can't take the place of others (BEP 42, "Enforcement").
func (l *lookup) holders() (list []*candidate) {
	closest, strays := 0, 0
	for _, c := range l.candidates {
		switch {
		case c.state != replied || len(c.token) == 0:
		case c.fits && closest < bucketSize:
			closest++
			list = append(list, c)
		case !c.fits && strays < bucketSize && closest < bucketSize:
			strays++
			list = append(list, c)
		}
	}
	return list
}
