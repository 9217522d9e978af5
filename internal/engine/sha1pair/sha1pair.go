// Package sha1pair computes the SHA-1 (FIPS 180-4) of two messages of equal
// length at once.
//
// The pieces of a torrent are known by their SHA-1 (BEP 3, "pieces"), and
// checking them is the largest part of what a download computes. A processor
// that has instructions for SHA-1 spends most of that time waiting: each
// instruction needs what the one before it found. Two messages need nothing of
// each other, so one fills the pauses of the other. All pieces of a torrent but
// the last are of one length, so nearly always there is a pair.
package sha1pair

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash"
)

// blockSize is how many bytes SHA-1 takes in one step (FIPS 180-4, 5.2.1).
const blockSize = sha1.BlockSize

// lengthSize is the size in bytes of the length that ends the padding, which
// counts bits (FIPS 180-4, 5.1.1).
const lengthSize = 8

// atOnce is how many bytes of each message one call of blocks may take. The
// garbage collector cannot stop a goroutine within that call, and this much
// takes some 50 µs.
const atOnce = 64 << 10

// lane is the state of one message: the five words of FIPS 180-4, 6.1.2, in
// the places that the SHA instructions want.
type lane struct {
	dcba [4]uint32
	e    [4]uint32 // The word stands last; the others are 0.
}

// start is the state before the first byte (FIPS 180-4, 5.3.1).
var start = lane{
	dcba: [4]uint32{0x10325476, 0x98badcfe, 0xefcdab89, 0x67452301},
	e:    [4]uint32{3: 0xc3d2e1f0},
}

// Pair is the hashing of two messages. [Pair.Reset] must be called before
// anything else, and makes a Pair ready for the next two messages. A Pair is
// used by one goroutine at a time.
type Pair struct {
	lanes  [2]lane
	tail   [2][blockSize]byte // The bytes after the last whole block.
	length uint64             // Bytes in each message so far.
	single *singles           // Not nil where pairs are not faster.
}

// singles hashes two messages one after the other.
type singles struct {
	hashes [2]hash.Hash
	sum    [sha1.Size]byte
}

// Fast says whether a Pair is faster than two hashes of crypto/sha1 on this
// machine. It gives the same sums anyway.
func Fast() bool { return fast }

// Reset begins two new, empty messages. It allocates only where [Fast] is
// false, and there only the first time.
func (p *Pair) Reset() {
	p.length = 0
	switch {
	case fast:
		p.lanes, p.single = [2]lane{start, start}, nil
	case p.single == nil:
		p.single = &singles{hashes: [2]hash.Hash{sha1.New(), sha1.New()}}
	default:
		p.single.hashes[0].Reset()
		p.single.hashes[1].Reset()
	}
}

// Write appends a to the first message and b to the second. Both must have the
// same length, and that must be a multiple of 64 bytes in every Write but the
// last. Write panics otherwise.
func (p *Pair) Write(a, b []byte) {
	if len(a) != len(b) {
		panic(fmt.Sprintf("sha1pair: Write of %d and %d bytes; both messages must grow alike", len(a), len(b)))
	}
	if n := p.length % blockSize; n != 0 {
		panic(fmt.Sprintf("sha1pair: Write after %d bytes, %d beyond a multiple of %d; only the last Write may end there",
			p.length, n, blockSize))
	}
	p.length += uint64(len(a))
	if p.single != nil {
		p.single.write(a, b)
		return
	}
	for len(a) >= blockSize {
		n := min(len(a)-len(a)%blockSize, atOnce)
		blocks(&p.lanes, a[:n], b[:n])
		a, b = a[n:], b[n:]
	}
	copy(p.tail[0][:], a)
	copy(p.tail[1][:], b)
}

// Sum returns the SHA-1 of both messages as they are now, and changes nothing.
func (p *Pair) Sum() (a, b [sha1.Size]byte) {
	if p.single != nil {
		return p.single.get(0), p.single.get(1)
	}
	// The padding: one bit, zeros, and the length, up to a whole block.
	n := int(p.length % blockSize)
	size := blockSize
	if n+1+lengthSize > blockSize {
		size = 2 * blockSize
	}
	var end [2][2 * blockSize]byte
	for i := range end {
		copy(end[i][:], p.tail[i][:n])
		end[i][n] = 0x80
		binary.BigEndian.PutUint64(end[i][size-lengthSize:], 8*p.length)
	}
	lanes := p.lanes
	blocks(&lanes, end[0][:size], end[1][:size])
	return lanes[0].sum(), lanes[1].sum()
}

// sum writes the words in their order, each with its highest byte first.
func (l *lane) sum() (s [sha1.Size]byte) {
	for i, word := range [...]uint32{l.dcba[3], l.dcba[2], l.dcba[1], l.dcba[0], l.e[3]} {
		binary.BigEndian.PutUint32(s[4*i:], word)
	}
	return s
}

func (s *singles) write(a, b []byte) {
	_, _ = s.hashes[0].Write(a) // A hash never fails.
	_, _ = s.hashes[1].Write(b)
}

func (s *singles) get(i int) [sha1.Size]byte {
	s.hashes[i].Sum(s.sum[:0])
	return s.sum
}
