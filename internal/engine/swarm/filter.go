package swarm

import (
	"net/netip"
	"slices"
)

// Filter says which addresses a torrent may have peers at. The zero value lets
// all of them.
type Filter struct {
	Allow []netip.Prefix // Only these, or all if there are none;
	Deny  []netip.Prefix // and of them not these.
}

// Allows says whether there may be a peer at an address.
func (f *Filter) Allows(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	return (len(f.Allow) == 0 || slices.ContainsFunc(f.Allow, in)) && !slices.ContainsFunc(f.Deny, in)
}

// Equal says whether two filters are written alike.
func (f *Filter) Equal(g *Filter) bool {
	return slices.Equal(f.Allow, g.Allow) && slices.Equal(f.Deny, g.Deny)
}

// setFilter follows a change of the filter: connections and candidates that it
// does not let are dropped. Those that it lets now have to be found again.
func (s *Swarm) setFilter(f Filter) {
	if s.c.Filter.Equal(&f) {
		return
	}
	s.c.Filter = f
	for i := len(s.peers) - 1; i >= 0; i-- {
		if p := s.peers[i]; !p.web && !f.Allows(p.addr.Addr()) {
			s.close(p, ReasonFiltered)
		}
	}
	s.pool.drop(func(c *candidate) bool { return !f.Allows(c.addr.Addr()) })
	s.pool.askable = true
}
