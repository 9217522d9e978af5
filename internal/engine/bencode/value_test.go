package bencode

import (
	"strings"
	"testing"
)

func TestAViewCopiesNothing(t *testing.T) {
	body := strings.Repeat("x", 8<<20)
	in := []byte("d4:infod6:pieces8388608:" + body + "e4:listl1:a1:bee")
	var pieces []byte
	allocated := bytesAllocated(func() {
		v, err := View(in, generous)
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range v.Entries() {
			if string(key) != "info" {
				continue
			}
			for _, inner := range value.Entries() {
				pieces, _ = inner.Bytes()
			}
		}
	})
	if len(pieces) != len(body) || &pieces[0] != &in[24] {
		t.Errorf("%d bytes of %d, not in place", len(pieces), len(body))
	}
	if allocated > 64<<10 {
		t.Errorf("%d bytes were allocated", allocated)
	}
}

func TestAViewSaysWhatItIs(t *testing.T) {
	for in, want := range map[string]Kind{"i1e": Number, "0:": String, "1:a": String, "le": List, "de": Dict} {
		v, err := View([]byte(in), generous)
		if err != nil || v.Kind() != want || string(v.Raw()) != in {
			t.Errorf("%q is %q, raw %q, error %v", in, v.Kind(), v.Raw(), err)
		}
	}
	if k := (Value{}).Kind(); k != Absent {
		t.Errorf("the zero value is %q", k)
	}
}

func TestAViewOfTheWrongKindYieldsNothing(t *testing.T) {
	number, _ := View([]byte("i5e"), generous)
	text, _ := View([]byte("1:5"), generous)
	for _, v := range []Value{{}, text} {
		if n, ok := v.Int(); ok {
			t.Errorf("%q is the number %d", v.Raw(), n)
		}
	}
	for _, v := range []Value{{}, number} {
		if s, ok := v.Bytes(); ok {
			t.Errorf("%q is the string %q", v.Raw(), s)
		}
	}
	for _, v := range []Value{{}, number, text} {
		for range v.Items() {
			t.Errorf("%q has items", v.Raw())
		}
		for range v.Entries() {
			t.Errorf("%q has entries", v.Raw())
		}
	}
}

func TestNumbersBeyond64BitsAreNone(t *testing.T) {
	for in, fits := range map[string]bool{
		"i9223372036854775807e": true, "i-9223372036854775808e": true, "i0e": true,
		"i9223372036854775808e": false, "i-9223372036854775809e": false,
		"i" + strings.Repeat("9", 1000) + "e": false,
	} {
		v, err := View([]byte(in), generous)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := v.Int(); ok != fits {
			t.Errorf("%.30s fits: %v", in, ok)
		}
	}
}

func TestWalkingAViewMayStopEarly(t *testing.T) {
	v, err := View([]byte("li1ei2ei3ee"), generous)
	if err != nil {
		t.Fatal(err)
	}
	var seen []int64
	for item := range v.Items() {
		n, _ := item.Int()
		if seen = append(seen, n); n == 2 {
			break
		}
	}
	if len(seen) != 2 {
		t.Errorf("saw %v", seen)
	}
}
