package disk

import (
	"sync"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// finishWait is how long to hope that a piece is finished soon.
const finishWait = 100 * time.Millisecond

// makeRoom sees to it that memory is, or may be, free. While pieces are being
// finished it waits a little for one of them: that frees more, and costs
// nothing. Otherwise it spills the piece that was touched longest ago, or
// waits for something to change. It returns false when the deadline came
// first. Nothing that it waits for waits for it.
func (d *Disk) makeRoom(deadline <-chan time.Time) bool {
	change := d.progress.expect()
	defer d.progress.ignore()
	if d.jobs.pending.Load() > 0 {
		select {
		case <-change:
			return true
		case <-time.After(finishWait):
		}
	}
	if d.spillOne() {
		return true
	}
	select {
	case <-change:
		return true
	case <-deadline:
		return false
	}
}

// spillOne makes sure that there is a free slot, if it can.
func (d *Disk) spillOne() bool {
	d.reclaiming.Lock()
	defer d.reclaiming.Unlock()
	if d.pool.Used() < d.pool.Capacity() {
		return true
	}
	s, a := d.victim()
	return a != nil && s.spill(a)
}

// victim finds the piece that was touched longest ago of those with blocks
// that can be spilled.
func (d *Disk) victim() (owner *Store, piece *assembly) {
	var oldest uint64
	for _, s := range d.open() {
		s.mu.Lock()
		for _, a := range s.pieces {
			if s.spillable(a) && (piece == nil || a.touched < oldest) {
				owner, piece, oldest = s, a, a.touched
			}
		}
		s.mu.Unlock()
	}
	return owner, piece
}

// spillable holds s.mu.
func (s *Store) spillable(a *assembly) bool {
	return a.held > 0 && !a.finishing && !a.spilling && !s.closed && s.failed == nil
}

// spill writes the blocks of a that are held in place, journals them and
// frees their slots. It returns false if that was not possible.
func (s *Store) spill(a *assembly) bool {
	s.mu.Lock()
	if s.pieces[a.index] != a || !s.spillable(a) {
		s.mu.Unlock()
		return true // Things have changed; look again.
	}
	a.set(held, spilling)
	runs, end := a.runs(spilling, len(a.blocks)), a.inOrder()
	a.held, a.spilling, a.streaming = 0, true, false
	s.work.Add(1)
	s.mu.Unlock()
	defer s.work.Done()

	var (
		w      writer
		hashed sync.WaitGroup
	)
	hashed.Go(func() { s.hashUpTo(a, end) }) // At the same time, so that a large piece keeps two cores busy.
	err := w.runs(s, a, runs)
	hashed.Wait()
	if err == nil {
		err = s.recordSpilled(a)
	}

	s.mu.Lock()
	a.held += a.set(spilling, held) // None are left after a success.
	a.spilling = false
	if a.finishing {
		s.submit(a)
	}
	s.mu.Unlock()
	if err != nil {
		s.fail(err)
	}
	return err == nil
}

// inOrder returns the end of the blocks that are being spilled and follow those
// that were hashed. It holds s.mu.
func (a *assembly) inOrder() int {
	end := a.hashed
	for end < len(a.blocks) && a.blocks[end].state == spilling {
		end++
	}
	return end
}

// hashUpTo hashes the blocks that follow those that were hashed, before they are
// spilled, so that they need not be read back.
func (s *Store) hashUpTo(a *assembly, end int) {
	if a.verifier == nil {
		a.verifier = s.info.NewVerifier()
		a.verifier.Reset(int(a.index))
	}
	for ; a.hashed < end; a.hashed++ {
		a.verifier.Write(a.bytes(a.hashed))
	}
}

// streamBlocks is how many blocks of a large piece are spilled at once.
const streamBlocks = 4 << 20 / block.Size

// stream has a worker spill what is there of a piece that is too large to wait
// in memory until it is whole: more than an eighth of the budget. It holds s.mu.
func (s *Store) stream(a *assembly) {
	if a.size <= s.disk.pool.Capacity()/8 || a.held < streamBlocks || a.streaming || a.complete() || !s.spillable(a) {
		return
	}
	a.streaming = true
	s.work.Add(1)
	s.disk.jobs.put(job{store: s, index: a.index, piece: a, spill: true})
}

// recordSpilled journals that the blocks of a whose spilling is over are in
// place, and frees their slots.
func (s *Store) recordSpilled(a *assembly) error {
	s.recording.Lock()
	defer s.recording.Unlock()
	if s.lost {
		return s.broken()
	}
	s.mu.Lock()
	blocks := a.onDisk()
	for i := range a.blocks {
		if a.blocks[i].state == spilling {
			blocks.Set(i)
		}
	}
	s.mu.Unlock()
	if err := s.journal.append(record(nil, recBlocks, blocksPayload(a.index, blocks))); err != nil {
		return err
	}
	s.spilled = true
	s.mu.Lock()
	s.disk.wrote(a.inState(spilling))
	s.unload(a)
	s.mu.Unlock()
	return nil
}

// unload frees the slots of blocks that were spilled. It holds s.mu.
func (s *Store) unload(a *assembly) {
	for i := range a.blocks {
		if p := &a.blocks[i]; p.state == spilling {
			p.state = spilled
			s.free(p)
		}
	}
}
