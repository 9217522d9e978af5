package disk

import (
	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// blockState is what has become of a block of a piece that is not verified.
type blockState uint8

const (
	missing  blockState = iota // Not received; readers may be at it.
	held                       // Received, in the slot.
	spilling                   // As held, and being written to its file.
	spilled                    // Received, in its file; no slot.
)

// place is where a block is: a slot of the pool, the file, or nowhere.
type place struct {
	slot  []byte // Of block.Size; nil when missing or spilled.
	state blockState
}

// assembly is a piece of which something was received and that is not verified.
// It is a table of slots, so only blocks that were received cost memory.
// Its fields are guarded by Store.mu, except that while spilling the spiller,
// and while finishing the worker, may read the slots that nobody else touches.
type assembly struct {
	index  uint32
	size   int64
	blocks []place

	held int // Blocks in state held.
	done int // Blocks held, spilling or spilled.

	// hashed is how many blocks from the first on verifier has seen: those
	// that were spilled in order. Both are the spiller's, and then the
	// worker's who finishes the piece.
	hashed   int
	verifier *metainfo.Verifier

	touched   uint64 // Disk.clock when a block was last claimed or committed.
	spilling  bool   // Some blocks are in state spilling.
	streaming bool   // A worker is to spill what is held.
	finishing bool   // Finish was called; nothing may change until it is over.
	writing   bool   // It is journaled as about to be written whole.
	digests   bool   // Finish wants digests.
}

func newAssembly(index uint32, size int64) *assembly {
	return &assembly{index: index, size: size, blocks: make([]place, blockCount(size))}
}

// length returns how many bytes block i has.
func (a *assembly) length(i int) int64 { return min(block.Size, a.size-int64(i)*block.Size) }

// bytes returns block i, which is in memory.
func (a *assembly) bytes(i int) []byte { return a.blocks[i].slot[:a.length(i)] }

// inState returns how many bytes the blocks in a state have. It holds Store.mu.
func (a *assembly) inState(state blockState) (n int64) {
	for i := range a.blocks {
		if a.blocks[i].state == state {
			n += a.length(i)
		}
	}
	return n
}

// complete says whether all blocks were received.
func (a *assembly) complete() bool { return a.done == len(a.blocks) }

// onDisk returns which blocks are in their files.
func (a *assembly) onDisk() *bitfield.Bitfield {
	b := bitfield.New(len(a.blocks))
	for i := range a.blocks {
		if a.blocks[i].state == spilled {
			b.Set(i)
		}
	}
	return b
}

// mayBeOnDisk returns which blocks the next run is to look for in their files.
func (a *assembly) mayBeOnDisk() *bitfield.Bitfield {
	if a.writing {
		return bitfield.Full(len(a.blocks))
	}
	return a.onDisk()
}

// run is a stretch of blocks, from first to before end.
type run struct{ first, end int }

// runs returns the stretches of blocks in state s, each at most most long.
func (a *assembly) runs(s blockState, most int) (all []run) {
	for i := range a.blocks {
		if a.blocks[i].state != s {
			continue
		}
		if n := len(all); n > 0 && all[n-1].end == i && i-all[n-1].first < most {
			all[n-1].end++
		} else {
			all = append(all, run{i, i + 1})
		}
	}
	return all
}

// set changes the state of all blocks in state from, and returns how many.
func (a *assembly) set(from, to blockState) (n int) {
	for i := range a.blocks {
		if a.blocks[i].state == from {
			a.blocks[i].state = to
			n++
		}
	}
	return n
}

// release gives a slot back. It holds s.mu.
func (s *Store) release(slot []byte) {
	s.disk.pool.Put(slot)
	s.disk.progress.open()
}

// free gives the slot of a place back. It holds s.mu.
func (s *Store) free(p *place) {
	s.release(p.slot)
	p.slot = nil
}

// discard forgets a piece and all of its blocks. It holds s.mu.
func (s *Store) discard(a *assembly) {
	for i := range a.blocks {
		p := &a.blocks[i]
		p.state = missing
		if p.slot != nil {
			s.free(p)
		}
	}
	a.held, a.done = 0, 0
	delete(s.pieces, a.index)
}
