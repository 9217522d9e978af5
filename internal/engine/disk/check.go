package disk

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// Check hashes everything that is wanted or was verified, with all workers' memory, and returns
// the pieces that are verified after it: those that turn out bad or missing
// are not any more, and good ones that nobody knew of are. Pieces that are
// being assembled are left out. Where nothing may be written, it returns
// [ErrMissing] unless all that is wanted is good. progress, if not nil, gets the bytes hashed so
// far and in all; it is not called by two goroutines at once and must return
// soon.
func (s *Store) Check(ctx context.Context, progress func(done, total int64)) (*bitfield.Bitfield, error) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	s.work.Add(1)
	had, all := s.have.Clone(), s.wanted.Clone()
	for i := range had.All() {
		all.Set(i)
	}
	for i := range s.pieces {
		all.Clear(int(i))
	}
	s.mu.Unlock()
	defer s.work.Done()

	good := bitfield.New(all.Len())
	err := s.check(ctx, all, progress, func(piece int) { good.Set(piece) })
	if err != nil {
		return nil, err
	}
	if err := s.recordChecked(all, had, good); err != nil {
		return nil, err
	}
	if s.whole {
		return s.Have(), s.missing()
	}
	return s.Have(), nil
}

// recordChecked takes in what a check of some pieces has found, had being
// those known before it.
func (s *Store) recordChecked(checked, had, good *bitfield.Bitfield) error {
	s.recording.Lock()
	defer s.recording.Unlock()
	if s.lost {
		return s.broken()
	}
	found := bitfield.New(good.Len())
	s.mu.Lock()
	for p := range checked.All() {
		switch {
		case had.Has(p) && !good.Has(p):
			s.have.Clear(p)
			s.durable.Clear(p)
		case good.Has(p) && !s.have.Has(p) && s.pieces[uint32(p)] == nil:
			s.have.Set(p)
			found.Set(p)
		}
	}
	s.fresh = s.fresh[:0]
	for p := range s.have.All() {
		if !s.durable.Has(p) {
			s.fresh = append(s.fresh, uint32(p))
		}
	}
	if !s.have.Includes(s.wanted) {
		s.completed = time.Time{}
	}
	s.mu.Unlock()
	s.adopted = append(s.adopted, s.filesOf(found)...)
	s.journal.stale, s.journal.changed = true, true
	return s.journal.replace(s.claims())
}

// filesOf returns the files in which bytes of the pieces are stored.
func (s *Store) filesOf(pieces *bitfield.Bitfield) (files []int) {
	parts := false
	for i := range s.info.Files {
		for p := range s.each(i) {
			if !pieces.Has(p) {
				continue
			}
			if s.placed.Has(i) {
				files = append(files, i)
			} else {
				parts = true
			}
			break
		}
	}
	if parts {
		files = append(files, s.partsFile())
	}
	return files
}

// piecesOf returns the first and the last piece of a file; ok is false for
// one that holds no bytes of its own.
func (s *Store) piecesOf(i int) (first, last int, ok bool) {
	f := &s.info.Files[i]
	if f.Pad || f.Length == 0 {
		return 0, 0, false
	}
	return int(f.Offset / s.info.PieceLength), int((f.Offset + f.Length - 1) / s.info.PieceLength), true
}

// check hashes the pieces in which and calls good for those that are. Memory
// is bounded for the whole engine by the workers' buffers.
func (s *Store) check(ctx context.Context, which *bitfield.Bitfield, progress func(done, total int64), good func(piece int)) error {
	c := checking{which: which, good: good, progress: progress}
	for p := range which.All() {
		c.total += s.info.PieceSize(p)
	}
	if progress != nil && c.total > 0 {
		progress(0, c.total)
	}
	var all sync.WaitGroup
	for range min(s.disk.workers, which.Count()) {
		all.Go(func() {
			v := s.newHasher()
			for first, ok := c.take(ctx); ok; first, ok = c.take(ctx) {
				second, two := c.take(ctx)
				buf := s.disk.buffer()
				good, err := v.verify(first, buf, two, second)
				s.disk.unbuffer(buf)
				c.give(first, s.info.PieceSize(first), good[0], err)
				if two {
					c.give(second, s.info.PieceSize(second), good[1], err)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(c.err, ctx.Err())
}

// checking is a check going on, shared by those who hash.
type checking struct {
	which    *bitfield.Bitfield
	good     func(int)
	progress func(done, total int64)

	mu          sync.Mutex
	next        int
	done, total int64
	err         error
}

// take returns the next piece to hash.
func (c *checking) take(ctx context.Context) (piece int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || ctx.Err() != nil {
		return 0, false
	}
	for c.next < c.which.Len() && !c.which.Has(c.next) {
		c.next++
	}
	c.next++
	return c.next - 1, c.next <= c.which.Len()
}

// give takes in what was found.
func (c *checking) give(piece int, size int64, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.err = err
		return
	}
	if ok {
		c.good(piece)
	}
	c.done += size
	if c.progress != nil {
		c.progress(c.done, c.total)
	}
}

// hasher hashes what is on the volume of pieces, two at a time where it can.
type hasher struct {
	s      *Store
	single *metainfo.Verifier
	pair   *metainfo.PairVerifier
}

func (s *Store) newHasher() *hasher {
	return &hasher{s, s.info.NewVerifier(), s.info.NewPairVerifier()}
}

// verify says whether the first piece is good and, if there are two, the second.
// A file that is missing or too short makes a bad piece, not an error.
func (v *hasher) verify(first int, buf []byte, two bool, second int) (good [2]bool, err error) {
	if two && v.s.info.PieceSize(first) == v.s.info.PieceSize(second) {
		good, err = v.verifyPair(first, second, buf)
		if !errors.Is(err, errAbsent) {
			return good, err
		}
	}
	if good[0], err = v.verifyOne(first, buf); err != nil || !two {
		return good, err
	}
	good[1], err = v.verifyOne(second, buf)
	return good, err
}

// verifyPair returns errAbsent if either piece is not all there.
func (v *hasher) verifyPair(first, second int, buf []byte) (good [2]bool, err error) {
	v.pair.Reset(first, second)
	size := v.s.info.PieceSize(first)
	half := int64(len(buf) / 2)
	for at := int64(0); at < size; at += half {
		n := min(half, size-at)
		a, b := buf[:n], buf[half:half+n]
		if err := v.s.readAt(a, int64(first)*v.s.info.PieceLength+at); err != nil {
			return good, err
		}
		if err := v.s.readAt(b, int64(second)*v.s.info.PieceLength+at); err != nil {
			return good, err
		}
		v.pair.Write(a, b)
	}
	good[0], good[1] = v.pair.OK()
	return good, nil
}

func (v *hasher) verifyOne(piece int, buf []byte) (good bool, err error) {
	v.single.Reset(piece)
	off, rest := int64(piece)*v.s.info.PieceLength, v.s.info.PieceSize(piece)
	for rest > 0 {
		part := buf[:min(rest, int64(len(buf)))]
		if err := v.s.readAt(part, off); err != nil {
			if errors.Is(err, errAbsent) {
				err = nil
			}
			return false, err
		}
		v.single.Write(part)
		off += int64(len(part))
		rest -= int64(len(part))
	}
	return v.single.OK(), nil
}
