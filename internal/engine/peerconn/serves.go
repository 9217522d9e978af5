package peerconn

import (
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// serves is the queue of what waits to be sent and is paid for: blocks, and
// extended messages with content. It is first in first out.
type serves struct {
	queue []serve
}

// serve is one block to be sent, or an extended message.
type serve struct {
	index, begin, length uint32
	extended             *wire.Message // nil of a block.
}

// message returns the message that it leaves in, without what is served.
func (s serve) message() wire.Message {
	if s.extended != nil {
		return wire.Message{ID: wire.Extended, Length: s.length}
	}
	return wire.Message{ID: wire.Piece, Index: s.index, Begin: s.begin, Length: s.length}
}

// push appends a block, or an extended message. It returns false when the queue is full.
func (s *serves) push(m wire.Message) bool {
	if len(s.queue) == maxServes {
		return false
	}
	if m.ID == wire.Extended {
		s.queue = append(s.queue, serve{length: m.Length, extended: new(m)})
	} else {
		s.queue = append(s.queue, serve{index: m.Index, begin: m.Begin, length: m.Length})
	}
	return true
}

// drop removes the first of the blocks that are equal to m.
func (s *serves) drop(m wire.Message) {
	if i := slices.Index(s.queue, serve{index: m.Index, begin: m.Begin, length: m.Length}); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
}

// wanted returns how many bytes the blocks have whose turn it is, of which
// there are at most so many.
func (s *serves) wanted(most int) (bytes int) {
	for _, b := range s.queue[:min(most, len(s.queue))] {
		bytes += int(b.length)
	}
	return bytes
}

// take removes the blocks whose turn it is, at most so many and no more than
// so many bytes, and appends them to dst.
func (s *serves) take(dst []serve, most, bytes int) []serve {
	n := 0
	for n < min(most, len(s.queue)) && int(s.queue[n].length) <= bytes {
		bytes -= int(s.queue[n].length)
		n++
	}
	dst = append(dst, s.queue[:n]...)
	s.queue = slices.Delete(s.queue, 0, n)
	return dst
}

// run returns how many of the blocks, from the first on, follow each other
// within a piece, and how many bytes they have.
func run(blocks []serve) (n, bytes int) {
	for n < len(blocks) && blocks[n].extended == nil && blocks[n].index == blocks[0].index && int64(blocks[n].begin) == int64(blocks[0].begin)+int64(bytes) {
		bytes += int(blocks[n].length)
		n++
	}
	return n, bytes
}
