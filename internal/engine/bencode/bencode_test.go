package bencode

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var generous = Limits{Size: 64 << 20, Depth: 32}

// The cases of the probe that showed why the library must not meet the
// network bare.

func TestTwelveBytesDoNotAllocateTwoGibibytes(t *testing.T) {
	var v any
	allocated := bytesAllocated(func() {
		if err := Unmarshal([]byte("2147483647:x"), &v, generous); !errors.Is(err, ErrSyntax) {
			t.Errorf("error %v, want ErrSyntax", err)
		}
	})
	if allocated > 1<<20 {
		t.Errorf("%d bytes were allocated for twelve", allocated)
	}
}

func TestThreeMegabytesOfListsDoNotOverflowTheStack(t *testing.T) {
	const n = 1_500_000
	for name, b := range map[string]string{
		"closed":       strings.Repeat("l", n) + strings.Repeat("e", n),
		"open":         strings.Repeat("l", 2*n),
		"dictionaries": strings.Repeat("d1:a", n),
	} {
		var v any
		if err := Unmarshal([]byte(b), &v, generous); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: error %v, want ErrLimit", name, err)
		}
	}
}

func TestTrailingBytesAreAnError(t *testing.T) {
	for _, in := range []string{"i1ei2e", "i1e\n", "d1:ai1eegarbage", "0:x", "lee"} {
		var v any
		if err := Unmarshal([]byte(in), &v, generous); !errors.Is(err, ErrTrailing) {
			t.Errorf("%q: error %v, want ErrTrailing", in, err)
		}
		if _, err := View([]byte(in), generous); !errors.Is(err, ErrTrailing) {
			t.Errorf("%q viewed: error %v, want ErrTrailing", in, err)
		}
	}
}

func TestNumbersAndLengthsMustBeCanonical(t *testing.T) {
	for _, in := range []string{
		"ie", "i-e", "i-0e", "i00e", "i01e", "i-01e", "i+1e", "i 1e", "i1 e", "i1.0e", "i0x1e", "i1_0e", "i--1e",
		"01:a", "00:", "+1:a", "-1:a", "1 :a", "1", "1a:", ":a", "e", "x", "",
		"d01:ai1ee", "li01ee", "i1", "l", "d", "li1e", "d1:a", "d1:ae", "d1:ai1e",
	} {
		if n, err := Check([]byte(in), generous); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q passed with length %d, error %v", in, n, err)
		}
	}
	for _, in := range []string{
		"i0e", "i-1e", "i10e", "i9223372036854775807e", "i99999999999999999999999999e", "0:", "10:0123456789", "le", "de",
		"d0:0:e", "d1:ali1ei-2ee1:bd1:c1:dee",
	} {
		if n, err := Check([]byte(in), generous); err != nil || n != len(in) {
			t.Errorf("%q: length %d of %d, error %v", in, n, len(in), err)
		}
	}
}

func TestPanicOfTheLibraryIsAnError(t *testing.T) {
	var notNil any = 7
	var short [1]int
	for name, c := range map[string]struct {
		in   string
		into any
	}{
		"a non-nil any":       {"i1e", &notNil},
		"a field of type any": {"d1:Ai1ee", &struct{ A any }{A: 1}},
		"too small an array":  {"li1ei2ei3ee", &short},
	} {
		if err := Unmarshal([]byte(c.in), c.into, generous); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := UnmarshalPrefix([]byte(c.in), c.into, generous); err == nil {
			t.Errorf("%s, as a prefix: no error", name)
		}
	}
	if b, err := Marshal(nil); err == nil {
		t.Errorf("nothing was written as %q", b)
	}
}

func TestAStringMayNotBeLongerThanWhatRemains(t *testing.T) {
	for _, in := range []string{"5:abcd", "1:", "9223372036854775807:", "99999999999999999999999:a", "d5:ab", "l3:abe"} {
		if _, err := Check([]byte(in), generous); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: error %v, want ErrSyntax", in, err)
		}
	}
}

