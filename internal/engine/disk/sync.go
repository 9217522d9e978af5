package disk

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// Sync makes all pieces durable that are verified now: their bytes, then the
// journal that says so. If the volume reports that bytes are lost, the pieces
// since the last good sync are not verified any more and the store has
// failed. It can't be interrupted once it has begun.
func (s *Store) Sync(ctx context.Context) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.work.Add(1)
	s.mu.Unlock()
	defer s.work.Done()
	return s.sync()
}

// sync holds s.syncing.
func (s *Store) sync() error {
	s.recording.Lock()
	n, upTo, adopted := len(s.fresh), s.journal.end, s.adopted
	lost, stamped, spilled := s.lost, !s.completed.IsZero(), s.spilled
	s.spilled = false
	s.recording.Unlock()
	if lost {
		return s.broken()
	}
	settled := n == 0 && (stamped || !s.full())
	if settled && !spilled {
		return nil
	}
	if err := s.flush(adopted); err != nil || settled {
		return err
	}
	if err := s.settle(n, upTo); err != nil {
		return err
	}
	return s.compact()
}

// flush syncs all files that were written or adopted, and the folders in
// which files were made.
func (s *Store) flush(adopted []int) error {
	for _, i := range adopted {
		h, err := s.disk.files.acquire(handleKey{s, i, false})
		if err != nil {
			return err
		}
		h.dirty.Store(true)
		s.disk.files.release(h)
	}
	if err := s.disk.files.flush(s); err != nil {
		return err
	}
	s.making.Lock()
	folders := slices.Sorted(maps.Keys(s.folders))
	clear(s.folders)
	s.making.Unlock()
	for _, name := range folders {
		if err := syncFolder(s.fs, name); err != nil {
			s.lose(err)
			return err
		}
	}
	return nil
}

// settle journals that the first n fresh pieces, whose records end before
// upTo, are durable.
func (s *Store) settle(n int, upTo int64) error {
	completed, err := s.recordDurable(n, upTo)
	if err != nil {
		return err
	}
	if err := s.journal.sync(); err != nil {
		s.lose(err)
		return err
	}
	s.recording.Lock()
	defer s.recording.Unlock()
	n = min(n, len(s.fresh)) // None are left if they were lost meanwhile.
	s.mu.Lock()
	for _, p := range s.fresh[:n] {
		s.durable.Set(int(p))
	}
	s.mu.Unlock()
	s.fresh = slices.Delete(s.fresh, 0, n)
	s.adopted, s.completed = nil, completed
	return nil
}

// recordDurable journals the first n fresh pieces as durable and, if these
// are the last that are wanted, the torrent as completed.
func (s *Store) recordDurable(n int, upTo int64) (completed time.Time, err error) {
	s.recording.Lock()
	defer s.recording.Unlock()
	if s.lost {
		return completed, s.broken()
	}
	b := record(nil, recDurable, binary.BigEndian.AppendUint64(nil, uint64(upTo)))
	completed = s.completed
	if completed.IsZero() && s.completedBy(s.fresh[:n]) {
		completed = time.Now()
		b = record(b, recCompleted, binary.BigEndian.AppendUint64(nil, uint64(completed.Unix())))
	}
	return completed, s.journal.append(b)
}

// completedBy says whether all wanted pieces are durable once these are.
func (s *Store) completedBy(fresh []uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.durable.Common(s.wanted)
	for _, p := range fresh {
		if s.wanted.Has(int(p)) {
			n++
		}
	}
	return n == s.wanted.Count()
}

// compact replaces the journal if it has become long, or must be. It holds s.syncing.
func (s *Store) compact() error {
	s.recording.Lock()
	defer s.recording.Unlock()
	if s.lost || !s.journal.stale && !s.journal.long() {
		return nil
	}
	return s.journal.replace(s.claims())
}

// claims returns all that is so, for the journal. It holds s.recording.
func (s *Store) claims() *claims {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newClaims(s.info)
	c.written, c.durable, c.completed = s.have.Clone(), s.durable.Clone(), s.completed
	c.placed, c.placing = s.placed, s.placing
	for i, a := range s.pieces {
		if b := a.mayBeOnDisk(); b.Count() > 0 && !s.have.Has(int(i)) {
			c.blocks[i] = b
		}
	}
	return c
}

// lose ends the store because a sync has failed: what was written since the
// last good one may or may not be there, and trying again would not tell.
func (s *Store) lose(err error) {
	s.recording.Lock()
	s.lost, s.journal.changed = true, true
	lost := s.fresh
	s.fresh = nil
	var b []byte
	s.mu.Lock()
	for _, p := range lost {
		s.have.Clear(int(p))
		b = pieceRecord(b, recLost, p)
	}
	for _, a := range s.pieces {
		b = record(b, recBlocks, blocksPayload(a.index, bitfield.New(len(a.blocks))))
	}
	first := s.failed == nil
	if first { // Whoever finds the store lost finds why.
		s.failed = err
	}
	s.mu.Unlock()
	// Close replaces the journal; this is for the case that it can't.
	_ = s.journal.append(b)
	s.recording.Unlock()
	if first {
		s.failing(err)
	}
}

// fail ends the store: nothing more is taken in. The first error is told.
func (s *Store) fail(err error) {
	s.mu.Lock()
	first := s.failed == nil
	if first {
		s.failed = err
	}
	s.mu.Unlock()
	if first {
		s.failing(err)
	}
}

// failing tells why the store has ended.
func (s *Store) failing(err error) {
	s.tell(err)
	s.disk.progress.open() // Nobody is to wait for room here any more.
}

// broken returns the error that has ended the store, if one has.
func (s *Store) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// tell reports an error that belongs to no piece.
func (s *Store) tell(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.work.Add(1)
		s.disk.jobs.put(job{store: s, index: NoPiece, err: err})
	}
}
