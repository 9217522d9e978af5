package swarm

import (
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// claims is what a peer has said of pieces before it is known what a piece is.
// It is what its messages come to, not the messages, so it does not grow with
// their number.
type claims struct {
	told     bool   // It has said what it has, by one message for all,
	all      bool   // which was "have all",
	length   int    // or a bitfield of so many bytes.
	contrary []byte // A bitfield of the pieces of which the contrary of all is true.

	unchoked, interested bool
	allowed, suggested   []uint32
}

// keep takes in a message that can't be understood until it is known what a
// piece is.
func (s *Swarm) keep(p *peer, m *wire.Message) {
	switch k := &p.claims; m.ID {
	case wire.Choke, wire.Unchoke:
		k.unchoked = m.ID == wire.Unchoke
	case wire.Interested, wire.NotInterested:
		k.interested = m.ID == wire.Interested
	case wire.Have:
		s.keepPiece(p, m.Index, true)
	case wire.HaveAll, wire.HaveNone:
		if k.told {
			s.close(p, ReasonBitfieldLate)
			return
		}
		k.told, k.all = true, m.ID == wire.HaveAll
		if k.all {
			s.keepBits(p, nil)
		}
	case wire.Bitfield:
		s.keepBitfield(p, m.Payload)
	case wire.Suggest:
		k.suggested = hint(k.suggested, m.Index)
	case wire.AllowedFast:
		k.allowed = hint(k.allowed, m.Index)
	}
}

// keepBitfield takes in a bitfield, which only adds to what the peer has, as
// in hasTold.
func (s *Swarm) keepBitfield(p *peer, b []byte) {
	k := &p.claims
	if len(b) == 0 || len(b) > maxEarlyPieces/8 || k.length != 0 && len(b) != k.length {
		s.close(p, ReasonBitfield)
		return
	}
	k.told, k.length = true, len(b)
	if k.all {
		for i := range min(len(b), len(k.contrary)) {
			k.contrary[i] &^= b[i]
		}
		return
	}
	for i, x := range k.contrary[:min(len(b), len(k.contrary))] {
		b[i] |= x
	}
	if len(b) < len(k.contrary) {
		b = append(b, k.contrary[len(b):]...)
	}
	s.keepBits(p, b)
}

// keepPiece takes in that a peer has or has lost a piece.
func (s *Swarm) keepPiece(p *peer, piece uint32, has bool) {
	if piece >= maxEarlyPieces {
		s.close(p, ReasonIndex)
		return
	}
	k, at, bit := &p.claims, int(piece/8), byte(0x80)>>(piece%8)
	switch {
	case has == k.all && at < len(k.contrary):
		k.contrary[at] &^= bit
	case has != k.all && at < len(k.contrary):
		k.contrary[at] |= bit
	case has != k.all:
		// It grows by more than is needed, so that it is copied seldom.
		grown := make([]byte, min(at+keepStep, maxEarlyPieces/8))
		copy(grown, k.contrary)
		grown[at] |= bit
		s.keepBits(p, grown)
	}
}

// keepBits sets what is kept of a peer's pieces. If that is too much of all
// peers, the one with the most has to go, so that a few can't fill the room
// and have others sent away.
func (s *Swarm) keepBits(p *peer, b []byte) {
	s.early.bytes += len(b) - len(p.claims.contrary)
	p.claims.contrary = b
	if s.early.bytes > maxKeptBytes {
		s.close(slices.MaxFunc(s.peers, func(a, b *peer) int {
			return len(a.claims.contrary) - len(b.claims.contrary)
		}), ReasonEarly)
	}
}

// recall follows what a peer said early, now that it is known what a piece is.
func (s *Swarm) recall(p *peer) {
	k := p.claims
	p.claims = claims{}
	if !s.recallPieces(p, &k) {
		s.close(p, ReasonBitfield)
	}
	var ms []wire.Message
	if k.unchoked {
		ms = append(ms, wire.Message{ID: wire.Unchoke})
	}
	if k.interested {
		ms = append(ms, wire.Message{ID: wire.Interested})
	}
	for _, piece := range k.allowed {
		ms = append(ms, wire.Message{ID: wire.AllowedFast, Index: piece})
	}
	for _, piece := range k.suggested {
		ms = append(ms, wire.Message{ID: wire.Suggest, Index: piece})
	}
	for i := range ms {
		if !p.closing {
			s.received(p, &ms[i])
		}
	}
}

// recallPieces follows what a peer said that it has. It returns false if the
// torrent has no such pieces.
func (s *Swarm) recallPieces(p *peer, k *claims) bool {
	n := (s.c.Pieces + 7) / 8
	if k.length != 0 && k.length != n {
		return false
	}
	fit := make([]byte, n)
	copy(fit, k.contrary)
	if slices.ContainsFunc(k.contrary[min(n, len(k.contrary)):], func(x byte) bool { return x != 0 }) {
		return false
	}
	have, err := bitfield.Parse(fit, s.c.Pieces)
	if err != nil {
		return false
	}
	if k.all {
		lost := have
		have = bitfield.Full(s.c.Pieces)
		for piece := range lost.All() {
			have.Clear(piece)
		}
	}
	if k.told || have.Count() > 0 {
		s.hasTold(p, false, have)
		p.told = k.told // Pieces that were told one by one leave the bitfield to come.
	}
	return true
}
