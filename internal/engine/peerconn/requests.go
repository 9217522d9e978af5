package peerconn

import "github.com/torrent-operator/torrent-operator/internal/engine/wire"

// requests is the set of blocks that the peer may send: those that it was
// asked for, as often as it was. A block that was cancelled stays in the set,
// because it may be on its way, until room is needed.
type requests struct {
	blocks map[place]pending
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
	return true
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
	}
}

// choked notes that the peer has dropped all requests: without the Fast
// extension that is what a choke means. A block may be on its way even so.
func (r *requests) choked() {
	for p, b := range r.blocks {
		b.stale = true
		r.blocks[p] = b
	}
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
		return true
	}
	b.stale = true
	r.blocks[p] = b
	return true
}
