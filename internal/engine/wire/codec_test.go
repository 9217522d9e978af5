package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

// layouts are all messages and how BEP 3, 5, 6 and 10 draw them.
var layouts = []struct {
	msg  Message
	wire string
}{
	{Message{ID: KeepAlive}, "\x00\x00\x00\x00"},
	{Message{ID: Choke}, "\x00\x00\x00\x01\x00"},
	{Message{ID: Unchoke}, "\x00\x00\x00\x01\x01"},
	{Message{ID: Interested}, "\x00\x00\x00\x01\x02"},
	{Message{ID: NotInterested}, "\x00\x00\x00\x01\x03"},
	{Message{ID: Have, Index: 0x01020304}, "\x00\x00\x00\x05\x04\x01\x02\x03\x04"},
	{Message{ID: Bitfield, Payload: []byte{0x80, 0x01}}, "\x00\x00\x00\x03\x05\x80\x01"},
	{Message{ID: Request, Index: 1, Begin: 0x4000, Length: 0x4000}, "\x00\x00\x00\x0d\x06\x00\x00\x00\x01\x00\x00\x40\x00\x00\x00\x40\x00"},
	{Message{ID: Piece, Index: 7, Begin: 0x8000, Length: 0x100}, "\x00\x00\x01\x09\x07\x00\x00\x00\x07\x00\x00\x80\x00"},
	{Message{ID: Cancel, Index: 2, Begin: 0, Length: 1}, "\x00\x00\x00\x0d\x08\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01"},
	{Message{ID: Port, Index: 6881}, "\x00\x00\x00\x03\x09\x1a\xe1"},
	{Message{ID: Suggest, Index: 3}, "\x00\x00\x00\x05\x0d\x00\x00\x00\x03"},
	{Message{ID: HaveAll}, "\x00\x00\x00\x01\x0e"},
	{Message{ID: HaveNone}, "\x00\x00\x00\x01\x0f"},
	{Message{ID: Reject, Index: 1, Begin: 2, Length: 3}, "\x00\x00\x00\x0d\x10\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03"},
	{Message{ID: AllowedFast, Index: 4}, "\x00\x00\x00\x05\x11\x00\x00\x00\x04"},
	{Message{ID: Extended, Payload: []byte("\x00de")}, "\x00\x00\x00\x04\x14\x00de"},
}

func TestLayoutOfEveryMessage(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.msg.ID.String(), func(t *testing.T) {
			if got := Append([]byte("before"), l.msg); string(got) != "before"+l.wire {
				t.Fatalf("Append: %q, want %q", got[6:], l.wire)
			}
			switch l.msg.ID {
			case KeepAlive:
			case Piece:
				n := binary.BigEndian.Uint32([]byte(l.wire)) - 1
				if got := ParsePiece([]byte(l.wire[HeaderLen:]), n); !reflect.DeepEqual(got, l.msg) {
					t.Fatalf("ParsePiece: %+v, want %+v", got, l.msg)
				}
			default:
				got, err := Parse(l.msg.ID, []byte(l.wire[HeaderLen:]))
				if err != nil || !reflect.DeepEqual(got, l.msg) {
					t.Fatalf("Parse: %+v, %v, want %+v", got, err, l.msg)
				}
			}
		})
	}
}

func TestParseRefusesWrongLengths(t *testing.T) {
	for _, l := range layouts {
		id := l.msg.ID
		if id == KeepAlive || id == Piece || id == Bitfield || id == Extended {
			continue
		}
		body := l.wire[HeaderLen:]
		for _, wrong := range []string{body + "x", body + strings.Repeat("x", MaxBody)} {
			if _, err := Parse(id, []byte(wrong)); err == nil {
				t.Errorf("%v with %d bytes too many is accepted", id, len(wrong)-len(body))
			}
		}
		if len(body) > 0 {
			if _, err := Parse(id, []byte(body[:len(body)-1])); err == nil {
				t.Errorf("%v with a byte too few is accepted", id)
			}
			if _, err := Parse(id, nil); err == nil {
				t.Errorf("%v without a body is accepted", id)
			}
		}
	}
}

func TestParseRefusesWhatIsNotAMessageOfItsOwn(t *testing.T) {
	for _, id := range []ID{Piece, KeepAlive, 10, 11, 12, 18, 19, 21, 22, 254} {
		if m, err := Parse(id, make([]byte, 16)); err == nil {
			t.Errorf("%v is parsed as %+v", id, m)
		}
	}
}

// BEP 3, "request": connections that ask for more than 2^14 bytes are closed.
func TestBlockLengthLimits(t *testing.T) {
	for _, id := range []ID{Request, Cancel, Reject} {
		for length, ok := range map[uint32]bool{0: false, 1: true, MaxBlock - 1: true, MaxBlock: true, MaxBlock + 1: false, math.MaxUint32: false} {
			body := Append(nil, Message{ID: id, Length: length})[HeaderLen:]
			if _, err := Parse(id, body); (err == nil) != ok {
				t.Errorf("%v of %d bytes: %v, want accepted %v", id, length, err, ok)
			}
		}
	}
}

