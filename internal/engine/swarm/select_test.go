package swarm

import (
	"net/netip"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// chosen is a swarm of a torrent of pieces of one block, of which some are
// wanted and some are here, with one peer that has these and lets us ask.
func chosen(pieces int, wanted, have, theirs []int) (*Swarm, *Effects) {
	set := func(in []int) *bitfield.Bitfield {
		b := bitfield.New(pieces)
		for _, i := range in {
			b.Set(i)
		}
		return b
	}
	s := New(epoch, Config{
		Pieces: pieces, PieceLength: block.Size, Length: int64(pieces) * block.Size, Seed: 1,
		Have: set(have), Wanted: []*bitfield.Bitfield{set(wanted)},
	})
	return s, s.Handle(epoch, []Event{
		{Kind: Connected, Peer: 1, Addr: netip.MustParseAddrPort("10.0.0.1:1"), Fast: true, PeerID: key("1")},
		{Kind: Received, Peer: 1, Msg: wire.Message{ID: wire.Bitfield, Payload: set(theirs).Bytes()}},
		{Kind: Received, Peer: 1, Msg: wire.Message{ID: wire.Unchoke}},
	})
}

// said counts the messages of a kind, and returns the pieces they name.
func said(fx *Effects, id wire.ID) (pieces []uint32) {
	for _, m := range fx.Send {
		if m.Msg.ID == id {
			pieces = append(pieces, m.Msg.Index)
		}
	}
	return pieces
}

func TestAPeerWithNothingThatIsWantedIsNotInteresting(t *testing.T) {
	s, fx := chosen(20, []int{1, 2}, nil, []int{5, 6})
	if n := len(said(fx, wire.Interested)) + len(said(fx, wire.Request)); n != 0 {
		t.Errorf("it is interested in, or asks for, what nobody wants: %d messages", n)
	}
	fx = s.Handle(epoch, []Event{{Kind: Received, Peer: 1, Msg: wire.Message{ID: wire.Have, Index: 2}}})
	if len(said(fx, wire.Interested)) != 1 {
		t.Error("it is not interested in a piece that is wanted")
	}
	if got := said(fx, wire.Request); len(got) != 1 || got[0] != 2 {
		t.Errorf("it asks for %v", got)
	}
}

func TestASelectionIsCompleteWhenEverythingWantedIsVerified(t *testing.T) {
	s, fx := chosen(20, []int{1, 2}, []int{1}, []int{2, 3})
	if got := said(fx, wire.Request); len(got) != 1 || got[0] != 2 || s.Complete() || s.Missing() != 1 {
		t.Fatalf("it asks for %v, %d are missing", got, s.Missing())
	}
	s.Handle(epoch, []Event{{Kind: Block, Peer: 1, Fresh: true, Msg: wire.Message{ID: wire.Piece, Index: 2, Length: block.Size}}})
	fx = s.Handle(epoch, []Event{{Kind: PieceDone, OK: true, Msg: wire.Message{Index: 2}}})
	if !fx.Completed || !s.Complete() || s.Have().IsFull() {
		t.Errorf("completed %v, complete %v", fx.Completed, s.Complete())
	}
	if got := said(fx, wire.Have); len(got) != 1 || got[0] != 2 || len(said(fx, wire.NotInterested)) != 1 {
		t.Errorf("it tells of %v, and that it is not interested any more %d times", got, len(said(fx, wire.NotInterested)))
	}
	if len(fx.Close) != 0 {
		t.Error("a peer that lacks pieces which are here was sent away")
	}
	fx = s.Handle(epoch, []Event{
		{Kind: Connected, Peer: 2, Addr: netip.MustParseAddrPort("10.0.0.2:1"), Fast: true, PeerID: key("2")},
		{Kind: Received, Peer: 2, Msg: wire.Message{ID: wire.HaveAll}},
	})
	if len(fx.Close) != 1 || fx.Close[0].Reason != ReasonSeeds {
		t.Errorf("a seed stays, of which nothing is wanted and that wants nothing: %v", fx.Close)
	}
	if fx.NeedPeers {
		t.Error("it asks for more peers, of which nothing is wanted")
	}
	s.Handle(epoch, []Event{{Kind: PieceLost, Msg: wire.Message{Index: 1}}})
	if s.Complete() || s.Missing() != 1 {
		t.Error("a wanted piece was lost, and it is complete")
	}
}

func TestWhatWasVerifiedAndIsNotWantedAnyMoreIsServed(t *testing.T) {
	s, _ := chosen(20, []int{1, 2}, []int{1, 2, 9}, []int{3})
	if !s.Complete() {
		t.Error("it is complete")
	}
	fx := s.Handle(epoch, []Event{{Kind: Received, Peer: 1, Msg: wire.Message{ID: wire.Interested}}})
	if len(said(fx, wire.Unchoke)) != 1 {
		t.Fatal("the peer is not unchoked")
	}
	fx = s.Handle(epoch, []Event{{Kind: Received, Peer: 1, Msg: wire.Message{ID: wire.Request, Index: 9, Length: block.Size}}})
	if got := said(fx, wire.Piece); len(got) != 1 || got[0] != 9 {
		t.Errorf("it serves %v, want piece 9", got)
	}
}
