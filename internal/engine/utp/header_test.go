package utp

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

// The form of a packet (BEP 29, "header format").
func TestBEP29Header(t *testing.T) {
	h := header{kind: kindState, id: 0x0102, stamp: 0x03040506, delay: 0x0708090a, window: 0x0b0c0d0e, seq: 0x0f10, ack: 0x1112, sack: []byte{1, 2, 3, 4}}
	want := []byte{0x21, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 0, 4, 1, 2, 3, 4}
	b := h.append(nil)
	if !bytes.Equal(b, want) {
		t.Fatalf("%x, want %x", b, want)
	}
	got, payload, err := parse(append(b, "rest"...))
	if err != nil || string(payload) != "rest" || !reflect.DeepEqual(got, h) {
		t.Errorf("%+v, %q, %v", got, payload, err)
	}
}

// plainHeader is a packet whose first extension is next, followed by more.
func plainHeader(next byte, more ...byte) []byte {
	b := (&header{kind: kindData}).append(nil)
	b[1] = next
	return append(b, more...)
}

func TestPacketsThatAreNone(t *testing.T) {
	unknown := func(n int) []byte {
		var more []byte
		for i := range n {
			next := byte(7)
			if i == n-1 {
				next = 0
			}
			more = append(more, next, 1, 'x')
		}
		return plainHeader(7, more...)
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":                         {nil, errShort},
		"a byte less than a header":       {plainHeader(0)[:headerLen-1], errShort},
		"a header":                        {plainHeader(0), nil},
		"another version":                 {append([]byte{0x02}, plainHeader(0)[1:]...), errVersion},
		"an unknown type":                 {append([]byte{0x51}, plainHeader(0)[1:]...), errKind},
		"an extension cut off":            {plainHeader(1, 0), errShort},
		"an extension longer than all":    {plainHeader(1, 0, 4, 1, 2, 3), errShort},
		"a selective ack of no bytes":     {plainHeader(1, 0, 0), nil},
		"a selective ack of 5 bytes":      {plainHeader(1, 0, 5, 1, 2, 3, 4, 5), nil},
		"a selective ack of 8 bytes":      {plainHeader(1, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8), nil},
		"two selective acks":              {plainHeader(1, 1, 4, 1, 2, 3, 4, 0, 4, 1, 2, 3, 4), errExtension},
		"as many extensions as there may": {unknown(maxExtensions), nil},
		"one more":                        {unknown(maxExtensions + 1), errExtension},
	} {
		if _, _, err := parse(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// On one socket the first byte tells uTP from the DHT (BEP 5), whose packets
// begin with a letter.
func TestPacketsOfTheDHTAreNone(t *testing.T) {
	if b := []byte("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"); Is(b) {
		t.Error("a packet of the DHT is taken for one of uTP")
	}
	if !Is(plainHeader(0)) {
		t.Error("a packet of uTP is not taken for one")
	}
}

// FuzzReceive has a link in each phase take any packet: it breaks nothing that
// holds always, and answers with a bounded number of packets.
func FuzzReceive(f *testing.F) {
	f.Add(plainHeader(0), byte(0))
	f.Add((&header{kind: kindSyn, id: 1}).append(nil), byte(1))
	f.Add((&header{kind: kindState, id: 1, seq: 7, ack: 99, sack: []byte{255, 255, 255, 255}}).append(nil), byte(2))
	f.Add((&header{kind: kindFin, id: 1, seq: 11, ack: 101}).append(nil), byte(2))
	f.Add(append((&header{kind: kindData, seq: 9, ack: 100}).append(nil), "data"...), byte(2))
	f.Fuzz(func(t *testing.T, b []byte, which byte) {
		h, payload, err := parse(b)
		if err != nil {
			return
		}
		var l *link
		switch which % 3 {
		case 0:
			l = dialed(datagram4, 1, 100, 0)
		case 1:
			l = called(1, datagram4, &header{kind: kindSyn, id: 1, seq: 5}, 100, 0)
		case 2:
			l = opened()
		}
		l.flush(1)
		for now := range 3 {
			l.receive(2, &h, payload)
			l.flush(2)
			check(t, l)
			if len(l.out) > 10 {
				t.Fatalf("%d packets answer one, the %d.", len(l.out), now)
			}
		}
		l.expire(l.wake)
		l.flush(l.wake)
		check(t, l)
	})
}