func TestKeysMustBeStrings(t *testing.T) {
	for _, in := range []string{"di1ei2ee", "dlei1ee", "ddei1ee"} {
		if _, err := Check([]byte(in), generous); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: error %v, want ErrSyntax", in, err)
		}
	}
}

func TestKeysMayBeUnsortedButNotTwice(t *testing.T) {
	if _, err := Check([]byte("d1:bi1e1:ai2ee"), generous); err != nil {
		t.Errorf("unsorted keys: %v", err)
	}
	for _, in := range []string{
		"d1:ai1e1:ai2ee", "d1:ai1e1:bi1e1:ai2ee", "d1:bi1e1:ai1e1:bi2ee", "ld1:bi1e1:ai1e1:bi2eee",
		"d1:cd1:zi1e1:yi1ee1:ad1:zi1ee1:ci1ee",
	} {
		if _, err := Check([]byte(in), generous); !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%q: error %v, want one about a key that comes twice", in, err)
		}
	}
	// The same key in neighbouring and in nested dictionaries is none twice.
	if _, err := Check([]byte("ld1:bi1e1:ad1:bi1e1:aleeed1:bi1e1:ai1eee"), generous); err != nil {
		t.Errorf("one key in several dictionaries: %v", err)
	}
}

func TestUnsortedDictionariesHaveAnEnd(t *testing.T) {
	dict := func(n int, sorted bool) []byte {
		b := []byte("d")
		if !sorted {
			b = append(b, "1:z0:"...)
			n--
		}
		for i := range n {
			b = fmt.Appendf(b, "5:%05d0:", i)
		}
		return append(b, 'e')
	}
	if _, err := Check(dict(maxUnsorted, false), generous); err != nil {
		t.Errorf("unsorted at the limit: %v", err)
	}
	if _, err := Check(dict(maxUnsorted+1, false), generous); !errors.Is(err, ErrLimit) {
		t.Errorf("unsorted beyond the limit: %v, want ErrLimit", err)
	}
	if _, err := Check(dict(4*maxUnsorted, true), generous); err != nil {
		t.Errorf("sorted beyond that limit: %v", err)
	}
}

func TestDepthLimitAtBelowAndAbove(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("l", n) + strings.Repeat("e", n)) }
	for depth := range 4 {
		for n := range 6 {
			if n == 0 {
				continue
			}
			_, err := Check(nested(n), Limits{Size: 100, Depth: depth})
			if want := n > depth; errors.Is(err, ErrLimit) != want {
				t.Errorf("%d lists at depth %d: %v", n, depth, err)
			}
		}
	}
	if _, err := Check([]byte("i1e"), Limits{Size: 100}); err != nil {
		t.Errorf("a number needs no depth: %v", err)
	}
}

func TestSizeLimitAtBelowAndAbove(t *testing.T) {
	for _, in := range []string{"i12345e", "5:abcde", "l2:ab0:e", "d1:a2:bce", "12:abcdefghijkl"} {
		for size := range int64(len(in) + 3) {
			l := Limits{Size: size, Depth: 2}
			var v any
			_, check := Check([]byte(in), l)
			for name, err := range map[string]error{"Check": check, "Unmarshal": Unmarshal([]byte(in), &v, l)} {
				if size < int64(len(in)) && !errors.Is(err, ErrLimit) {
					t.Errorf("%s %q in %d bytes: %v, want ErrLimit", name, in, size, err)
				}
				if size >= int64(len(in)) && err != nil {
					t.Errorf("%s %q in %d bytes: %v", name, in, size, err)
				}
			}
		}
	}
	if _, err := Check([]byte("i1e"), Limits{Size: -1}); !errors.Is(err, ErrLimit) {
		t.Errorf("a negative size: %v, want ErrLimit", err)
	}
}

