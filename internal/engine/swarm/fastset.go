package swarm

import (
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"slices"
)

// allowedFast returns the pieces that the peer at an address may have while it
// is choked: the canonical set of BEP 6, "Allowed Fast Set Generation", which
// depends on the network of the peer, so that many addresses are of no use. It
// is empty for IPv6, for which BEP 6 says nothing.
func allowedFast(infoHash [20]byte, addr netip.Addr, pieces int) []uint32 {
	size := min(fastSetSize, pieces/fastSetPart)
	if size == 0 || !addr.Is4() {
		return nil
	}
	return fastSet(infoHash, addr, pieces, size)
}

func fastSet(infoHash [20]byte, addr netip.Addr, pieces, size int) []uint32 {
	ip := addr.As4()
	ip[3] = 0
	x := append(ip[:], infoHash[:]...)
	var set []uint32
	for len(set) < size {
		sum := sha1.Sum(x)
		x = sum[:]
		for i := 0; i < 5 && len(set) < size; i++ {
			piece := binary.BigEndian.Uint32(x[i*4:]) % uint32(pieces)
			if !slices.Contains(set, piece) {
				set = append(set, piece)
			}
		}
	}
	return set
}
