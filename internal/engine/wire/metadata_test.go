package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMetadataMessagesAsBEP9WritesThem(t *testing.T) {
	for _, c := range []struct {
		m    Metadata
		wire string
	}{
		{Metadata{Kind: MetadataRequest}, "\x03d8:msg_typei0e5:piecei0ee"},
		{Metadata{Kind: MetadataData, TotalSize: 3425, Data: []byte("xxx")}, "\x03d8:msg_typei1e5:piecei0e10:total_sizei3425eexxx"},
		{Metadata{Kind: MetadataReject, Piece: 7}, "\x03d8:msg_typei2e5:piecei7ee"},
	} {
		got := c.m.Message(3)
		if got.ID != Extended || string(got.Payload) != c.wire {
			t.Errorf("%+v: %v %q, want %q", c.m, got.ID, got.Payload, c.wire)
		}
		back, err := ParseMetadata(got.Payload[1:])
		c.m.TotalSize = 0
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.m, back); d != "" {
			t.Errorf("%q: %s", c.wire, d)
		}
	}
}

func TestMetadataMessagesThatAreNone(t *testing.T) {
	for _, bad := range []string{
		"", "x", "i1e", "le", "de", "d5:piecei0ee", "d8:msg_typei0ee", "d8:msg_typei0e5:piecei-1ee",
		"d8:msg_typei0e5:piecei4294967296ee", "d8:msg_typei-1e5:piecei0ee", "d8:msg_typei1e5:piecei0ee",
		"d8:msg_typei1e5:piecei0ee" + strings.Repeat("x", MetadataPiece+1),
		"d1:x" + "1024:" + strings.Repeat("x", 1024) + "8:msg_typei0e5:piecei0ee",
	} {
		if m, err := ParseMetadata([]byte(bad)); err == nil {
			t.Errorf("%.80q: %+v", bad, m)
		}
	}
	for _, n := range []int{1, MetadataPiece - 1, MetadataPiece} {
		if _, err := ParseMetadata([]byte("d8:msg_typei1e5:piecei0ee" + strings.Repeat("x", n))); err != nil {
			t.Errorf("a piece of %d bytes: %v", n, err)
		}
	}
	if m, err := ParseMetadata([]byte("d8:msg_typei3e3:newi1ee")); err != nil || m.Kind != MetadataUnknown {
		t.Errorf("a kind to come: %+v, %v", m, err)
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte("d8:msg_typei0e5:piecei0ee"))
	f.Add([]byte("d8:msg_typei1e5:piecei0e10:total_sizei3425eexxxxxxxx"))
	f.Add([]byte("d8:msg_typei9ee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMetadata(b)
		if err != nil || m.Kind == MetadataUnknown {
			return
		}
		again, err := ParseMetadata(m.Message(1).Payload[1:])
		if err != nil || again.Kind != m.Kind || again.Piece != m.Piece || !bytes.Equal(again.Data, m.Data) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

func TestBitfieldOfATorrentThatIsNotKnownIsBoundedAlone(t *testing.T) {
	for n, ok := range map[uint32]bool{0: true, 1: true, MaxBody - 1: true, MaxBody: true, MaxBody + 1: false} {
		if err := CheckLength(Bitfield, n, UnknownPieces); (err == nil) != ok {
			t.Errorf("a bitfield of %d bytes: %v", n, err)
		}
	}
}
