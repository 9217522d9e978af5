package disk

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// Finish has a piece, all of whose blocks are committed, hashed and written
// by a worker, which hands the [Result] to Spec.Done. With digests it holds
// those of the blocks even if the piece is good. A second Finish of a piece
// that is being finished changes nothing. After Close no results come.
func (s *Store) Finish(index uint32, digests bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.pieces[index]
	switch {
	case s.closed:
	case a == nil || !a.complete():
		s.work.Add(1)
		s.disk.jobs.put(job{store: s, index: index, err: fmt.Errorf("piece %d: %w", index, ErrIncomplete)})
	case !a.finishing:
		a.finishing, a.digests = true, digests
		if !a.spilling {
			s.submit(a)
		}
	}
}

// submit queues a piece for the workers. It holds s.mu.
func (s *Store) submit(a *assembly) {
	s.work.Add(1)
	s.disk.jobs.put(job{store: s, index: a.index, piece: a})
}

// report hands a result to the engine, unless it does not listen any more. It
// holds s.mu.
func (s *Store) report(r Result) {
	if !s.closed {
		s.done(r)
	}
}

// finish hashes pieces and writes and journals those that are good. Results are
// reported before any block of a bad piece can be received anew.
func (s *Store) finish(batch []*assembly, w *writer) {
	slices.SortFunc(batch, func(a, b *assembly) int { return cmp.Compare(a.index, b.index) })
	results := make([]Result, len(batch))
	if err := s.broken(); err != nil {
		for i := range results {
			results[i].Err = err
		}
	} else {
		s.hashAll(batch, results)
	}
	s.keep(batch, results, w)
	for i, a := range batch {
		r := results[i]
		r.Index, r.OK = a.index, r.OK && r.Err == nil
		forget := r.Err == nil && !r.OK && a.inPlace()
		if forget { // Before a block that is received anew can be spilled.
			s.recording.Lock()
		}
		s.mu.Lock()
		a.finishing, a.writing = false, false
		if r.Err == nil {
			s.discard(a)
		}
		s.report(r)
		s.mu.Unlock()
		if forget {
			s.forgetBlocks(a)
			s.recording.Unlock()
		}
	}
}

// inPlace says whether blocks of the piece are in their files.
func (a *assembly) inPlace() bool {
	return slices.ContainsFunc(a.blocks, func(p place) bool { return p.state == spilled })
}

// keep writes the pieces that are OK, journals them, and counts them.
func (s *Store) keep(batch []*assembly, results []Result, w *writer) {
	each := func(do func(a *assembly) error) {
		for i, a := range batch {
			if r := &results[i]; r.OK && r.Err == nil {
				r.Err = do(a)
			}
		}
	}
	var good []*assembly
	collect := func(a *assembly) error {
		good = append(good, a)
		return nil
	}
	if each(collect); len(good) == 0 {
		return
	}
	if err := s.recordWriting(good); err != nil {
		each(func(*assembly) error { return err })
		return
	}
	s.write(batch, results, w)
	good = good[:0]
	if each(collect); len(good) == 0 {
		return
	}
	if err := s.recordPieces(good); err != nil {
		each(func(*assembly) error { return err })
	}
}

// write writes the pieces that are OK, those that follow each other together.
func (s *Store) write(batch []*assembly, results []Result, w *writer) {
	for len(batch) > 0 {
		n := 1
		if results[0].OK && results[0].Err == nil {
			n = s.adjacent(batch, results)
			err := s.writeTogether(batch[:n], w)
			for i := range n {
				results[i].Err = err
			}
		}
		batch, results = batch[n:], results[n:]
	}
}

// adjacent returns how many pieces, from the first on, follow each other and
// are wholly in memory: 1 at least.
func (s *Store) adjacent(batch []*assembly, results []Result) int {
	n := 1
	for n < len(batch) && batch[n].index == batch[n-1].index+1 && results[n].OK && results[n].Err == nil &&
		!batch[n].inPlace() && !batch[n-1].inPlace() && s.placed.IsFull() { // Pieces of the parts file have slots of their own.
		n++
	}
	return n
}

func (s *Store) writeTogether(pieces []*assembly, w *writer) error {
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return w.runs(s, first, first.runs(held, len(first.blocks)))
	}
	return w.write(s, pieces, int64(first.index)*s.info.PieceLength, int64(last.index)*s.info.PieceLength+last.size)
}

// hashAll hashes pieces, side by side where two of one size are in memory.
func (s *Store) hashAll(batch []*assembly, results []Result) {
	for len(batch) > 0 {
		if len(batch) > 1 && batch[0].size == batch[1].size && batch[0].pairable() && batch[1].pairable() {
			results[0].OK, results[1].OK = s.hashPair(batch[0], batch[1])
			for i := range 2 {
				if !results[i].OK { // Now its digests are wanted.
					results[i].OK, results[i].Digests, results[i].Err = s.hash(batch[i])
				}
			}
			batch, results = batch[2:], results[2:]
			continue
		}
		results[0].OK, results[0].Digests, results[0].Err = s.hash(batch[0])
		batch, results = batch[1:], results[1:]
	}
}