func TestPrefixLeavesWhatFollows(t *testing.T) {
	var m struct {
		Type  int `bencode:"msg_type"`
		Piece int `bencode:"piece"`
	}
	in := "d8:msg_typei1e5:piecei7ee" + strings.Repeat("\xff", 100)
	rest, err := UnmarshalPrefix([]byte(in), &m, Limits{Size: 25, Depth: 1})
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != 1 || m.Piece != 7 || len(rest) != 100 {
		t.Errorf("got %+v with %d bytes after it", m, len(rest))
	}
	if _, err := UnmarshalPrefix([]byte(in), &m, Limits{Size: 24, Depth: 1}); !errors.Is(err, ErrLimit) {
		t.Errorf("beyond the size: %v, want ErrLimit", err)
	}
}

func TestWhatIsWrittenReadsBackTheSame(t *testing.T) {
	type message struct {
		B     string         `bencode:"b"`
		A     int64          `bencode:"a"`
		List  []string       `bencode:"list"`
		Map   map[string]any `bencode:"map"`
		Raw   RawMessage     `bencode:"raw"`
		Empty string         `bencode:"empty,omitempty"`
	}
	in := message{
		B: "\x00\xff", A: -5, List: []string{"", "x"},
		Map: map[string]any{"z": int64(1), "y": []any{"q"}}, Raw: RawMessage("d1:xlee"),
	}
	b, err := Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := "d1:ai-5e1:b2:\x00\xff4:listl0:1:xe3:mapd1:yl1:qe1:zi1ee3:rawd1:xleee"; string(b) != want {
		t.Errorf("written as\n%q, want\n%q", b, want)
	}
	var out message
	if err := Unmarshal(b, &out, generous); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in, out); d != "" {
		t.Error(d)
	}
}

func TestTypesThatDoNotFitAreAnError(t *testing.T) {
	var m struct {
		A int8 `bencode:"a"`
		S []string
	}
	for _, in := range []string{"d1:a1:xe", "d1:Si1ee", "i1e", "d1:ai99999999999999999999ee"} {
		if err := Unmarshal([]byte(in), &m, generous); err == nil {
			t.Errorf("%q went into %+v", in, m)
		}
	}
	if err := Unmarshal([]byte("i1e"), nil, generous); err == nil {
		t.Error("something was read into nothing")
	}
}

func bytesAllocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{
		"i0e", "4:spam", "le", "de", "d3:cow3:moo4:spaml1:a1:bee", "2147483647:x", "llllllll", "i-0e", "d1:bi1e1:ai1ee",
		"d8:msg_typei1e5:piecei0ee\x00\x01", "d1:ai99999999999999999999ee", "li1e2:xxd1:aleee", "d1:ai1e1:ai1ee",
	} {
		f.Add([]byte(s))
	}
	l := Limits{Size: 1 << 16, Depth: 16}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Check(b, l)
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrLimit) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		v, err := View(b[:n], l)
		if err != nil {
			t.Fatalf("Check passed what View refuses: %v", err)
		}
		if got := rebuild(nil, v); !bytes.Equal(got, b[:n]) {
			t.Fatalf("the view of %q is %q", b[:n], got)
		}
		var first any
		rest, err := UnmarshalPrefix(b, &first, l)
		if err != nil {
			return // A number beyond 64 bits.
		}
		if len(rest) != len(b)-n {
			t.Fatalf("%d bytes left of %d, the value has %d", len(rest), len(b), n)
		}
		again, err := Marshal(first)
		if err != nil {
			t.Fatalf("what was read of %q is not written: %v", b[:n], err)
		}
		if len(again) != n {
			t.Fatalf("%q was written as %q", b[:n], again)
		}
	})
}

// rebuild writes a value from what its view tells.
func rebuild(dst []byte, v Value) []byte {
	switch v.Kind() {
	case String:
		s, _ := v.Bytes()
		return append(fmt.Appendf(dst, "%d:", len(s)), s...)
	case List:
		dst = append(dst, 'l')
		for item := range v.Items() {
			dst = rebuild(dst, item)
		}
		return append(dst, 'e')
	case Dict:
		dst = append(dst, 'd')
		for key, item := range v.Entries() {
			dst = rebuild(append(fmt.Appendf(dst, "%d:", len(key)), key...), item)
		}
		return append(dst, 'e')
	default:
		return append(dst, v.Raw()...)
	}
}
