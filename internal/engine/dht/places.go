package dht

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// family is one of the two networks (BEP 32).
type family int

const (
	four family = iota
	six
)

// familyOf returns the network of an address that was unmapped.
func familyOf(a netip.Addr) family {
	if a.Is4() {
		return four
	}
	return six
}

// local says whether an address is one of a local network, which says nothing
// of who may have it (BEP 42, "Enforcement").
func local(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
}

// place is what one host is taken to have: an address of IPv4, a /64 of IPv6,
// or an address and a port of a local network, where many nodes may run on one
// machine.
type place struct {
	net  netip.Prefix
	port uint16 // 0 but for local networks.
}

func placeOf(a netip.AddrPort) place {
	if local(a.Addr()) {
		return place{prefix(a.Addr(), a.Addr().BitLen()), a.Port()}
	}
	return place{wire.HostOf(a.Addr()), 0}
}

// groupOf returns the network of which one owner may have all: a /24 of IPv4, a
// /48 of IPv6. Those of local networks are one host each.
func groupOf(a netip.AddrPort) place {
	switch {
	case local(a.Addr()):
		return placeOf(a)
	case a.Addr().Is4():
		return place{prefix(a.Addr(), 24), 0}
	}
	return place{prefix(a.Addr(), 48), 0}
}

func prefix(a netip.Addr, n int) netip.Prefix {
	p, _ := a.Prefix(n) // Fails only for the zero address, which is a place of its own.
	return p
}

// usable says whether a packet may be sent to an address at all, as far as the
// address itself tells.
func usable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.Port() != 0 && ip.IsValid() && !ip.Is4In6() && ip.Zone() == "" && !ip.IsUnspecified() && !ip.IsMulticast() && ip != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// prefixFor returns what the first 21 bits of the id of a node at an address
// have to be, for the last byte of that id (BEP 42, "Node ID restriction").
func prefixFor(a netip.Addr, last byte) uint32 {
	ip, mask := a.AsSlice(), []byte{0x03, 0x0f, 0x3f, 0xff}
	if a.Is6() {
		ip, mask = ip[:8], []byte{0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff}
	}
	for i := range mask {
		ip[i] &= mask[i]
	}
	ip[0] |= last & 7 << 5
	return crc32.Checksum(ip, castagnoli) &^ prefixRest
}

// prefixRest are the bits of the first four bytes of an id that the address
// does not decide.
const prefixRest = 1<<11 - 1

// fits says whether a node at an address may have an id (BEP 42).
func fits(id ID, a netip.Addr) bool {
	return local(a) || binary.BigEndian.Uint32(id[:])&^prefixRest == prefixFor(a, id[19])
}

// idFor returns a random id that a node at an address may have (BEP 42).
func idFor(a netip.Addr, rng *rand.Rand) ID {
	id := randomID(rng)
	first := binary.BigEndian.Uint32(id[:])&prefixRest | prefixFor(a, id[19])
	binary.BigEndian.PutUint32(id[:], first)
	return id
}

// votes are what nodes said that our address is (BEP 42, "Bootstrapping"), one
// of each network, the latest.
type votes struct {
	said  map[place]netip.Addr
	order []place // Of said, the oldest first.
}

// hear takes in what a node said, and returns what most agree on: the zero
// address if there is no such thing. Addresses of local networks decide nothing
// about ids and are passed over.
func (v *votes) hear(from netip.AddrPort, a netip.Addr) netip.Addr {
	if !a.IsGlobalUnicast() || local(a) || familyOf(a) != familyOf(from.Addr()) {
		return netip.Addr{}
	}
	if v.said == nil {
		v.said = map[place]netip.Addr{}
	}
	who := groupOf(from)
	if _, ok := v.said[who]; !ok {
		if len(v.order) == maxVoters {
			delete(v.said, v.order[0])
			v.order = v.order[1:]
		}
		v.order = append(v.order, who)
	}
	v.said[who] = a
	agree := 0
	for _, p := range v.order {
		if v.said[p] == a {
			agree++
		}
	}
	if agree < minVotes || 2*agree <= len(v.order) {
		return netip.Addr{}
	}
	return a
}
