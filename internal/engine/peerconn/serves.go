package peerconn

import (
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// serves is the queue of blocks that wait to be sent, first in first out.
type serves struct {
	queue []serve
}

// serve is one block to be sent.
type serve struct{ index, begin, length uint32 }

// push appends a block. It returns false when the queue is full.
func (s *serves) push(m wire.Message) bool {
	if len(s.queue) == maxServes {
		return false
	}
	s.queue = append(s.queue, serve{m.Index, m.Begin, m.Length})
	return true
}

// drop removes the first of the blocks that are equal to m.
func (s *serves) drop(m wire.Message) {
	if i := slices.Index(s.queue, serve{m.Index, m.Begin, m.Length}); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
}

// first returns the block whose turn it is, and false if there is none.
func (s *serves) first() (serve, bool) {
	if len(s.queue) == 0 {
		return serve{}, false
	}
	return s.queue[0], true
}

// pop removes the block whose turn it was.
func (s *serves) pop() { s.queue = slices.Delete(s.queue, 0, 1) }
