package swarm

import (
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// finish has a whole piece verified.
func (s *Swarm) finish(piece uint32) {
	s.fx.Finish = append(s.fx.Finish, Finish{Piece: piece, Digests: s.guilt.copies(piece) > 0})
}

// pieceDone follows the verification of a piece.
func (s *Swarm) pieceDone(e *Event) {
	piece := e.Msg.Index
	if int64(piece) >= int64(s.c.Pieces) || !s.pick.Whole(piece) {
		return
	}
	if !e.OK {
		s.pieceFailed(piece, e.Digests)
		return
	}
	s.convict(piece, e.Digests)
	s.pick.Verified(piece)
	s.announce(piece)
	if s.Complete() {
		s.completed()
	}
}

// announce tells the others of a new piece, except those who have everything.
func (s *Swarm) announce(piece uint32) {
	for _, p := range s.peers {
		if !p.pick.Complete() {
			s.send(p, wire.Message{ID: wire.Have, Index: piece})
		}
		s.interest(p)
	}
}

// completed follows the last wanted piece. Peers that want nothing are of no
// more use, nor we to them.
func (s *Swarm) completed() {
	if !s.busy.complete {
		s.busy.complete = true
		s.fx.Completed = true
	}
	for i := len(s.peers) - 1; i >= 0; i-- {
		if p := s.peers[i]; p.wantsNothing() {
			s.close(p, ReasonSeeds)
		}
	}
	s.busy.rechoke = true
}

// pieceFailed follows a piece that was wrong, or that the disk has lost on the
// way: then there are no digests, and nobody is to blame.
func (s *Swarm) pieceFailed(piece uint32, digests []uint64) {
	s.count.failed++
	s.count.wasted += s.pieceSize(piece)
	s.pick.Failed(piece, s.accuse(piece, digests))
	s.busy.freed = true
}

// pieceLost follows a piece that was verified and can't be relied on any more.
func (s *Swarm) pieceLost(piece uint32) {
	if int64(piece) >= int64(s.c.Pieces) || !s.have.Has(int(piece)) {
		return
	}
	s.pick.Vanished(piece)
	s.tellLost(piece)
	for _, p := range s.peers {
		s.takeBack(p, func(e *entry) bool { return e.index == piece })
		s.interest(p)
		s.touch(p)
	}
	s.busy.freed = true
	s.busy.dial = true
}
