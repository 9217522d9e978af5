package peerconn

import (
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// requests is the set of blocks that the peer may send: those that it was
// asked for, as often as it was. A block that was cancelled stays in the set,
// because it may be on its way, until room is needed.
type requests struct {
	blocks map[place]pending
	order  []place // From head on: what is waited for as it was asked for, among others. The first is waited for.
	head   int
}

// place names a block of a torrent.
type place struct{ index, begin uint32 }

// pending is what is known of a block in the set.
type pending struct {
	length uint32
	times  uint32 // How often it may come, at least once.
	stale  bool   // It is not waited for any more.
}

// add allows the block once more. It returns false when too many are waited for.
func (r *requests) add(m wire.Message) bool {
	if r.blocks == nil {
		r.blocks = map[place]pending{}
	}
	p := place{m.Index, m.Begin}
	if _, again := r.blocks[p]; !again && len(r.blocks) >= maxOutstanding && !r.sweep() {
		return false
	}
	r.blocks[p] = pending{length: m.Length, times: r.blocks[p].times + 1}
	if len(r.order) == cap(r.order) && len(r.order) >= 2*len(r.blocks) { // Half of it or more is gone.
		r.order = slices.DeleteFunc(slices.Delete(r.order, 0, r.head), func(p place) bool { return !r.expected(p) })
		r.head = 0
	}
	r.order = append(r.order, p)
	return true
}

// expected says whether the block is waited for.
func (r *requests) expected(p place) bool {
	b, ok := r.blocks[p]
	return ok && !b.stale
}

// next appends up to n blocks to dst, those that were asked for first and are
// waited for. It looks no further than is worth it.
func (r *requests) next(dst []place, n int) []place {
	near := r.order[r.head:min(len(r.order), r.head+4*n)]
	for _, p := range near {
		if len(dst) == n {
			break
		}
		if r.expected(p) && !slices.Contains(dst, p) {
			dst = append(dst, p)
		}
	}
	return dst
}

// first says whether m is the block that was asked for first.
func (r *requests) first(m wire.Message) bool {
	return r.head < len(r.order) && r.order[r.head] == (place{m.Index, m.Begin})
}

// forget removes what is not waited for from the head of order.
func (r *requests) forget() {
	for r.head < len(r.order) && !r.expected(r.order[r.head]) {
		r.head++
	}
}

// sweep forgets the blocks that are not waited for, and says whether that made
// room.
func (r *requests) sweep() bool {
	for p, b := range r.blocks {
		if b.stale {
			delete(r.blocks, p)
		}
	}
	return len(r.blocks) < maxOutstanding
}

// cancel notes that the block is not waited for any more.
func (r *requests) cancel(m wire.Message) {
	p := place{m.Index, m.Begin}
	if b, ok := r.blocks[p]; ok {
		b.stale = true
		r.blocks[p] = b
		r.forget()
	}
}

// choked notes that the peer has dropped all requests: without the Fast
// extension that is what a choke means. A block may be on its way even so.
func (r *requests) choked() {
	for p, b := range r.blocks {
		b.stale = true
		r.blocks[p] = b
	}
	r.order, r.head = r.order[:0], 0
}

// take uses up one permission to send the block of m, and says whether there
// was one. Were there more, then the others are of requests that were repeated
// after a cancel, and are not waited for.
func (r *requests) take(m wire.Message) bool {
	p := place{m.Index, m.Begin}
	b, ok := r.blocks[p]
	if !ok || b.length != m.Length {
		return false
	}
	if b.times--; b.times == 0 {
		delete(r.blocks, p)
	} else {
		b.stale = true
		r.blocks[p] = b
	}
	r.forget()
	return true
}
