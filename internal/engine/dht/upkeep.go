package dht

import (
	"net/netip"
	"slices"
	"time"
)

// upkeep does what keeps the node in the network.
func (n *Node) upkeep() {
	if n.now.Sub(n.kept) < upkeepTurn {
		return
	}
	n.kept = n.now
	n.tokens.renew(n.now, n.rng)
	for _, s := range n.sides {
		if s == nil {
			continue
		}
		n.join(s)
		if c, ok := s.table.doubtful(n.now); ok {
			n.ask(s, c, message{method: ping}, nil, nil)
		}
		if s.table.size() > 0 && !s.joining {
			if target, ok := s.table.stale(n.now, n.rng); ok {
				n.look(newLookup(s, findNode, target))
			}
		}
	}
}

// Enter names nodes by which to get into the network; of each only the address
// is known.
func (n *Node) Enter(addrs []netip.AddrPort) {
	for _, a := range addrs {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if !n.allowed(a) {
			continue
		}
		if s := n.sides[familyOf(a.Addr())]; !slices.Contains(s.routers, a) {
			if len(s.routers) == maxSaved+maxRouters {
				s.routers = s.routers[1:]
			}
			s.routers = append(s.routers, a)
			if s.table.size() < bucketSize {
				s.due, s.tries, n.kept = n.now, 0, time.Time{}
			}
		}
	}
}

// join looks for the nodes closest to ourselves while few are known, which is
// how the others learn of us (BEP 5, "Routing Table").
func (n *Node) join(s *side) {
	if s.joining || n.now.Before(s.due) || len(s.routers) == 0 && s.table.size() == 0 {
		return
	}
	s.joining = true
	l := newLookup(s, findNode, s.id)
	l.joins = true
	if s.table.size() < bucketSize {
		for range min(maxRouters, len(s.routers)) { // Each in its turn, the latest first.
			last := len(s.routers) - 1
			a := s.routers[last]
			copy(s.routers[1:], s.routers[:last])
			s.routers[0] = a
			l.route(a)
		}
	}
	n.start(l)
}

// joined follows the lookup by which a side gets into the network. Those who
// showed the way are left alone from then on, unless there is hardly anybody
// else.
func (n *Node) joined(l *lookup) {
	s := l.side
	s.joining = false
	if s.table.size() < bucketSize {
		for _, c := range l.routers {
			if c.state == replied {
				s.table.answered(n.now, c.Contact)
			}
		}
	}
	s.tries++
	wait := min(retryFirst<<min(s.tries-1, 10), retryLast)
	if s.table.size() >= bucketSize {
		s.tries, wait = 0, goodFor
	}
	s.due = n.now.Add(wait)
}

// State returns the node's ids and good nodes.
func (n *Node) State() (st State) {
	for f, s := range n.sides {
		if s != nil {
			st[f].ID, st[f].Nodes = s.id, s.table.contacts(n.now, maxSaved)
		}
	}
	return st
}
