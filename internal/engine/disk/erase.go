package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"syscall"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// Erase removes the files of a torrent that is stored in path below dir and
// not open, then its resume state, and then those of its folders that are
// empty. It removes nothing else: without a journal none of what is there is
// known to be the torrent's, so nothing is removed. What is gone already is no
// error, so an Erase that was interrupted can be repeated. It returns
// [ErrLocked] if somebody has the torrent open.
//
// Without info, as of a torrent that is known by its hash alone, it takes what
// was kept ([Spec].KeepInfo). If that can't be read and a journal is there, so
// files may be too, it removes nothing and returns [ErrNoInfo].
func Erase(dir, below string, info *metainfo.Info, hash metainfo.Hash) error {
	fsys, err := openRoot(dir, below, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fault("open", path.Join(dir, below), err)
	}
	defer fsys.Close()
	folder := folderOf(hash)
	if _, err := fsys.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := lockFolder(fsys, folder, "erasing")
	if err != nil {
		return err
	}
	defer lock.Close()
	if info == nil {
		if info, err = keptInfo(fsys, hash); err != nil {
			return err
		}
	}
	if info == nil {
		return removeState(fsys, folder)
	}
	return erase(fsys, folder, info, hash)
}

// Erase closes the store without keeping anything, and removes what [Erase]
// removes.
func (s *Store) Erase() error {
	if !s.shut() {
		return ErrClosed
	}
	s.disk.files.drop(s)
	err := erase(s.fs, s.folder, s.info, s.journal.hash)
	s.letGo()
	return err
}

// erase removes a torrent's files while its lock is held. The journal goes
// after the files, because it is what tells that they are ours.
func erase(fsys FS, folder string, info *metainfo.Info, hash metainfo.Hash) error {
	j, c, err := openJournal(fsys, folder, info, hash, false)
	if err != nil && !errors.Is(err, errDamaged) {
		return fmt.Errorf("erasing %q: %w", info.Name, err)
	}
	known := j.f != nil
	j.close()
	if known {
		ours := func(i int) bool { return c.placed.Has(i) || c.placing.Has(i) }
		if err := errors.Join(eraseFiles(fsys, info, ours)...); err != nil {
			return fmt.Errorf("erasing %q: %w", info.Name, err)
		}
	}
	return removeState(fsys, folder)
}

func eraseFiles(fsys FS, info *metainfo.Info, ours func(file int) bool) (errs []error) {
	folders := map[string]bool{}
	for i := range info.Files {
		f := &info.Files[i]
		if f.Pad || !ours(i) {
			continue
		}
		for dir := path.Dir(f.Path); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
		stat, err := fsys.Lstat(f.Path)
		if err == nil && !stat.Mode().IsRegular() {
			continue // Nothing that we have made.
		}
		if err == nil {
			err = fsys.Remove(f.Path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			errs = append(errs, fault("remove", f.Path, err))
		}
	}
	names := slices.Sorted(maps.Keys(folders))
	slices.Reverse(names) // What is within a folder comes before it.
	for _, name := range names {
		errs = append(errs, removeEmpty(fsys, name))
	}
	return errs
}

// removeState removes the journal, what is beside it, and their folders.
func removeState(fsys FS, folder string) error {
	for _, name := range []string{partsName, journalName, journalName + ".new", infoName, infoName + ".new", lockName} {
		if err := fsys.Remove(folder + name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault("remove", folder+name, err)
		}
	}
	return errors.Join(removeEmpty(fsys, folder), removeEmpty(fsys, stateFolder))
}

// removeEmpty removes a folder if it is a folder and empty.
func removeEmpty(fsys FS, name string) error {
	stat, err := fsys.Lstat(name)
	if err == nil && stat.IsDir() {
		err = fsys.Remove(name)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) ||
		errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return fault("remove", name, err)
}
