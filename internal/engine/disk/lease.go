package disk

import (
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// claimWait is how long a reader waits for memory before its block is thrown
// away instead. It is as long as a slow volume may take to write a piece.
const claimWait = 2 * time.Second

// Claim leases the place of a block to the caller, who alone may write into
// it until it calls Commit or Abandon, one of which it must. It returns nil
// when the block is not wanted here: its piece is verified or being hashed,
// it was received already, somebody else is receiving it, it is no block of
// this torrent, or the store has failed or was closed. The caller reads past
// it then.
//
// When the memory budget is used up, Claim makes room by writing blocks of the
// piece that waits longest to its file, or waits up to two seconds for the
// workers to do so; if all memory is leased to others all that time, it
// returns nil too.
func (s *Store) Claim(index, begin, length uint32) []byte {
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

// claim is Claim without waiting; full says that only memory is missing.
func (s *Store) claim(index, begin, length uint32) (slot []byte, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wants(index, begin, length) {
		return nil, false
	}
	a, i := s.assembly(index, begin)
	if a != nil && (a.finishing || a.blocks[i].state != missing) {
		return nil, false
	}
	slot = s.disk.pool.Get()
	if slot == nil {
		return nil, true
	}
	if a == nil {
		a, i = newAssembly(index, s.info.PieceSize(int(index))), int(begin/block.Size)
		s.pieces[index] = a
	}
	a.blocks[i] = place{slot: slot, state: leased}
	a.leased++
	a.touched = s.disk.clock.Add(1)
	return slot[:length], false
}

// wants says whether this is a block of the torrent that is not verified. It
// holds s.mu.
func (s *Store) wants(index, begin, length uint32) bool {
	if s.closed || s.failed != nil || int64(index) >= int64(s.have.Len()) || s.have.Has(int(index)) {
		return false
	}
	rest := s.info.PieceSize(int(index)) - int64(begin)
	return begin%block.Size == 0 && rest > 0 && int64(length) == min(block.Size, rest)
}

// Commit ends a lease whose bytes are all in place, and says whether they
// count. They don't once the store was closed.
func (s *Store) Commit(index, begin uint32) (fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, i := s.assembly(index, begin)
	if a == nil || a.blocks[i].state != leased {
		return false
	}
	if s.closed {
		s.release(a, i)
		return false
	}
	a.blocks[i].state = held
	a.leased--
	a.held++
	a.done++
	a.touched = s.disk.clock.Add(1)
	s.disk.progress.open()
	return true
}

// Abandon ends a lease whose bytes did not come: the block is missing again.
func (s *Store) Abandon(index, begin uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, i := s.assembly(index, begin); a != nil && a.blocks[i].state == leased {
		s.release(a, i)
	}
}

// release ends a lease without its bytes. It holds s.mu.
func (s *Store) release(a *assembly, i int) {
	a.blocks[i].state = missing
	a.leased--
	s.free(&a.blocks[i])
	if a.leased == 0 && a.done == 0 {
		delete(s.pieces, a.index)
	}
}
