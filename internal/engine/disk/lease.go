package disk

import (
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// claimWait is how long a reader waits for memory before its block is thrown
// away instead. It is as long as a slow volume may take to write a piece.
const claimWait = 2 * time.Second

// Claim leases memory for a block to the caller, who alone may write into it
// until it calls Commit or Abandon with it, one of which it must. It returns
// nil when the block is not wanted here: its piece is verified, being hashed or
// not wanted at all, it was received already, it is no block of this torrent, or the store has
// failed or was closed. The caller reads past it then. Several may receive the
// same block at once: the first Commit counts, so nobody waits for a slow one.
//
// When the memory budget is used up, Claim makes room by writing blocks of the
// piece that waits longest to its file, or waits up to two seconds for the
// workers to do so; if all memory is leased to others all that time, it
// returns nil too.
func (s *Store) Claim(index, begin, length uint32) []byte {
	s.disk.pace()
	slot, full := s.claim(index, begin, length)
	if !full {
		return slot
	}
	deadline := time.NewTimer(claimWait)
	defer deadline.Stop()
	for full && s.disk.makeRoom(deadline.C) {
		slot, full = s.claim(index, begin, length)
	}
	return slot
}

// ClaimAhead is [Store.Claim] for a block that may come next. It never waits: it
// returns nil, too, while the workers are behind or half of the memory is in
// use, so that blocks that are coming find room.
func (s *Store) ClaimAhead(index, begin, length uint32) []byte {
	if s.disk.behind() || s.disk.pool.Used() > s.disk.pool.Capacity()/2 {
		return nil
	}
	slot, _ := s.claim(index, begin, length)
	return slot
}

// claim is Claim without waiting; full says that only memory is missing.
func (s *Store) claim(index, begin, length uint32) (slot []byte, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wants(index, begin, length) {
		return nil, false
	}
	if slot = s.disk.pool.Get(); slot == nil {
		return nil, true
	}
	if a := s.pieces[index]; a != nil {
		a.touched = s.disk.clock.Add(1)
	}
	return slot[:length], false
}

// wants says whether this is a block of a wanted piece that was not received. It
// holds s.mu.
func (s *Store) wants(index, begin, length uint32) bool {
	if s.closed || s.failed != nil || int64(index) >= int64(s.have.Len()) || s.have.Has(int(index)) || !s.wanted.Has(int(index)) {
		return false
	}
	rest := s.info.PieceSize(int(index)) - int64(begin)
	if begin%block.Size != 0 || rest <= 0 || int64(length) != min(block.Size, rest) {
		return false
	}
	a := s.pieces[index]
	return a == nil || a.blocks[begin/block.Size].state == missing
}

// Commit ends a lease whose bytes are all in place, and says whether they
// count. They don't if the block came from somebody else meanwhile, or once the
// store was closed.
func (s *Store) Commit(index, begin uint32, lease []byte) (fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wants(index, begin, uint32(len(lease))) {
		s.release(lease)
		return false
	}
	a := s.pieces[index]
	if a == nil {
		a = newAssembly(index, s.info.PieceSize(int(index)))
		s.pieces[index] = a
	}
	a.blocks[begin/block.Size] = place{slot: lease, state: held}
	a.held++
	a.done++
	a.touched = s.disk.clock.Add(1)
	s.stream(a)
	s.disk.progress.open()
	return true
}

// Abandon ends a lease whose bytes did not come.
func (s *Store) Abandon(lease []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(lease)
}
