package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// Open locks a torrent's files for this process and finds out what is there:
//
//   - Pieces that the journal calls durable are trusted, unless a file is gone,
//     shorter, or looks different from how it was left.
//   - Pieces that were written and not made durable are hashed, and so are
//     those of files that changed.
//   - Without a journal, files that exist are hashed and taken over if at
//     least one piece of each is good, or they hold nothing but zeros.
//     Anything else under a wanted name is an [ErrConflict] and left alone.
//
// Files that are not selected are not looked at, unless they were in an earlier
// run: then they stay as they are, and count as far as they go. Files that are
// selected for the first time get what pieces already hold of them.
//
// It makes folders and empty files; other files are made when they are first
// written. It returns [ErrNoSpace] if the volume has less room than what is
// missing needs. An error leaves everything as it was, except that folders
// and preallocated files may stay. progress is that of [Store.Check], for what
// has to be hashed.
//
// With Spec.ReadOnly it makes and changes nothing, and returns [ErrMissing] if
// anything that is selected is not there.
func (d *Disk) Open(ctx context.Context, spec Spec, progress func(done, total int64)) (*Store, error) {
	fsys, lock, err := d.enter(spec)
	if err != nil {
		return nil, err
	}
	folder := folderOf(spec.InfoHash)
	s := &Store{
		disk: d, fs: fsys, info: spec.Info, done: spec.Done, folder: folder, lock: lock, whole: spec.ReadOnly, reserved: spec.Preallocate,
		have:    bitfield.New(spec.Info.PieceCount()),
		durable: bitfield.New(spec.Info.PieceCount()),
		pieces:  map[uint32]*assembly{},
		exists:  bitfield.New(len(spec.Info.Files) + 1),
		folders: map[string]bool{},
	}
	s.choose(spec.Selected)
	if !spec.ReadOnly { // First the info dictionary: nothing else tells [Erase] which files are ours.
		err = keepInfo(fsys, spec.InfoHash, spec.KeepInfo)
	}
	if err == nil {
		err = s.resume(ctx, spec, progress)
	}
	if err != nil {
		s.undo()
		return nil, err
	}
	d.mu.Lock()
	d.stores[s] = struct{}{}
	d.mu.Unlock()
	return s, nil
}

// enter opens the folder and takes the torrent's lock.
func (d *Disk) enter(spec Spec) (fsys FS, lock io.Closer, err error) {
	fsys, err = d.openFS(spec.Dir, spec.Path, !spec.ReadOnly)
	switch {
	case spec.ReadOnly && errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("there is no folder %q: %w", path.Join(spec.Dir, spec.Path), ErrMissing)
	case err != nil:
		return nil, nil, fault("open", path.Join(spec.Dir, spec.Path), err)
	case spec.ReadOnly:
		lock, err = lockToRead(fsys, folderOf(spec.InfoHash))
	default:
		lock, err = lockFolder(fsys, folderOf(spec.InfoHash), spec.Owner)
	}
	if err != nil {
		fsys.Close()
		return nil, nil, err
	}
	if spec.ReadOnly {
		fsys = readOnlyFS{fsys}
	}
	return fsys, lock, nil
}

// undo ends an Open that failed.
func (s *Store) undo() {
	s.disk.files.drop(s)
	if s.journal != nil {
		s.journal.close()
	}
	if _, err := s.fs.Lstat(s.folder + journalName); errors.Is(err, fs.ErrNotExist) {
		_ = removeState(s.fs, s.folder) // The error that led here is the one to tell.
	}
	s.lock.Close()
	s.fs.Close()
}

// resume brings the store to where the last one was left.
func (s *Store) resume(ctx context.Context, spec Spec, progress func(done, total int64)) error {
	c, v, err := s.find(ctx, spec, progress)
	if err != nil {
		return err
	}
	n, err := s.meet(ctx, c, v, progress)
	if err != nil {
		return err
	}
	if !s.have.Includes(s.wanted) && !c.completed.IsZero() {
		s.journal.stale = true
	} else {
		s.completed = c.completed
	}
	if spec.ReadOnly {
		return s.asItIs()
	}
	for _, i := range n.files {
		s.placing.Set(i)
		s.journal.stale = true
	}
	if err := s.checkSpace(v); err != nil {
		return err
	}
	if err := s.prepare(spec, v); err != nil {
		return err
	}
	if len(n.files) > 0 {
		if err := s.settleIn(n); err != nil {
			return err
		}
	}
	if s.placed.IsFull() && s.exists.Has(s.partsFile()) { // An earlier run may have been killed before it did this.
		return s.dropParts()
	}
	return nil
}

