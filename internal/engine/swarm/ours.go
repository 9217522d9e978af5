package swarm

import (
	"net/netip"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// ours is what peers say of our own address (BEP 10, "yourip"). It is believed
// when most of them agree, and two at least, since any of them may lie.
type ours struct {
	said     [2]bounded[netip.Prefix, netip.Addr] // By family: who said it, and what.
	believed [2]netip.Addr
}

func newOurs() ours {
	o := ours{}
	for f := range o.said {
		o.said[f] = newBounded[netip.Prefix, netip.Addr](maxVotes)
	}
	return o
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// hear takes in what the peer at an address says, and returns true if something
// else is believed than before.
func (o *ours) hear(from, addr netip.Addr) (news bool) {
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return false
	}
	f := familyOf(addr)
	before := o.believed[f]
	said := &o.said[f]
	said.put(wire.HostOf(from), addr)
	votes := map[netip.Addr]int{}
	o.believed[f] = netip.Addr{}
	for _, who := range said.order {
		a := said.m[who]
		if votes[a]++; votes[a] > 1 && 2*votes[a] > len(said.order) {
			o.believed[f] = a
		}
	}
	return o.believed[f] != before
}

// address returns our address as peers of the same family as one of theirs see
// it. It is not valid as long as it is not known.
func (o *ours) address(theirs netip.Addr) netip.Addr { return o.believed[familyOf(theirs)] }

// isUs says whether an address is believed to be our own.
func (s *Swarm) isUs(a netip.AddrPort) bool {
	return a.Port() == s.c.Port && s.ours.address(a.Addr()) == a.Addr()
}
