package swarm

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// priority is the canonical priority of a connection between two peers (BEP
// 40): both come to the same number, and nobody can choose it, so who has to
// choose among peers keeps those of the highest. The addresses are of one
// family.
func priority(a, b netip.AddrPort) uint32 {
	x, y := a.Addr().AsSlice(), b.Addr().AsSlice()
	if bytes.Equal(x, y) {
		x = binary.BigEndian.AppendUint16(nil, a.Port())
		y = binary.BigEndian.AppendUint16(nil, b.Port())
	} else {
		mask(x, y)
	}
	if bytes.Compare(x, y) > 0 {
		x, y = y, x
	}
	return crc32.Checksum(append(x, y...), castagnoli)
}

// mask leaves of two addresses what BEP 40 says: all of the network, which is
// 16 bits of IPv4 and 48 of IPv6, and half of the bits below; of addresses that
// agree in more, one byte more than they agree in.
func mask(x, y []byte) {
	whole := 2
	if len(x) == 16 {
		whole = 6
	}
	same := 0
	for x[same] == y[same] {
		same++
	}
	if same >= whole {
		whole = same + 1
	}
	for i := whole; i < len(x); i++ {
		x[i] &= 0x55
		y[i] &= 0x55
	}
}

// outranked returns the connection of the lowest canonical priority, if that
// of a newcomer is higher and nobody would miss the other: it sends us nothing,
// and we do not serve it. It is nil as long as our own address is not known.
func (s *Swarm) outranked(by *peer) *peer {
	least, ok := s.priority(by)
	if !ok {
		return nil
	}
	var worst *peer
	for _, p := range s.peers {
		if p.web || p.down.rate(s.now) > 0 || p.unchoked && p.interested {
			continue
		}
		if n, ok := s.priority(p); ok && n < least {
			worst, least = p, n
		}
	}
	return worst
}

// priority is that of a connection of ours, if it can be known.
func (s *Swarm) priority(p *peer) (n uint32, ok bool) {
	theirs := p.addr
	if p.contact.IsValid() {
		theirs = p.contact
	}
	return s.priorityOf(theirs)
}

// priorityOf is that of a connection to an address.
func (s *Swarm) priorityOf(theirs netip.AddrPort) (n uint32, ok bool) {
	ours := s.ours.address(theirs.Addr())
	if !ours.IsValid() {
		return 0, false
	}
	return priority(netip.AddrPortFrom(ours, s.c.Port), theirs), true
}
