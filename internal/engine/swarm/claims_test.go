package swarm

import (
	"bytes"
	"slices"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func bitfieldOf(n int) wire.Message {
	return wire.Message{ID: wire.Bitfield, Payload: make([]byte, n)}
}

// A peer that fills the room for bitfields is the one that goes, not those who
// speak after it.
func TestOnePeerCantHaveOthersSentAwayBeforeTheTorrentIsKnown(t *testing.T) {
	s, info := newMet(t)
	greedy := Peer(1)
	for ; s.early.bytes+maxEarlyPieces/8 <= maxKeptBytes; greedy++ {
		s.connect(greedy, len(info))
		for range 64 { // Only one of them is kept.
			if fx := s.says(greedy, bitfieldOf(maxEarlyPieces/8)); len(fx.Close) > 0 {
				t.Fatalf("%d is closed: %+v", greedy, fx.Close)
			}
		}
	}
	for p := greedy; p < greedy+10; p++ {
		s.connect(p, len(info))
		for _, e := range s.says(p, bitfieldOf(100_000)).Close {
			if e.Peer >= greedy || e.Reason != ReasonEarly {
				t.Errorf("%d is closed for %q, who is honest", e.Peer, e.Reason)
			}
		}
	}
	if s.early.bytes > maxKeptBytes {
		t.Errorf("%d bytes are kept", s.early.bytes)
	}
}

func TestWhatIsKeptUntilTheTorrentIsKnownIsBounded(t *testing.T) {
	for _, extra := range []int{-1, 0, 1} {
		s, info := newMet(t)
		left := maxKeptBytes + extra
		for p := Peer(1); left > 0; p++ {
			n := min(left, maxEarlyPieces/8)
			s.connect(p, len(info))
			fx := s.says(p, bitfieldOf(n))
			if left -= n; (len(fx.Close) > 0) != (left == 0 && extra > 0) {
				t.Errorf("%d bytes beyond, %d left: %+v", extra, left, fx.Close)
			}
		}
		for _, p := range slices.Clone(s.peers) {
			s.handle(Event{Kind: Gone, Peer: p.id})
		}
		if s.early.bytes != 0 {
			t.Errorf("%d bytes of who is gone are still counted", s.early.bytes)
		}
	}
}

func TestPiecesThatNoTorrentHasEndTheConnection(t *testing.T) {
	for n, ok := range map[int]bool{0: false, 1: true, maxEarlyPieces/8 - 1: true, maxEarlyPieces / 8: true, maxEarlyPieces/8 + 1: false} {
		s, info := newMet(t)
		s.connect(1, len(info))
		if fx := s.says(1, bitfieldOf(n)); (len(fx.Close) == 0) != ok {
			t.Errorf("a bitfield of %d bytes: %+v", n, fx.Close)
		}
	}
	for piece, ok := range map[uint32]bool{maxEarlyPieces - 1: true, maxEarlyPieces: false, 1<<32 - 1: false} {
		s, info := newMet(t)
		s.connect(1, len(info))
		if fx := s.says(1, wire.Message{ID: wire.Have, Index: piece}); (len(fx.Close) == 0) != ok {
			t.Errorf("piece %d: %+v", piece, fx.Close)
		}
	}
	s, info := newMet(t)
	s.connect(1, len(info))
	if fx := s.says(1, bitfieldOf(1), bitfieldOf(2)); len(fx.Close) != 1 || fx.Close[0].Reason != ReasonBitfield {
		t.Errorf("bitfields of two lengths: %+v", fx.Close)
	}
}

func TestABusyPeerStaysUntilTheTorrentIsKnown(t *testing.T) {
	s, info := newMet(t)
	s.connect(1, len(info))
	for i := range 20_000 {
		have := wire.Message{ID: wire.Have, Index: uint32(i)}
		if fx := s.says(1, have, have, wire.Message{ID: wire.Choke}, wire.Message{ID: wire.Unchoke}); len(fx.Close) > 0 {
			t.Fatalf("after %d pieces: %+v", i, fx.Close)
		}
	}
	if limit := 20_000/8 + keepStep; s.early.bytes > limit {
		t.Errorf("%d bytes are kept of 20,000 pieces", s.early.bytes)
	}
}

// Whatever a peer said early is worth as much as if it had said it later.
func TestWhatWasSaidEarlyCountsOnceTheTorrentIsKnown(t *testing.T) {
	have := func(i uint32) wire.Message { return wire.Message{ID: wire.Have, Index: i} }
	lost := func(i uint32) wire.Message { return wire.DontHave(uint8(wire.ExtDontHave), i) }
	some := func(b ...byte) wire.Message { return wire.Message{ID: wire.Bitfield, Payload: bytes.Clone(b)} }
	all, none := wire.Message{ID: wire.HaveAll}, wire.Message{ID: wire.HaveNone}
	for what, c := range map[string]struct {
		says   []wire.Message
		want   string
		reason string
	}{
		"nothing":                   {nil, "00000000000", ""},
		"none":                      {[]wire.Message{none}, "00000000000", ""},
		"none, then one":            {[]wire.Message{none, have(10)}, "00000000001", ""},
		"all":                       {[]wire.Message{all}, "11111111111", ""},
		"all but one":               {[]wire.Message{all, lost(9)}, "11111111101", ""},
		"lost and got":              {[]wire.Message{all, lost(9), lost(1), have(9)}, "10111111111", ""},
		"lost, then a bitfield":     {[]wire.Message{all, lost(9), lost(1), some(0x40, 0)}, "11111111101", ""},
		"one by one":                {[]wire.Message{have(0), have(10), have(10)}, "10000000001", ""},
		"got and lost":              {[]wire.Message{have(0), have(10), lost(0)}, "00000000001", ""},
		"a bitfield":                {[]wire.Message{some(0x80, 0x20)}, "10000000001", ""},
		"a bitfield, then one":      {[]wire.Message{some(0x80, 0x20), have(1)}, "11000000001", ""},
		"one, then a bitfield":      {[]wire.Message{have(1), some(0x80, 0x20)}, "11000000001", ""},
		"two bitfields":             {[]wire.Message{some(0x80, 0x20), some(0x40, 0)}, "11000000001", ""},
		"a bitfield too short":      {[]wire.Message{some(0x80)}, "", ReasonBitfield},
		"a bitfield too long":       {[]wire.Message{some(0x80, 0, 0)}, "", ReasonBitfield},
		"spare bits":                {[]wire.Message{some(0x80, 0x10)}, "", ReasonBitfield},
		"a piece that there is not": {[]wire.Message{have(11)}, "", ReasonBitfield},
		"one far beyond":            {[]wire.Message{have(100)}, "", ReasonBitfield},
		"all twice":                 {[]wire.Message{all, all}, "", ReasonBitfieldLate},
	} {
		s, info := newMet(t)
		s.connect(1, len(info))
		p := s.byID[1]
		s.says(1, append(slices.Clone(c.says), wire.Message{ID: wire.Unchoke}, wire.Message{ID: wire.Interested},
			wire.Message{ID: wire.AllowedFast, Index: 3}, wire.Message{ID: wire.Suggest, Index: 4})...)
		torrent, _ := aTorrent()
		torrent.Pieces, torrent.Length = 11, 22*block.Size
		s.Learn(s.now, torrent.Metadata, false)
		s.Resolve(s.now, torrent)
		if err := s.check(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if p.reason != c.reason {
			t.Errorf("%s: it is closed for %q, want %q", what, p.reason, c.reason)
		}
		if p.closing {
			continue
		}
		got := ""
		for i := range uint32(11) {
			got += map[bool]string{false: "0", true: "1"}[p.pick.Has(i)]
		}
		if got != c.want {
			t.Errorf("%s: it has %s, want %s", what, got, c.want)
		}
		if !p.unchokedUs || !p.interested || !slices.Equal(p.allowed, []uint32{3}) || !slices.Equal(p.suggested, []uint32{4}) {
			t.Errorf("%s: %+v", what, p)
		}
	}
}

func TestAMessageWithoutFastEndsTheConnectionBeforeTheTorrentIsKnown(t *testing.T) {
	s, _ := newMet(t)
	sc, e := &script{}, Event{Peer: 1}
	sc.connect(&e, []string{"extended"})
	s.handle(e)
	if fx := s.says(1, wire.Message{ID: wire.HaveAll}); len(fx.Close) != 1 || fx.Close[0].Reason != ReasonFast {
		t.Errorf("%+v", fx.Close)
	}
}