// pairable says whether all that is wanted of a piece is its hash, and all of
// it is in memory.
func (a *assembly) pairable() bool {
	return !a.digests && !slices.ContainsFunc(a.blocks, func(p place) bool { return p.slot == nil })
}

func (s *Store) hashPair(a, b *assembly) (okA, okB bool) {
	v := s.info.NewPairVerifier()
	v.Reset(int(a.index), int(b.index))
	for i := range a.blocks {
		v.Write(a.bytes(i), b.bytes(i))
	}
	return v.OK()
}

// hash says whether a is what it should be, and returns the digests of its
// blocks if it is not, or if they are wanted. Blocks that were spilled are
// read back, unless they were hashed on the way.
func (s *Store) hash(a *assembly) (ok bool, digests []uint64, err error) {
	digest := func(b []byte) { digests = append(digests, maphash.Bytes(s.disk.seed, b)) }
	v, from := a.verifier, a.hashed
	a.verifier, a.hashed = nil, 0 // What v has seen can't be seen again.
	if v == nil || a.digests {
		v, from = s.info.NewVerifier(), 0
		v.Reset(int(a.index))
	}
	err = s.eachBlock(a, from, func(b []byte) {
		v.Write(b)
		if a.digests {
			digest(b)
		}
	})
	if err != nil || v.OK() || a.digests {
		return err == nil && v.OK(), digests, err
	}
	err = s.eachBlock(a, 0, digest)
	return false, digests, err
}

// eachBlock calls see with the bytes of each block of a, in order, from one on.
func (s *Store) eachBlock(a *assembly, from int, see func([]byte)) error {
	var buf []byte
	defer func() {
		if buf != nil {
			s.disk.unbuffer(buf)
		}
	}()
	for i := from; i < len(a.blocks); {
		if a.blocks[i].slot != nil {
			see(a.bytes(i))
			i++
			continue
		}
		if buf == nil {
			buf = s.disk.buffer()
		}
		end := i
		for end < len(a.blocks) && a.blocks[end].slot == nil && (end-i)*block.Size < len(buf) {
			end++
		}
		from, to := int64(i)*block.Size, min(int64(end)*block.Size, a.size)
		stretch := buf[:to-from]
		if err := s.readAt(stretch, int64(a.index)*s.info.PieceLength+from); err != nil {
			if errors.Is(err, errAbsent) {
				err = fault("read back", s.info.Name, err)
			}
			return err
		}
		for ; i < end; i++ {
			see(stretch[:a.length(i)])
			stretch = stretch[a.length(i):]
		}
	}
	return nil
}

// recordPieces journals that pieces are written, and only then counts them.
func (s *Store) recordPieces(pieces []*assembly) error {
	var records []byte
	for _, a := range pieces {
		records = pieceRecord(records, recWritten, a.index)
	}
	s.recording.Lock()
	defer s.recording.Unlock()
	if s.lost {
		return s.broken()
	}
	if err := s.journal.append(records); err != nil {
		return err
	}
	bytes := int64(0)
	s.mu.Lock()
	for _, a := range pieces {
		s.have.Set(int(a.index))
		s.fresh = append(s.fresh, a.index)
		bytes += a.inState(held)
	}
	s.mu.Unlock()
	s.disk.wrote(bytes)
	return nil
}

// recordWriting journals, before verified pieces are written, that all of their
// blocks may be in place: a run that is killed between the write and its record
// leaves pieces that the next run hashes, and does not fetch again. Of a piece
// that was spilled it is known which blocks are in place, and that stands until
// all of it is written: only the rest would be fetched again.
func (s *Store) recordWriting(pieces []*assembly) error {
	var records []byte
	pieces = slices.DeleteFunc(slices.Clone(pieces), (*assembly).inPlace)
	if len(pieces) == 0 {
		return nil
	}
	for _, a := range pieces {
		records = record(records, recBlocks, blocksPayload(a.index, bitfield.Full(len(a.blocks))))
	}
	s.recording.Lock()
	defer s.recording.Unlock()
	if s.lost {
		return s.broken()
	}
	if err := s.journal.append(records); err != nil {
		return err
	}
	s.mu.Lock()
	for _, a := range pieces {
		a.writing = true
	}
	s.mu.Unlock()
	return nil
}

// forgetBlocks journals that no block of a failed piece counts. If that fails
// the next run finds out that they are bad. It holds s.recording.
func (s *Store) forgetBlocks(a *assembly) {
	_ = s.journal.append(record(nil, recBlocks, blocksPayload(a.index, bitfield.New(len(a.blocks)))))
}
