package dht

import (
	"bytes"
	"encoding/hex"
	"math/bits"
	"math/rand/v2"
)

// ID is the id of a node, or the info hash of a torrent: a point of the same
// space (BEP 5, "Overview").
type ID [20]byte

// String returns the id in hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// closer says whether a is closer to target than b is.
func closer(target, a, b ID) bool { return compare(target, a, b) < 0 }

// compare orders ids by their distance to target: that of the bits in which
// they differ, read as a number.
func compare(target, a, b ID) int {
	for i := range target {
		a[i] ^= target[i]
		b[i] ^= target[i]
	}
	return bytes.Compare(a[:], b[:])
}

// common returns how many leading bits two ids share: 0 to 160.
func common(a, b ID) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * len(a)
}

func randomID(rng *rand.Rand) (id ID) {
	for i := range id {
		id[i] = byte(rng.Uint32())
	}
	return id
}

// randomIn returns an id that shares n leading bits with own; the next one
// differs if exactly is set.
func randomIn(own ID, n int, exactly bool, rng *rand.Rand) ID {
	id := randomID(rng)
	for i := range min(n, 8*len(id)) {
		setBit(&id, i, bit(own, i))
	}
	if exactly && n < 8*len(id) {
		setBit(&id, n, !bit(own, n))
	}
	return id
}

func bit(id ID, i int) bool { return id[i/8]&(0x80>>(i%8)) != 0 }

func setBit(id *ID, i int, on bool) {
	id[i/8] &^= 0x80 >> (i % 8)
	if on {
		id[i/8] |= 0x80 >> (i % 8)
	}
}
