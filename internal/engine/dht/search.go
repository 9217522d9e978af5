package dht

import (
	"net/netip"
	"slices"
	"time"
)

// SearchID names a search for as long as the node lives.
type SearchID int

// search is what is done for one torrent: its peers are looked for in both
// networks, and we are announced there.
type search struct {
	id   SearchID
	hash ID
	port uint16  // That we are announced with.
	turn [2]turn // By family.
}

// turn is when a search is due in a network.
type turn struct {
	next    time.Time
	earlier time.Time // Not before, whatever is needed.
	under   bool      // A lookup is under way or waits.
	few     int       // Lookups in a row that reached few nodes.
}

// Search begins to look for the peers of a torrent and to announce that there
// is one here, at a TCP port. It goes on until [Node.StopSearch].
func (n *Node) Search(hash [20]byte, port uint16) SearchID {
	n.last++
	n.searches = append(n.searches, &search{id: n.last, hash: hash, port: port})
	return n.last
}

// StopSearch ends a search. Nodes forget the announces by themselves.
func (n *Node) StopSearch(id SearchID) {
	n.searches = slices.DeleteFunc(n.searches, func(s *search) bool { return s.id == id })
	gone := func(l *lookup) bool { return l.search != nil && l.search.id == id }
	n.lookups = slices.DeleteFunc(n.lookups, gone)
	n.waiting = slices.DeleteFunc(n.waiting, gone)
}

// NeedPeers has a search look again as soon as it may.
func (n *Node) NeedPeers(id SearchID) {
	for _, q := range n.searches {
		if q.id != id {
			continue
		}
		for f := range q.turn {
			if t := &q.turn[f]; t.earlier.Before(t.next) {
				t.next = t.earlier
			}
		}
	}
}

// look has a lookup worked on, in its turn.
func (n *Node) look(l *lookup) { n.waiting = append(n.waiting, l) }

// start gives a lookup the nodes to begin with.
func (n *Node) start(l *lookup) {
	for _, c := range l.side.table.closest(n.now, l.target, 2*bucketSize, false) {
		if n.allowed(c.Addr) {
			l.add(c, 0)
		}
	}
	n.lookups = append(n.lookups, l)
}

// advance goes on with all lookups as far as it may now.
func (n *Node) advance() {
	for {
		for len(n.waiting) > 0 && len(n.lookups) < maxLookups {
			l := n.waiting[0]
			n.waiting = n.waiting[1:]
			n.start(l)
		}
		ended := false
		for _, l := range slices.Clone(n.lookups) {
			if !l.over {
				n.proceed(l)
			}
			if l.done() && n.announce(l) {
				n.lookups = slices.DeleteFunc(n.lookups, func(o *lookup) bool { return o == l })
				n.finished(l)
				ended = true
			}
		}
		if !ended {
			return
		}
		n.startSearches()
	}
}

// startSearches begins the lookups of those searches that are due, where there
// is anybody to ask.
func (n *Node) startSearches() {
	for _, q := range n.searches {
		for f, s := range n.sides {
			t := &q.turn[f]
			if s == nil || t.under || n.now.Before(t.next) || s.table.size() == 0 {
				continue
			}
			t.under = true
			l := newLookup(s, getPeers, q.hash)
			l.search = q
			n.look(l)
			if here := s.store.get(n.now, q.hash, maxPeers, n.rng); len(here) > 0 { // We may be among those closest to it.
				n.fx.Found = append(n.fx.Found, Found{q.id, here})
			}
		}
	}
}

// proceed asks those who are next.
func (n *Node) proceed(l *lookup) {
	for {
		c := l.next(n.now)
		if c == nil {
			return
		}
		m := message{method: l.method, target: l.target}
		if l.joins { // BEP 32, "Bootstrapping".
			m.want = [2]bool{n.sides[four] != nil, n.sides[six] != nil}
		}
		if !n.ask(l.side, c.Contact, m, l, c) {
			return
		}
		l.begin(n.now, c)
	}
}

// announce tells the closest nodes that a search has reached that we are a peer.
// It returns false while there are some who can't be told yet.
func (n *Node) announce(l *lookup) bool {
	if l.search == nil {
		return true
	}
	if !l.over {
		l.over, l.tell = true, l.holders()
	}
	for len(l.tell) > 0 {
		c := l.tell[0]
		m := message{method: announcePeer, target: l.target, token: c.token, port: l.search.port}
		if !n.ask(l.side, c.Contact, m, nil, nil) {
			return false
		}
		l.tell = l.tell[1:]
	}
	return true
}

// learned follows the answer to a question of a lookup.
func (n *Node) learned(f *flight, m *message) {
	l := f.lookup
	for family, list := range m.nodes {
		m.nodes[family] = slices.DeleteFunc(list, func(c Contact) bool { return !n.credible(c.Addr, f.to.Addr) })
		if other := n.sides[family]; other != nil && other != l.side && other.joining {
			n.lead(other, m.nodes[family])
		}
	}
	if f.of.ID != m.id {
		l.is(f.of, m.id)
	}
	l.took(f.of, m)
	if l.search != nil {
		m.values = slices.DeleteFunc(m.values, func(a netip.AddrPort) bool { return local(a.Addr()) && !local(f.to.Addr.Addr()) })
		if fresh := l.fresh(m.values); len(fresh) > 0 {
			n.fx.Found = append(n.fx.Found, Found{l.search.id, fresh})
		}
	}
}

// credible says whether a node that another one told of may be asked. What a
// node says of local networks is of its own, not of ours.
func (n *Node) credible(a, from netip.AddrPort) bool {
	return n.allowed(a) && (!local(a.Addr()) || local(from.Addr()))
}

// lead gives nodes of the other network that were heard of to the lookup by
// which a side gets into it.
func (n *Node) lead(s *side, nodes []Contact) {
	for _, l := range slices.Concat(n.lookups, n.waiting) {
		if l.side == s && l.joins {
			for _, c := range nodes {
				l.add(c, 1)
			}
		}
	}
}

// finished follows the end of a lookup.
func (n *Node) finished(l *lookup) {
	switch {
	case l.joins:
		n.joined(l)
	case l.search != nil:
		t := &l.search.turn[l.side.family]
		t.under, t.earlier = false, n.now.Add(askAgain)
		if l.replies() >= bucketSize {
			t.few, t.next = 0, n.now.Add(announceTurn)
			return
		}
		wait := min(retryFirst<<min(t.few, 10), retryLast)
		t.few++
		t.next = n.now.Add(wait)
	}
}

// Ping has a node made sure of that a peer told of (BEP 5, "BitTorrent Protocol
// Extension"). Beyond what may be asked of strangers it is passed over.
func (n *Node) Ping(a netip.AddrPort) {
	if len(n.pings) < strangerBurst {
		n.pings = append(n.pings, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
	}
}

// sendPings makes sure of those that Ping named.
func (n *Node) sendPings() {
	for _, a := range n.pings {
		if !n.allowed(a) {
			continue
		}
		if s := n.sides[familyOf(a.Addr())]; s.table.find(a) == nil && n.stranger.take(n.now, strangerRate, strangerBurst) {
			n.ask(s, Contact{Addr: a}, message{method: ping}, nil, nil)
		}
	}
	n.pings = n.pings[:0]
}
