package swarm

import (
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// received handles a message of a peer. Keep-alives say nothing to
// this package.
func (s *Swarm) received(p *peer, m *wire.Message) {
	if !s.acceptable(p, m) {
		return
	}
	switch m.ID {
	case wire.Choke:
		s.chokedBy(p)
	case wire.Unchoke:
		p.unchokedUs = true
		s.touch(p)
	case wire.Interested:
		s.interestedIn(p, true)
	case wire.NotInterested:
		s.interestedIn(p, false)
	case wire.Have:
		s.pick.Have(p.pick, m.Index)
		s.hasMore(p)
	case wire.Bitfield:
		have, err := bitfield.Parse(m.Payload, s.c.Pieces)
		if err != nil {
			s.close(p, ReasonBitfield)
			return
		}
		s.hasTold(p, false, have)
	case wire.HaveAll:
		s.hasTold(p, true, nil)
	case wire.HaveNone:
		s.hasTold(p, false, nil)
	case wire.Request:
		s.requestedBy(p, m)
	case wire.Cancel:
		s.cancelledBy(p, m)
	case wire.Reject:
		s.rejectedBy(p, m)
	case wire.Suggest:
		p.suggested = hint(p.suggested, m.Index)
		s.touch(p)
	case wire.AllowedFast:
		p.allowed = hint(p.allowed, m.Index)
		s.touch(p)
	case wire.Port:
		s.hasNode(p, m)
	case wire.Extended:
		s.extendedBy(p, m)
	}
}

// agreed closes the connection of a peer that sends a message of the Fast
// extension without having agreed on it (BEP 6).
func (s *Swarm) agreed(p *peer, m *wire.Message) bool {
	switch m.ID {
	case wire.Suggest, wire.HaveAll, wire.HaveNone, wire.Reject, wire.AllowedFast:
		if !p.fast {
			s.close(p, ReasonFast)
			return false
		}
	}
	return true
}

// acceptable closes the connection of a peer whose message can't be right.
func (s *Swarm) acceptable(p *peer, m *wire.Message) bool {
	if !s.agreed(p, m) {
		return false
	}
	switch m.ID {
	case wire.Have, wire.Request, wire.Cancel, wire.Suggest, wire.Reject, wire.AllowedFast:
		if int64(m.Index) >= int64(s.c.Pieces) {
			s.close(p, ReasonIndex)
			return false
		}
	}
	return true
}

// hint remembers a piece that a peer has pointed out, up to maxHints.
func hint(hints []uint32, piece uint32) []uint32 {
	if len(hints) >= maxHints || slices.Contains(hints, piece) {
		return hints
	}
	return append(hints, piece)
}
