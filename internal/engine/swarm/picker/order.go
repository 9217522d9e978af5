package picker

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// order keeps the pieces that may be begun sorted by availability: by how many
// peers have each. It is never sorted as a whole. One peer more or less for a
// piece is one swap across the border of two buckets, and one more peer that
// has everything shifts all borders at once.
//
// list is a permutation of all pieces. Those before start[0] are out: begun or
// verified. Bucket b, the pieces that b peers have, is list[start[b]:start[b+1]],
// and the last element of start is len(list).
type order struct {
	list  []uint32
	pos   []uint32 // Where each piece stands in list.
	avail []int16  // Peers that have each piece, less base.
	base  int
	start []int
	in    *bitfield.Bitfield // The pieces that are not out.
}

// newOrder returns the order of n pieces that nobody has, shuffled, with those
// of have out.
func newOrder(n int, have *bitfield.Bitfield, rng *rand.Rand) *order {
	o := &order{
		list:  make([]uint32, n),
		pos:   make([]uint32, n),
		avail: make([]int16, n),
		in:    bitfield.Full(n),
	}
	for i := range o.list {
		j := rng.IntN(i + 1)
		o.list[i] = o.list[j]
		o.list[j] = uint32(i)
	}
	for i, piece := range o.list {
		o.pos[piece] = uint32(i)
	}
	o.start = []int{0, n}
	for i := range have.All() {
		o.remove(uint32(i))
	}
	return o
}

func (o *order) buckets() int { return len(o.start) - 1 }

// availability is how many peers have the piece.
func (o *order) availability(piece uint32) int { return int(o.avail[piece]) + o.base }

// swap puts the piece at position to, and what stood there in its place.
func (o *order) swap(piece uint32, to int) {
	from := o.pos[piece]
	other := o.list[to]
	o.list[from], o.list[to] = other, piece
	o.pos[other], o.pos[piece] = from, uint32(to)
}

func (o *order) inc(piece uint32) {
	b := o.availability(piece)
	o.avail[piece]++
	if o.in.Has(int(piece)) {
		o.up(piece, b)
	}
}

func (o *order) dec(piece uint32) {
	b := o.availability(piece)
	o.avail[piece]--
	if o.in.Has(int(piece)) {
		o.down(piece, b)
	}
}

// up moves a piece from bucket b to bucket b+1.
func (o *order) up(piece uint32, b int) {
	for b+2 >= len(o.start) {
		o.start = append(o.start, len(o.list))
	}
	o.start[b+1]--
	o.swap(piece, o.start[b+1])
}

// down moves a piece from bucket b to bucket b-1; bucket -1 is out.
func (o *order) down(piece uint32, b int) {
	o.swap(piece, o.start[b])
	o.start[b]++
}

// remove takes a piece out.
func (o *order) remove(piece uint32) {
	if !o.in.Clear(int(piece)) {
		return
	}
	for b := o.availability(piece); b >= 0; b-- {
		o.down(piece, b)
	}
}

// add takes a piece in again.
func (o *order) add(piece uint32) {
	if !o.in.Set(int(piece)) {
		return
	}
	for b := -1; b < o.availability(piece); b++ {
		o.up(piece, b)
	}
}

// incAll counts one more peer for every piece.
func (o *order) incAll() {
	o.base++
	o.start = slices.Insert(o.start, 0, o.start[0])
}

// decAll counts one peer less for every piece, which each must have.
func (o *order) decAll() {
	o.base--
	o.start = slices.Delete(o.start, 0, 1)
	if o.buckets() == 0 { // All pieces are out, and were when the peer came.
		o.start = append(o.start, len(o.list))
	}
}

// join counts a peer that has these pieces; leave takes it back.
func (o *order) join(have *bitfield.Bitfield) {
	if have.Count() <= have.Len()/2 {
		for i := range have.All() {
			o.inc(uint32(i))
		}
		return
	}
	o.incAll()
	for i := range absent(have) {
		o.dec(uint32(i))
	}
}

func (o *order) leave(have *bitfield.Bitfield) {
	if have.Count() <= have.Len()/2 {
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
	return o.start[min(1, o.buckets())] < len(o.list)
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
