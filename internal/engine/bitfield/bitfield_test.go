package bitfield

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func members(f *Bitfield) []int { return slices.Collect(f.All()) }

// BEP 3, "bitfield": the high bit of the first byte is index 0.
func TestBitOrder(t *testing.T) {
	f := New(12)
	for _, i := range []int{0, 7, 8, 11} {
		f.Set(i)
	}
	if want := []byte{0x81, 0x90}; !bytes.Equal(f.Bytes(), want) {
		t.Errorf("%x, want %x", f.Bytes(), want)
	}
}

func TestSetAndClearSayWhatChanged(t *testing.T) {
	f := New(3)
	if f.Has(1) || !f.Set(1) || f.Set(1) || !f.Has(1) || f.Count() != 1 {
		t.Errorf("after setting twice: has %v, count %d", f.Has(1), f.Count())
	}
	if !f.Clear(1) || f.Clear(1) || f.Has(1) || f.Count() != 0 {
		t.Errorf("after clearing twice: has %v, count %d", f.Has(1), f.Count())
	}
}

func TestParseCopiesTheWireForm(t *testing.T) {
	wire := []byte{0xa0, 0x40}
	f, err := Parse(wire, 10)
	if err != nil {
		t.Fatal(err)
	}
	wire[0] = 0
	if got := members(f); !slices.Equal(got, []int{0, 2, 9}) || f.Count() != 3 || f.Len() != 10 {
		t.Errorf("%v, count %d, length %d", got, f.Count(), f.Len())
	}
}

// BEP 3, "bitfield": a peer that sends the wrong size, or has spare bits set,
// is dropped.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		n    int
		says string
	}{
		{"too short", []byte{0xff}, 9, "1 bytes for 9 pieces"},
		{"too long", []byte{0xff, 0, 0}, 9, "3 bytes for 9 pieces"},
		{"empty", nil, 1, "0 bytes for 1 pieces"},
		{"bytes for nothing", []byte{0}, 0, "1 bytes for 0 pieces"},
		{"the first spare bit", []byte{0xff, 0x40}, 9, "spare bits"},
		{"the last spare bit", []byte{0xff, 0x81}, 9, "spare bits"},
		{"one spare bit", []byte{0xff}, 7, "spare bits"},
	} {
		if _, err := Parse(c.b, c.n); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error that says %q", c.name, err, c.says)
		}
	}
}

func TestSpareBitsStayZero(t *testing.T) {
	for n := range 40 {
		f := Full(n)
		if f.Count() != n || f.Len() != n || !f.IsFull() {
			t.Errorf("full of %d: count %d, length %d", n, f.Count(), f.Len())
		}
		if g, err := Parse(f.Bytes(), n); err != nil || g.Count() != n {
			t.Errorf("full of %d can't be parsed: %v", n, err)
		}
	}
}

func TestTheEmptySetOfNothingIsFull(t *testing.T) {
	var f Bitfield
	if !f.IsFull() || f.Count() != 0 || len(f.Bytes()) != 0 || members(&f) != nil {
		t.Errorf("%+v", f)
	}
	if New(1).IsFull() {
		t.Error("an empty set of length 1 is full")
	}
}

func TestCloneIsIndependent(t *testing.T) {
	f := New(9)
	f.Set(8)
	g := f.Clone()
	g.Set(0)
	f.Clear(8)
	if !slices.Equal(members(g), []int{0, 8}) || members(f) != nil || g.Count() != 2 {
		t.Errorf("clone %v, original %v", members(g), members(f))
	}
}

func TestAllStopsWhenAsked(t *testing.T) {
	n := 0
	for range Full(20).All() {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d steps", n)
	}
}

func TestOutOfRangePanics(t *testing.T) {
	f := New(9) // Two bytes: index 9 to 15 would find a bit.
	for _, i := range []int{9, 15, 16, 1 << 40, -1} {
		for name, do := range map[string]func(){
			"Has":   func() { f.Has(i) },
			"Set":   func() { f.Set(i) },
			"Clear": func() { f.Clear(i) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s(%d) of 9 does not panic", name, i)
					}
				}()
				do()
			}()
		}
	}
}

// Against a map, with steps chosen at random from a fixed seed.
func TestLikeAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	f, m := New(77), map[int]bool{}
	for step := range 5000 {
		i := r.IntN(77)
		if r.IntN(2) == 0 {
			if f.Set(i) == m[i] {
				t.Fatalf("step %d: Set(%d) with %v before", step, i, m[i])
			}
			m[i] = true
		} else {
			if f.Clear(i) != m[i] {
				t.Fatalf("step %d: Clear(%d) with %v before", step, i, m[i])
			}
			delete(m, i)
		}
		if f.Count() != len(m) {
			t.Fatalf("step %d: count %d, want %d", step, f.Count(), len(m))
		}
	}
	for _, i := range members(f) {
		if !m[i] {
			t.Errorf("%d is not a member", i)
		}
	}
	if !slices.IsSorted(members(f)) {
		t.Error("members are not in order")
	}
}

// FuzzParse: what is accepted is given back as the same bytes, with the count
// of its members.
func FuzzParse(f *testing.F) {
	f.Add([]byte{0xff, 0x80}, uint16(9))
	f.Add([]byte{}, uint16(0))
	f.Add([]byte{0x01}, uint16(7))
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		s, err := Parse(b, int(n))
		if err != nil {
			return
		}
		if !bytes.Equal(s.Bytes(), b) || len(members(s)) != s.Count() {
			t.Fatalf("%x of %d became %x with %d members", b, n, s.Bytes(), s.Count())
		}
	})
}
