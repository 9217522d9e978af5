package bencode

import (
	"bytes"
	"fmt"
	"slices"
)

// maxUnsorted is how many keys a dictionary may have whose keys are not
// sorted. To find a key that comes twice all of them must be kept, so there is
// an end to that; files and replies that go unsorted have a few dozen.
const maxUnsorted = 4096

// Check returns the length of the value at the beginning of b, after it has
// made sure that the value is canonical bencoding within l: numbers and
// lengths without leading zeros or a plus sign, no string longer than what
// remains, keys that are strings and come once. A number may have any count of
// digits. Errors match [ErrSyntax] or [ErrLimit] and name the offset.
func Check(b []byte, l Limits) (n int, err error) {
	c := checker{b: b}
	if int64(len(b)) > l.Size {
		c.b, c.cut = b[:max(l.Size, 0)], true
	}
	return c.value(0, l.Depth)
}

type checker struct {
	b    []byte
	cut  bool     // b ends where the size limit does, not where the input does.
	keys [][]byte // Keys of all dictionaries that are open, outermost first.
}

// value returns the end of the value at i, in which depth more lists and
// dictionaries may open.
func (c *checker) value(i, depth int) (end int, err error) {
	if i >= len(c.b) {
		return 0, c.short()
	}
	switch ch := c.b[i]; {
	case ch == 'i':
		return c.number(i)
	case digit(ch):
		_, end, err = c.str(i)
		return end, err
	case ch != 'l' && ch != 'd':
		return 0, c.bad(i, "no value begins with %q", ch)
	case depth <= 0:
		return 0, fmt.Errorf("%w: lists and dictionaries nested too deep at byte %d", ErrLimit, i)
	case ch == 'l':
		return c.list(i, depth-1)
	default:
		return c.dict(i, depth-1)
	}
}

func (c *checker) list(i, depth int) (end int, err error) {
	for i++; i < len(c.b); {
		if c.b[i] == 'e' {
			return i + 1, nil
		}
		if i, err = c.value(i, depth); err != nil {
			return 0, err
		}
	}
	return 0, c.short()
}

func (c *checker) dict(i, depth int) (end int, err error) {
	start, base := i, len(c.keys)
	defer func() { c.keys = c.keys[:base] }()
	var last []byte
	count, sorted := 0, true
	for i++; i < len(c.b); count++ {
		if c.b[i] == 'e' {
			if sorted {
				return i + 1, nil
			}
			return i + 1, c.unsorted(start, base, count)
		}
		if !digit(c.b[i]) {
			return 0, c.bad(i, "a key must be a string")
		}
		key, after, err := c.str(i)
		if err != nil {
			return 0, err
		}
		if count > 0 {
			switch order := bytes.Compare(last, key); {
			case order == 0:
				return 0, c.bad(i, "key %.40q comes twice", key)
			case order > 0:
				sorted = false
			}
		}
		if last = key; count < maxUnsorted {
			c.keys = append(c.keys, key)
		}
		if i, err = c.value(after, depth); err != nil {
			return 0, err
		}
	}
	return 0, c.short()
}

// unsorted looks for a key that comes twice in the dictionary at start, whose
// count keys stand in c.keys from base on.
func (c *checker) unsorted(start, base, count int) error {
	if count > maxUnsorted {
		return fmt.Errorf("%w: the dictionary at byte %d has %d keys and they are not sorted", ErrLimit, start, count)
	}
	keys := c.keys[base:]
	slices.SortFunc(keys, bytes.Compare)
	for k := 1; k < len(keys); k++ {
		if bytes.Equal(keys[k-1], keys[k]) {
			return c.bad(start, "key %.40q comes twice in this dictionary", keys[k])
		}
	}
	return nil
}

func (c *checker) number(start int) (end int, err error) {
	i := start + 1
	if i < len(c.b) && c.b[i] == '-' {
		i++
	}
	first := i
	for i < len(c.b) && digit(c.b[i]) {
		i++
	}
	switch {
	case i == len(c.b):
		return 0, c.short()
	case c.b[i] != 'e' || i == first:
		return 0, c.bad(start, "a number must be digits between i and e")
	case c.b[first] == '0' && i-start > 2:
		return 0, c.bad(start, "a number must not have leading zeros or be minus zero")
	}
	return i + 1, nil
}

// str returns the string at start, where a digit stands, and its end.
func (c *checker) str(start int) (s []byte, end int, err error) {
	n, i := 0, start
	for ; i < len(c.b) && digit(c.b[i]); i++ {
		if n = n*10 + int(c.b[i]-'0'); n > len(c.b) {
			if c.cut {
				return nil, 0, c.short()
			}
			return nil, 0, c.bad(start, "a string longer than the %d bytes that remain", len(c.b)-i)
		}
	}
	switch {
	case i == len(c.b):
		return nil, 0, c.short()
	case c.b[i] != ':':
		return nil, 0, c.bad(start, "a string's length must be followed by a colon")
	case c.b[start] == '0' && i-start > 1:
		return nil, 0, c.bad(start, "a string's length must not have leading zeros")
	case n > len(c.b)-i-1 && c.cut:
		return nil, 0, c.short()
	case n > len(c.b)-i-1:
		return nil, 0, c.bad(start, "a string of %d bytes where %d remain", n, len(c.b)-i-1)
	}
	return c.b[i+1 : i+1+n], i + 1 + n, nil
}

func (c *checker) short() error {
	if c.cut {
		return fmt.Errorf("%w: longer than the %d bytes allowed", ErrLimit, len(c.b))
	}
	return c.bad(len(c.b), "the input ends in the middle of a value")
}

func (c *checker) bad(at int, format string, args ...any) error {
	return fmt.Errorf("%w at byte %d: %s", ErrSyntax, at, fmt.Sprintf(format, args...))
}

func digit(ch byte) bool { return '0' <= ch && ch <= '9' }
