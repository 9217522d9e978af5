// Package bencode reads and writes bencoding (BEP 3, "bencoding") from
// strangers. It is the bounded front of github.com/zeebo/bencode and its only
// importer: that library trusts lengths, recurses without end, ignores what
// follows a value, and may panic. Here every byte is checked against [Limits]
// before the library sees it.
//
// There are two ways to read. [Unmarshal] fills Go values by reflection and
// suits small messages; it may take some twenty times the input's size in
// memory. [View] looks at a value where it stands, copies nothing, and suits
// large files.
//
// Keys of a dictionary may stand in any order, as files of some old programs
// have them, but no key may stand in it twice: two readers would disagree on
// what it means.
package bencode

import (
	"errors"
	"fmt"

	"github.com/zeebo/bencode"
)

var (
	// ErrSyntax is matched by errors about bytes that are not bencoding, or
	// not in its one canonical form, or cut short.
	ErrSyntax = errors.New("bad bencoding")
	// ErrTrailing is matched by errors about bytes after the value.
	ErrTrailing = errors.New("bytes after the end of the bencoded value")
	// ErrLimit is matched by errors about values beyond [Limits].
	ErrLimit = errors.New("bencoded value beyond its limit")
)

// Limits bound what is read. The zero value allows nothing.
type Limits struct {
	Size  int64 // Bytes that the whole value may take.
	Depth int   // Lists and dictionaries that may stand within one another.
}

// RawMessage is one bencoded value kept as it stands: as a field of what is
// read or written, it takes or gives the bytes themselves.
type RawMessage = bencode.RawMessage

// Unmarshal reads b, which must be exactly one value, into what v points to.
// Errors match [ErrSyntax], [ErrTrailing] or [ErrLimit], or say which types
// do not fit. Fields are named by tags such as `bencode:"name"`; keys without
// a field are passed over. Use fields of type int64 for numbers: in a narrower
// one the library drops the high bits. Nothing in v refers to b afterwards.
func Unmarshal(b []byte, v any, l Limits) error {
	if err := whole(b, l); err != nil {
		return err
	}
	return decode(b, v)
}

// UnmarshalPrefix is as [Unmarshal] for a value at the beginning of b, and
// returns what follows it: the data of a metadata message (BEP 9).
// Limits.Size bounds the value alone.
func UnmarshalPrefix(b []byte, v any, l Limits) (rest []byte, err error) {
	n, err := Check(b, l)
	if err != nil {
		return nil, err
	}
	return b[n:], decode(b[:n], v)
}

// Marshal writes v. Keys of maps and structs come out sorted.
func Marshal(v any) (b []byte, err error) {
	defer catch(&err)
	if b, err = bencode.EncodeBytes(v); err != nil {
		return nil, fmt.Errorf("bencoding %T: %w", v, err)
	}
	return b, nil
}

// whole checks that b is exactly one value.
func whole(b []byte, l Limits) error {
	if int64(len(b)) > l.Size {
		return fmt.Errorf("%w: %d bytes, of which %d are allowed", ErrLimit, len(b), l.Size)
	}
	n, err := Check(b, l)
	if err != nil {
		return err
	}
	if n < len(b) {
		return fmt.Errorf("%w: it ends at byte %d of %d", ErrTrailing, n, len(b))
	}
	return nil
}

// decode hands bytes that Check has passed to the library.
func decode(b []byte, v any) (err error) {
	defer catch(&err)
	if err := bencode.DecodeBytes(b, v); err != nil {
		return fmt.Errorf("reading bencoding into %T: %w", v, err)
	}
	return nil
}

// catch makes a panic of the library an error.
func catch(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("bencoding does not fit: %v", r)
	}
}
