package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// Whoever only serves a torrent may have its volume mounted read-only. Then
// what the journal says is believed, and what it does not say is hashed, by the
// rules that always hold; but what is found out is kept in memory alone, and
// nothing is made, mended or removed. As nothing can be fetched, all that is
// selected has to be there.

// readOnlyFS is an FS on which nothing can be changed, whatever its volume lets.
type readOnlyFS struct{ FS }

func (r readOnlyFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_TRUNC) != 0 {
		return nil, refuse("open", name)
	}
	f, err := r.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return readOnlyFile{f}, nil
}

func (readOnlyFS) Mkdir(name string, _ fs.FileMode) error { return refuse("mkdir", name) }
func (readOnlyFS) Rename(from, _ string) error            { return refuse("rename", from) }
func (readOnlyFS) Remove(name string) error               { return refuse("remove", name) }

func refuse(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: syscall.EROFS} }

// readOnlyFile is a file of a readOnlyFS.
type readOnlyFile struct{ File }

// Sync makes durable what somebody else has written, before the volume could
// only be read. File systems that are never written to know no syncing, and
// need none.
func (f readOnlyFile) Sync() error {
	err := f.File.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EROFS) {
		return nil
	}
	return err
}

// suspect adds the wanted pieces that nobody knows of to those to be hashed: to
// fetch them instead is not possible here.
func (s *Store) suspect(v *survey, check *bitfield.Bitfield) {
	readable := s.readable(v)
	for p := range s.wanted.All() {
		if readable.Has(p) && !s.have.Has(p) {
			check.Set(p)
		}
	}
}

// asItIs opens a store whose files are not to be changed.
func (s *Store) asItIs() error {
	if err := s.missing(); err != nil {
		return err
	}
	if !s.completed.IsZero() {
		return nil
	}
	for i := range s.info.Files { // An earlier run may have been killed before it synced them.
		if s.info.Files[i].Pad || !s.selected.Has(i) {
			continue
		}
		s.folders["."] = true
		for dir := path.Dir(s.info.Files[i].Path); !s.folders[dir]; dir = path.Dir(dir) {
			s.folders[dir] = true
		}
	}
	return nil
}

// missing returns ErrMissing unless all that is wanted is verified and under
// its own name.
func (s *Store) missing() error {
	s.mu.Lock()
	lacking := s.wanted.Count() - s.have.Common(s.wanted)
	s.mu.Unlock()
	if lacking > 0 {
		return fmt.Errorf("%d of the %d pieces of %q are missing or damaged, and it is only to be read: %w", lacking, s.wanted.Count(), s.info.Name, ErrMissing)
	}
	s.making.Lock()
	defer s.making.Unlock()
	for i := range s.info.Files {
		if f := &s.info.Files[i]; !f.Pad && s.selected.Has(i) && !(s.placed.Has(i) && s.exists.Has(i)) {
			return fmt.Errorf("the file %q is not there yet, and the torrent is only to be read: %w", f.Path, ErrMissing)
		}
	}
	return nil
}
