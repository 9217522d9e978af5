// Package bitfield is a set of piece indices in the bit order of BEP 3: the
// high bit of the first byte is piece 0. It is a plain value with one owner;
// it does not lock.
package bitfield

import (
	"fmt"
	"iter"
	"math/bits"
)

// Bitfield is a set of the integers 0 to Len()-1. The zero value is the empty
// set of length 0.
type Bitfield struct {
	bits  []byte // Spare bits of the last byte are always zero.
	n     int
	count int // Bits set.
}

// New returns the empty set of length n.
func New(n int) *Bitfield { return &Bitfield{bits: make([]byte, (n+7)/8), n: n} }

// Full returns the set of all of 0 to n-1.
func Full(n int) *Bitfield {
	b := New(n)
	b.SetAll()
	return b
}

// Parse copies the wire form of a set of length n. It is an error when b does
// not have exactly the bytes that n bits need, or when a spare bit is set
// (BEP 3, "bitfield": such a peer is to be dropped).
func Parse(b []byte, n int) (*Bitfield, error) {
	if len(b) != (n+7)/8 {
		return nil, fmt.Errorf("a bitfield of %d bytes for %d pieces, which need %d", len(b), n, (n+7)/8)
	}
	if n%8 != 0 && b[len(b)-1]<<(n%8) != 0 {
		return nil, fmt.Errorf("a bitfield with spare bits set after its %d pieces", n)
	}
	f := &Bitfield{bits: append([]byte(nil), b...), n: n}
	for _, x := range f.bits {
		f.count += bits.OnesCount8(x)
	}
	return f, nil
}

// Len returns how many integers the set may hold.
func (f *Bitfield) Len() int { return f.n }

// Count returns how many integers the set holds.
func (f *Bitfield) Count() int { return f.count }

// IsFull says whether the set holds everything that it may hold.
func (f *Bitfield) IsFull() bool { return f.count == f.n }

// Has says whether i is in the set. It panics when i is out of range, as an
// index of a slice does.
func (f *Bitfield) Has(i int) bool {
	if i >= f.n {
		panic(fmt.Sprintf("bitfield: index %d of %d", i, f.n))
	}
	return f.bits[i>>3]&(0x80>>(i&7)) != 0
}

// Set adds i and says whether it was not there before.
func (f *Bitfield) Set(i int) bool {
	if f.Has(i) {
		return false
	}
	f.bits[i>>3] |= 0x80 >> (i & 7)
	f.count++
	return true
}

// Clear removes i and says whether it was there before.
func (f *Bitfield) Clear(i int) bool {
	if !f.Has(i) {
		return false
	}
	f.bits[i>>3] &^= 0x80 >> (i & 7)
	f.count--
	return true
}

// SetAll adds everything.
func (f *Bitfield) SetAll() {
	for i := range f.bits {
		f.bits[i] = 0xff
	}
	if r := f.n % 8; r != 0 {
		f.bits[len(f.bits)-1] = 0xff << (8 - r)
	}
	f.count = f.n
}

// Bytes returns the wire form. It is the set's own memory: valid until the
// set changes, and not to be changed.
func (f *Bitfield) Bytes() []byte { return f.bits }

// Clone returns a copy.
func (f *Bitfield) Clone() *Bitfield {
	return &Bitfield{bits: append([]byte(nil), f.bits...), n: f.n, count: f.count}
}

// All yields the members in ascending order. The set must not change meanwhile.
func (f *Bitfield) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, x := range f.bits {
			for x != 0 {
				k := bits.LeadingZeros8(x)
				x &^= 0x80 >> k
				if !yield(i*8 + k) {
					return
				}
			}
		}
	}
}

// Includes says whether every member of o, a set of the same length, is in f.
func (f *Bitfield) Includes(o *Bitfield) bool { return f.Common(o) == o.count }

// Common returns how many members f and o, a set of the same length, share.
func (f *Bitfield) Common(o *Bitfield) (n int) {
	for i, x := range f.bits {
		n += bits.OnesCount8(x & o.bits[i])
	}
	return n
}
