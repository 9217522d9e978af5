package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const (
	hash20 = "hhhhhhhhhhhhhhhhhhhh"
	id20   = "-TO0001-iiiiiiiiiiii"
)

// BEP 3, "peer protocol": the layout, drawn byte by byte.
func TestHandshakeLayout(t *testing.T) {
	h := Handshake{InfoHash: [20]byte([]byte(hash20)), PeerID: [20]byte([]byte(id20))}
	h.SetFast()
	want := "\x13BitTorrent protocol" + "\x00\x00\x00\x00\x00\x00\x00\x04" + hash20 + id20
	got := h.Append(nil)
	if string(got) != want || len(got) != HandshakeLen {
		t.Fatalf("%q, want %q", got, want)
	}
	back, err := ParseHandshake(got)
	if err != nil || back != h {
		t.Fatalf("%+v, %v, want %+v", back, err, h)
	}
}

func TestPreambleEndsWithTheInfoHash(t *testing.T) {
	h := Handshake{Reserved: [8]byte{1, 2, 3}, InfoHash: [20]byte([]byte(hash20)), PeerID: [20]byte([]byte(id20))}
	got, err := ParsePreamble(h.Append(nil)[:PreambleLen])
	h.PeerID = [20]byte{}
	if err != nil || got != h {
		t.Fatalf("%+v, %v, want %+v", got, err, h)
	}
}

// BEP 6: the third least significant bit of the last reserved byte.
func TestFastBit(t *testing.T) {
	var h Handshake
	if h.Fast() {
		t.Error("no bit announces Fast")
	}
	h.Reserved = [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb}
	if h.Fast() {
		t.Error("another bit announces Fast")
	}
	h.SetFast()
	if !h.Fast() || h.Reserved[7] != 0xff {
		t.Errorf("SetFast left %x", h.Reserved)
	}
}

func TestWhatIsNotAHandshake(t *testing.T) {
	good := (&Handshake{}).Append(nil)
	wrongLetter := bytes.Clone(good)
	wrongLetter[5] ^= 1
	wrongLength := bytes.Clone(good)
	wrongLength[0] = 18
	for name, b := range map[string][]byte{
		"nothing":                   nil,
		"a byte less":               good[:HandshakeLen-1],
		"a byte more":               append(bytes.Clone(good), 0),
		"another protocol's name":   wrongLetter,
		"another length":            wrongLength,
		"a web browser":             []byte("GET / HTTP/1.1\r\nHost: localhost:6881\r\n" + strings.Repeat("x", 30)),
		"as many bytes of zero":     make([]byte, HandshakeLen),
		"an encrypted peer's bytes": bytes.Repeat([]byte{0xa7}, HandshakeLen),
	} {
		if _, err := ParseHandshake(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v, want ErrProtocol", name, err)
		}
	}
	for _, n := range []int{0, PreambleLen - 1, PreambleLen + 1} {
		if _, err := ParsePreamble(good[:n]); !errors.Is(err, ErrProtocol) {
			t.Errorf("a preamble of %d bytes: %v, want ErrProtocol", n, err)
		}
	}
}

// FuzzHandshake: what is accepted is written again as the same bytes.
func FuzzHandshake(f *testing.F) {
	h := Handshake{InfoHash: [20]byte([]byte(hash20)), PeerID: [20]byte([]byte(id20))}
	f.Add(h.Append(nil))
	f.Add([]byte("\x13BitTorrent protocol"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHandshake(b)
		if err == nil && !bytes.Equal(h.Append(nil), b) {
			t.Fatalf("%q became %q", b, h.Append(nil))
		}
	})
}
