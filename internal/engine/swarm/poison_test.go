package swarm

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// caller is a peer that calls from an address under an id.
func caller(p Peer, from, id string) Event {
	return Event{Kind: Connected, Peer: p, Addr: netip.MustParseAddrPort(from), PeerID: key(id), Incoming: true, Extended: true}
}

// banned says whether a peer is sent away for good as it comes.
func banned(s *met, e Event) bool {
	s.t.Helper()
	return slices.Contains(s.handle(e).Close, Close{e.Peer, ReasonBanned})
}

// Everybody may take every id: a liar that takes one that belongs to somebody
// else does not have that one banned, and one that comes again is known by its
// address and the id together.
func TestALiarsIDIsBannedAtItsAddressAlone(t *testing.T) {
	s, info := newMet(t)
	s.handle(caller(1, "10.0.0.1:5001", "neighbour")) // So the address is not banned as a whole.
	h := wire.ExtendedHandshake{MetadataSize: int64(len(info))}
	h.SetExtensions(wire.ExtMetadata)
	s.handle(caller(2, "10.0.0.1:5002", "taken"), Event{Kind: Received, Peer: 2, Msg: wire.Extend(0, h.Append(nil))})
	lie := bytes.Repeat([]byte{7}, len(info))
	if fx := s.says(2, piece(lie, 0), piece(lie, 1)); !slices.Contains(fx.Close, Close{2, ReasonBanned}) {
		t.Fatalf("the liar is not banned: %+v", fx.Close)
	}
	s.handle(Event{Kind: Gone, Peer: 2})
	if !banned(s, caller(3, "10.0.0.1:5003", "taken")) {
		t.Error("the liar calls from another port, and gets in")
	}
	if !banned(s, caller(4, "10.0.0.1:5002", "other")) {
		t.Error("the liar calls under another id, and gets in")
	}
	if banned(s, caller(5, "10.0.0.2:5002", "taken")) {
		t.Error("whom the id belongs to is sent away")
	}
	if banned(s, caller(6, "10.0.0.1:5004", "other")) {
		t.Error("another peer at the liar's address is sent away")
	}
}