func TestLengthLimits(t *testing.T) {
	const pieces = 4_018_567
	for _, c := range []struct {
		id          ID
		least, most uint32
		pieces      int
	}{
		{Choke, 0, 0, 1}, {Unchoke, 0, 0, 1}, {Interested, 0, 0, 1}, {NotInterested, 0, 0, 1},
		{HaveAll, 0, 0, 1}, {HaveNone, 0, 0, 1},
		{Have, 4, 4, 1}, {Suggest, 4, 4, 1}, {AllowedFast, 4, 4, 1},
		{Request, 12, 12, 1}, {Cancel, 12, 12, 1}, {Reject, 12, 12, 1},
		{Port, 2, 2, 1},
		{Bitfield, 1, 1, 1}, {Bitfield, 1, 1, 8}, {Bitfield, 2, 2, 9}, {Bitfield, 502_321, 502_321, pieces},
		{Piece, 9, 8 + 16384, 1},
		{Extended, 1, 64 << 10, 1},
		{10, 0, 1 << 20, 1}, {21, 0, 1 << 20, 1},
	} {
		name := fmt.Sprintf("%v in %d pieces", c.id, c.pieces)
		for n, ok := range map[uint32]bool{c.least: true, c.most: true, c.most + 1: false, math.MaxUint32: false, math.MaxUint32 - 1: false} {
			if err := CheckLength(c.id, n, c.pieces); (err == nil) != ok {
				t.Errorf("%s, a body of %d: %v, want accepted %v", name, n, err, ok)
			}
		}
		if c.least > 0 {
			if err := CheckLength(c.id, c.least-1, c.pieces); err == nil {
				t.Errorf("%s: a body of %d is accepted", name, c.least-1)
			}
		}
	}
}

func TestParseBoundsABitfield(t *testing.T) {
	if _, err := Parse(Bitfield, make([]byte, MaxBody)); err != nil {
		t.Error(err)
	}
	if _, err := Parse(Bitfield, make([]byte, MaxBody+1)); err == nil {
		t.Error("a bitfield beyond the limit is accepted")
	}
}

func TestPayloadIsACopy(t *testing.T) {
	for _, id := range []ID{Bitfield, Extended} {
		body := []byte("abc")
		m, err := Parse(id, body)
		if err != nil {
			t.Fatal(err)
		}
		copy(body, "xyz")
		if string(m.Payload) != "abc" {
			t.Errorf("the payload of %v changed with the buffer it was read from", id)
		}
	}
}

func TestKnownAndNeedsFast(t *testing.T) {
	var known, fast []ID
	for id := ID(0); ; id++ {
		if Known(id) {
			known = append(known, id)
		}
		if NeedsFast(id) {
			fast = append(fast, id)
		}
		if id == 255 {
			break
		}
	}
	if want := []ID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 20}; !reflect.DeepEqual(known, want) {
		t.Errorf("known: %v, want %v", known, want)
	}
	if want := []ID{Suggest, HaveAll, HaveNone, Reject, AllowedFast}; !reflect.DeepEqual(fast, want) {
		t.Errorf("needs Fast: %v, want %v", fast, want)
	}
}

func TestEveryMessageHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range layouts {
		name := l.msg.ID.String()
		if seen[name] || strings.HasPrefix(name, "number") {
			t.Errorf("%d is called %q", l.msg.ID, name)
		}
		seen[name] = true
	}
	if got := ID(99).String(); got != "number 99" {
		t.Errorf("an unknown message is called %q", got)
	}
}

func TestAppendDoesNotAllocateForSmallMessages(t *testing.T) {
	buf := make([]byte, 0, 64)
	n := testing.AllocsPerRun(100, func() {
		b := Append(buf, Message{ID: Request, Index: 1, Begin: 2, Length: 3})
		Append(b, Message{ID: Have, Index: 1})
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse: whatever is accepted is written again as the same bytes, and
// nothing else happens than acceptance or an error.
func FuzzParse(f *testing.F) {
	for _, l := range layouts {
		if l.msg.ID != KeepAlive {
			f.Add(byte(l.msg.ID), []byte(l.wire[HeaderLen:]))
		}
	}
	f.Add(byte(6), bytes.Repeat([]byte{0xff}, 12))
	f.Add(byte(255), []byte{})
	f.Fuzz(func(t *testing.T, id byte, body []byte) {
		m, err := Parse(ID(id), body)
		if err != nil {
			return
		}
		if ID(id) != Bitfield {
			if err := CheckLength(ID(id), uint32(len(body)), 0); err != nil {
				t.Fatalf("parsed, yet %v", err)
			}
		}
		again := Append(nil, m)
		if n := binary.BigEndian.Uint32(again); int(n) != len(again)-LengthLen {
			t.Fatalf("the length prefix says %d, and %d bytes follow", n, len(again)-LengthLen)
		}
		if again[LengthLen] != id || !bytes.Equal(again[HeaderLen:], body) {
			t.Fatalf("%d %q became %q", id, body, again)
		}
	})
}
