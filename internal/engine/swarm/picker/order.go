package picker

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// order keeps the wanted pieces that may be begun: class by class, and in each
// sorted by availability, by how many peers have each. It is never sorted as a
// whole. One peer more or less for a piece is one swap across the border of two
// buckets, and one more peer that has everything shifts all borders at once.
type order struct {
	pos     []uint32 // Where each wanted piece stands in the list of its class.
	avail   []int16  // Peers that have each piece, less base.
	base    int
	of      []uint8 // The class of each piece, or unwanted; nil if all are in the first.
	classes []class // The most urgent first.
}

// class is the pieces of one priority.
//
// list is a permutation of all of them. Those before start[0] are out: begun or
// verified. Bucket b, the pieces that b peers have, is list[start[b]:start[b+1]],
// and the last element of start is len(list).
type class struct {
	list  []uint32
	start []int
	in    *bitfield.Bitfield // The pieces that are not out.
	low   int                // No word of in before this one holds a piece.
}

// unwanted is the class of pieces that are in none.
const unwanted = math.MaxUint8

// newOrder returns the order of n pieces that nobody has, shuffled, with those
// of have out. The classes are disjoint; nil is one class of everything.
func newOrder(n int, classes []*bitfield.Bitfield, have *bitfield.Bitfield, rng *rand.Rand) *order {
	o := &order{pos: make([]uint32, n), avail: make([]int16, n)}
	if classes == nil {
		classes = []*bitfield.Bitfield{bitfield.Full(n)}
	} else {
		o.of = bytes.Repeat([]byte{unwanted}, n)
	}
	for k, pieces := range classes {
		c := class{list: make([]uint32, 0, pieces.Count()), in: pieces.Clone()}
		for piece := range pieces.All() {
			j := rng.IntN(len(c.list) + 1)
			c.list = append(c.list, uint32(piece))
			c.list[len(c.list)-1], c.list[j] = c.list[j], uint32(piece)
			if o.of != nil {
				o.of[piece] = uint8(k)
			}
		}
		for i, piece := range c.list {
			o.pos[piece] = uint32(i)
		}
		c.start = []int{0, len(c.list)}
		o.classes = append(o.classes, c)
	}
	for i := range have.All() {
		o.remove(uint32(i))
	}
	return o
}

func (c *class) buckets() int { return len(c.start) - 1 }

// class returns the class of a piece, nil if it is not wanted.
func (o *order) class(piece uint32) *class {
	if o.of == nil {
		return &o.classes[0]
	}
	if k := o.of[piece]; k != unwanted {
		return &o.classes[k]
	}
	return nil
}

// has says whether a piece is wanted and not out.
func (o *order) has(piece uint32) bool {
	c := o.class(piece)
	return c != nil && c.in.Has(int(piece))
}

// availability is how many peers have the piece.
func (o *order) availability(piece uint32) int { return int(o.avail[piece]) + o.base }

// swap puts the piece at position to, and what stood there in its place.
func (o *order) swap(c *class, piece uint32, to int) {
	from := o.pos[piece]
	other := c.list[to]
	c.list[from], c.list[to] = other, piece
	o.pos[other], o.pos[piece] = from, uint32(to)
}

func (o *order) inc(piece uint32) {
	b := o.availability(piece)
	o.avail[piece]++
	if c := o.class(piece); c != nil && c.in.Has(int(piece)) {
		o.up(c, piece, b)
	}
}

func (o *order) dec(piece uint32) {
	b := o.availability(piece)
	o.avail[piece]--
	if c := o.class(piece); c != nil && c.in.Has(int(piece)) {
		o.down(c, piece, b)
	}
}

// up moves a piece from bucket b to bucket b+1.
func (o *order) up(c *class, piece uint32, b int) {
	for b+2 >= len(c.start) {
		c.start = append(c.start, len(c.list))
	}
	c.start[b+1]--
	o.swap(c, piece, c.start[b+1])
}

// down moves a piece from bucket b to bucket b-1; bucket -1 is out.
func (o *order) down(c *class, piece uint32, b int) {
	o.swap(c, piece, c.start[b])
	c.start[b]++
}

// remove takes a piece out.
func (o *order) remove(piece uint32) {
	c := o.class(piece)
	if c == nil || !c.in.Clear(int(piece)) {
		return
	}
	for b := o.availability(piece); b >= 0; b-- {
		o.down(c, piece, b)
	}
}

// add takes a piece in again, if it is wanted.
func (o *order) add(piece uint32) {
	c := o.class(piece)
	if c == nil || !c.in.Set(int(piece)) {
		return
	}
	c.low = min(c.low, int(piece)/64)
	for b := -1; b < o.availability(piece); b++ {
		o.up(c, piece, b)
	}
}

// incAll counts one more peer for every piece.
func (o *order) incAll() {
	o.base++
	for k := range o.classes {
		c := &o.classes[k]
		c.start = slices.Insert(c.start, 0, c.start[0])
	}
}

// decAll counts one peer less for every piece, which each must have.
func (o *order) decAll() {
	o.base--
	for k := range o.classes {
		c := &o.classes[k]
		c.start = slices.Delete(c.start, 0, 1)
		if c.buckets() == 0 { // All pieces are out, and were when the peer came.
			c.start = append(c.start, len(c.list))
		}
	}
}

// join counts a peer that has these pieces. It returns whether it did so by
// counting all and taking back those that it lacks, which leave has to know.
func (o *order) join(have *bitfield.Bitfield) (based bool) {
	if have.Count() <= have.Len()/2 {
		for i := range have.All() {
			o.inc(uint32(i))
		}
		return false
	}
	o.incAll()
	for i := range absent(have) {
		o.dec(uint32(i))
	}
	return true
}

// leave takes back what a peer counts for that has these pieces now.
func (o *order) leave(have *bitfield.Bitfield, based bool) {
	if !based {
		for i := range have.All() {
			o.dec(uint32(i))
		}
		return
	}
	for i := range absent(have) {
		o.inc(uint32(i))
	}
	o.decAll()
}

// obtainable says whether some piece that is not out can be had from a peer.
func (o *order) obtainable() bool {
	for k := range o.classes {
		if c := &o.classes[k]; c.start[min(1, c.buckets())] < len(c.list) {
			return true
		}
	}
	return false
}

// absent yields what a set does not hold, ascending.
func absent(f *bitfield.Bitfield) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		b := f.Bytes()
		for w := range words(f) {
			x := ^word(b, w)
			for x != 0 {
				k := bits.LeadingZeros64(x)
				i := w*64 + k
				if i >= f.Len() || !yield(i) {
					return
				}
				x &^= 1 << (63 - k)
			}
		}
	}
}

// words returns how many words of 64 bits a set has, and word the w-th of
// them, whose highest bit is the set's integer 64*w.
func words(f *bitfield.Bitfield) int { return (len(f.Bytes()) + 7) / 8 }

func word(b []byte, w int) uint64 {
	if b = b[w*8:]; len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var x uint64
	for i, c := range b {
		x |= uint64(c) << (56 - 8*i)
	}
	return x
}