// find reads what is there: what the journal says, and what has to be hashed.
func (s *Store) find(ctx context.Context, spec Spec, progress func(done, total int64)) (*claims, *survey, error) {
	j, c, err := openJournal(s.fs, s.folder, s.info, spec.InfoHash, spec.ReadOnly)
	damaged := errors.Is(err, errDamaged)
	if err != nil && !damaged {
		return nil, nil, err
	}
	s.journal = j
	known := j.f != nil
	s.placed, s.placing = c.placed, c.placing
	if !known || damaged {
		s.placed = s.selected.Clone()
	}
	if !s.placed.IsFull() || !s.selected.IsFull() {
		s.slots = sharedPieces(s.info)
	}
	v, err := s.survey()
	if err != nil {
		return nil, nil, err
	}
	var check *bitfield.Bitfield
	if known && !damaged {
		s.displace(c, v)
		check = s.trust(c, v)
		if spec.ReadOnly {
			s.suspect(v, check)
		}
	} else {
		check = s.readable(v)
		j.stale, s.hashed = true, true
	}
	good := bitfield.New(s.have.Len())
	if err := s.check(ctx, check, progress, func(p int) { good.Set(p) }); err != nil {
		return nil, nil, err
	}
	if !known {
		if err := s.refuseForeign(v, good, s.selected.Has); err != nil {
			return nil, nil, err
		}
	}
	for p := range good.All() {
		s.have.Set(p)
		s.fresh = append(s.fresh, uint32(p))
	}
	s.adopted = s.filesOf(good)
	return c, v, nil
}

// trust takes in what the journal says as far as the files agree, and returns
// the pieces that have to be hashed.
func (s *Store) trust(c *claims, v *survey) (check *bitfield.Bitfield) {
	for i := range s.info.Files {
		if !s.placed.Has(i) {
			s.trustParts(i, c, v)
			continue
		}
		if !v.changed(s, i, c) {
			continue
		}
		s.journal.stale = true
		for p := range s.each(i) {
			c.durable.Clear(p)
			delete(c.blocks, uint32(p))
		}
	}
	check, readable := bitfield.New(s.have.Len()), s.readable(v)
	for p := range c.written.All() {
		switch {
		case c.durable.Has(p):
			s.have.Set(p)
			s.durable.Set(p)
		case readable.Has(p):
			check.Set(p)
		default:
			s.journal.stale = true
		}
	}
	for p, blocks := range c.blocks {
		switch a := s.partial(p, blocks, v); {
		case a.complete():
			check.Set(int(p))
			s.journal.stale = true
		case blocks.IsFull(): // It was about to be written, and was not.
			s.journal.stale = true
		case a.done > 0:
			s.pieces[p] = a
		}
	}
	return check
}

// trustParts takes back what the journal says of pieces of a file without a
// place as far as the parts file does not agree.
func (s *Store) trustParts(file int, c *claims, v *survey) {
	i := s.partsFile()
	was, stamped := c.files[i]
	changed := stamped && was != (stamp{v.size[i], v.mtime[i]})
	for p := range s.each(file) {
		if changed {
			delete(c.blocks, uint32(p))
		}
		if c.durable.Has(p) && (changed || !v.covers(s, int64(p)*s.info.PieceLength, s.info.PieceSize(p))) {
			s.journal.stale = true
			c.durable.Clear(p)
		}
	}
}

// partial returns a piece with the blocks that an earlier run has left in
// their files.
func (s *Store) partial(piece uint32, blocks *bitfield.Bitfield, v *survey) *assembly {
	a := newAssembly(piece, s.info.PieceSize(int(piece)))
	for i := range blocks.All() {
		off := int64(piece)*s.info.PieceLength + int64(i)*block.Size
		if v.covers(s, off, a.length(i)) {
			a.blocks[i].state = spilled
			a.done++
		}
	}
	return a
}

// prepare writes the journal, if there is none that will do, and then makes
// the folders and files: never before, so that nothing of ours ever stands
// there without a journal that says so.
func (s *Store) prepare(spec Spec, v *survey) error {
	if s.journal.f == nil || s.journal.stale || s.journal.long() {
		if err := s.journal.replace(s.claims()); err != nil {
			return err
		}
	}
	ensured := map[string]bool{".": true}
	for i := range s.info.Files {
		f := &s.info.Files[i]
		if f.Pad || !s.selected.Has(i) {
			continue
		}
		if err := s.ensureFolders(path.Dir(f.Path), ensured); err != nil {
			return err
		}
		if f.Length == 0 && !s.exists.Has(i) {
			file, err := s.openFile(i, true)
			if err != nil {
				return err
			}
			file.Close()
		}
		if spec.Preallocate && v.allocated[i] < f.Length {
			if err := s.reserve(i); err != nil {
				return err
			}
		}
	}
	if s.completed.IsZero() {
		// An earlier run may have been killed before it synced them.
		maps.Copy(s.folders, ensured)
	}
	return nil
}

// ensureFolders makes the folders of a file; ensured remembers which are there.
func (s *Store) ensureFolders(name string, ensured map[string]bool) error {
	if ensured[name] {
		return nil
	}
	if err := s.ensureFolders(path.Dir(name), ensured); err != nil {
		return err
	}
	made, err := ensureFolder(s.fs, name)
	if err != nil {
		return err
	}
	if made {
		s.folders[path.Dir(name)] = true
	}
	ensured[name] = true
	return nil
}

// reserve allocates the space of a file.
func (s *Store) reserve(i int) error {
	f := &s.info.Files[i]
	h, err := s.disk.files.acquire(handleKey{s, i, true})
	if err != nil {
		return err
	}
	defer s.disk.files.release(h)
	defer h.dirty.Store(true)
	if err := reserve(h.File, f.Length); err != nil {
		return fmt.Errorf("reserving %d bytes: %w", f.Length, fault("allocate", f.Path, err))
	}
	return nil
}
