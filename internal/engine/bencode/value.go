package bencode

import (
	"bytes"
	"iter"
	"strconv"
)

// Kind is what a [Value] is. Its string completes the sentence "it is …".
type Kind string

// The kinds of values. Absent is the kind of the zero Value.
const (
	Absent Kind = ""
	Number Kind = "a number"
	String Kind = "a string"
	List   Kind = "a list"
	Dict   Kind = "a dictionary"
)

// Value is one bencoded value, seen where it stands: it shares the memory of
// what it was read from, which must not change while it is in use. The zero
// Value stands for a value that is not there.
type Value struct {
	raw []byte // Has passed Check.
}

// View returns b, which must be exactly one value within l, as a [Value].
// Errors match [ErrSyntax], [ErrTrailing] or [ErrLimit].
func View(b []byte, l Limits) (Value, error) {
	if err := whole(b, l); err != nil {
		return Value{}, err
	}
	return Value{b}, nil
}

// Raw returns the value's bytes exactly as they stand in the input.
func (v Value) Raw() []byte { return v.raw }

// Kind says what v is.
func (v Value) Kind() Kind {
	if len(v.raw) == 0 {
		return Absent
	}
	switch v.raw[0] {
	case 'i':
		return Number
	case 'l':
		return List
	case 'd':
		return Dict
	default:
		return String
	}
}

// Bytes returns the content of a string, in the input's memory; ok is false
// when v is none.
func (v Value) Bytes() (s []byte, ok bool) {
	if v.Kind() != String {
		return nil, false
	}
	return v.raw[bytes.IndexByte(v.raw, ':')+1:], true
}

// Int returns a number; ok is false when v is none or is beyond 64 bits.
func (v Value) Int() (n int64, ok bool) {
	if v.Kind() != Number || len(v.raw) > len("i-9223372036854775808e") {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v.raw[1:len(v.raw)-1]), 10, 64)
	return n, err == nil
}

// Items yields the items of a list in their order, and nothing when v is none.
func (v Value) Items() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != List {
			return
		}
		for b := v.raw[1:]; b[0] != 'e'; {
			n := length(b)
			if !yield(Value{b[:n:n]}) {
				return
			}
			b = b[n:]
		}
	}
}

// Entries yields the keys and values of a dictionary as they stand, and
// nothing when v is none.
func (v Value) Entries() iter.Seq2[[]byte, Value] {
	return func(yield func([]byte, Value) bool) {
		if v.Kind() != Dict {
			return
		}
		for b := v.raw[1:]; b[0] != 'e'; {
			k := length(b)
			n := length(b[k:])
			key, _ := Value{b[:k]}.Bytes()
			if !yield(key, Value{b[k : k+n : k+n]}) {
				return
			}
			b = b[k+n:]
		}
	}
}

// length returns the length of the value at the beginning of b, which has
// passed Check.
func length(b []byte) int {
	for i, open := 0, 0; ; {
		switch b[i] {
		case 'i':
			i += bytes.IndexByte(b[i:], 'e') + 1
		case 'l', 'd':
			i++
			open++
		case 'e':
			i++
			open--
		default:
			n := 0
			for ; b[i] != ':'; i++ {
				n = n*10 + int(b[i]-'0')
			}
			i += 1 + n
		}
		if open == 0 {
			return i
		}
	}
}
