package peerconn

import (
	"bytes"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// Blocks come in the order in which they were asked for, from most peers and
// most of the time. So one read goes on beyond the block that is arriving,
// into the places of those that are expected next, each behind room for its
// header: what a fast peer sends takes few system calls, and is not copied.
// If a header turns out to be another one, what came from there on is put
// into the buffer and parsed as if nothing had been expected.

// maxAhead is how many blocks are expected at once at most.
const maxAhead = 15

// expected is a block that may come next.
type expected struct {
	m     wire.Message
	want  [wire.PieceHeaderLen]byte // The header if this is what comes,
	head  [wire.PieceHeaderLen]byte // and what has come.
	lease []byte
	have  int // How many bytes of the block have come.
}

// ahead is what one read expects beyond the block that is arriving.
type ahead struct {
	blocks [maxAhead]expected
	parts  [][]byte   // What a read fills.
	places []place    // Reused by plan.
	count  int        // How many blocks to expect: a little more than came the last time.
	ready  []expected // Blocks that have begun to arrive, in order. Only the last may lack bytes.
}

// plan returns what the next read is to fill: p, room for expected blocks, and
// the buffer. It says how many blocks that are.
func (c *Conn) plan(p []byte) (parts [][]byte, blocks []expected) {
	a := &c.reader.ahead
	a.parts = append(a.parts[:0], p)
	n := 0
	if a.count > 0 && c.reader.inBlock && c.down.None() { // In anything else a peer may trickle, and hold leases.
		c.mu.Lock()
		a.places = c.requests.next(a.places[:0], a.count)
		for _, at := range a.places {
			length := c.requests.blocks[at].length
			a.blocks[n].m = wire.Message{ID: wire.Piece, Index: at.index, Begin: at.begin, Length: length}
			n++
		}
		c.mu.Unlock()
	}
	for i := range a.blocks[:n] {
		e := &a.blocks[i]
		if e.lease = c.sink.ClaimAhead(e.m.Index, e.m.Begin, e.m.Length); e.lease == nil {
			n = i
			break
		}
		wire.Append(e.want[:0], e.m)
		e.have = 0
		a.parts = append(a.parts, e.head[:], e.lease[:e.m.Length])
	}
	a.parts = append(a.parts, c.reader.buf[:aheadLen])
	return a.parts, a.blocks[:n]
}

// settle finds out what the n bytes beyond the arriving block are that a read
// has put into the places of blocks and the buffer.
func (c *Conn) settle(blocks []expected, n int) {
	r := &c.reader
	a := &r.ahead
	r.from, r.to = 0, 0
	came := 0
	for i := range blocks {
		e := &blocks[i]
		if known := min(n, len(e.head)); known < len(e.head) || e.head != e.want {
			if !bytes.Equal(e.head[:known], e.want[:known]) {
				a.count = 0
			}
			c.gather(blocks[i:], n)
			for _, e := range blocks[i:] {
				c.sink.Abandon(e.lease)
			}
			break
		}
		e.have = min(n-len(e.head), int(e.m.Length))
		n -= len(e.head) + e.have
		a.ready = append(a.ready, *e)
		came++
	}
	if came == len(blocks) {
		r.to = n
	}
	if came > 0 {
		a.count = min(came+2, maxAhead)
	}
}

// slower expects fewer blocks of a peer that has sent less than was asked for.
func (a *ahead) slower() { a.count /= 2 }

// gather puts n bytes that lie scattered over blocks and the buffer into the
// buffer alone.
func (c *Conn) gather(blocks []expected, n int) {
	r := &c.reader
	if r.spare == nil {
		r.spare = make([]byte, bufferLen)
	}
	all := r.spare[:0]
	take := func(from []byte) { all = append(all, from[:min(n-len(all), len(from))]...) }
	for i := range blocks {
		take(blocks[i].head[:])
		take(blocks[i].lease[:blocks[i].m.Length])
	}
	take(r.buf)
	r.buf, r.spare, r.to = all[:cap(all)], r.buf, n
}

// giveUp abandons the blocks that have arrived and were not read.
func (c *Conn) giveUp() {
	for _, e := range c.reader.ahead.ready {
		c.sink.Abandon(e.lease)
	}
}
