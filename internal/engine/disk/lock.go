package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// stateFolder holds, in a folder named by its info hash, each torrent's
// journal and lock.
const stateFolder = metainfo.ReservedName

// lockName is the name of the lock file within the torrent's state.
const lockName = "/lock"

// maxOwner bounds what is read of the owner's name.
const maxOwner = 256

func folderOf(hash metainfo.Hash) string { return stateFolder + "/" + hash.String() }

// lockTries bounds how often a lock is taken anew because the one who had it
// was removing it, or the folder, at that very moment.
const lockTries = 10

// lockFolder takes the lock of a torrent for owner. It is given back by
// closing the file.
func lockFolder(fsys FS, folder, owner string) (f File, err error) {
	for range lockTries {
		f, err = tryLockFolder(fsys, folder)
		if err == nil {
			// On a full volume the lock is good without a name.
			_ = writeAll(f, [][]byte{[]byte(strings.ReplaceAll(owner, "\n", " ") + "\n")}, 0)
			return f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return nil, err
}

// tryLockFolder returns an error that is fs.ErrNotExist if somebody has just
// removed what is to be locked.
func tryLockFolder(fsys FS, folder string) (File, error) {
	for _, name := range []string{stateFolder, folder} {
		if err := makeFolder(fsys, name); err != nil {
			return nil, err
		}
	}
	name := folder + lockName
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fault("create", name, err)
	}
	return hold(fsys, folder, f, false)
}

// lockToRead takes the lock of a torrent that is only read, together with
// others who only read it. Without a lock file nobody ever wrote it here, and
// there is nothing to take.
func lockToRead(fsys FS, folder string) (io.Closer, error) {
	name := folder + lockName
	for tries := 1; ; tries++ {
		f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return io.NopCloser(nil), nil
		case err != nil:
			return nil, fault("open", name, err)
		}
		f, err = hold(fsys, folder, f, true)
		if !errors.Is(err, fs.ErrNotExist) || tries == lockTries {
			return f, err
		}
	}
}

// hold locks f, the lock file of folder, or closes it. The error is
// fs.ErrNotExist if somebody has just removed the file.
func hold(fsys FS, folder string, f File, shared bool) (File, error) {
	name := folder + lockName
	taken, err := tryLock(f, shared)
	switch {
	case err != nil:
		err = fault("lock", name, err)
	case !taken:
		err = fmt.Errorf("%q is in use by %q: %w", folder, readOwner(f), ErrLocked)
	case !stands(fsys, name, f):
		err = fault("lock", name, fs.ErrNotExist)
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}

// makeFolder makes a folder durably, if there is none.
func makeFolder(fsys FS, name string) error {
	made, err := ensureFolder(fsys, name)
	if err != nil || !made {
		return err
	}
	return syncFolder(fsys, path.Dir(name))
}

// ensureFolder makes a folder if there is none, and says whether it did.
func ensureFolder(fsys FS, name string) (made bool, err error) {
	err = fsys.Mkdir(name, 0o777)
	if !errors.Is(err, fs.ErrExist) {
		return err == nil, fault("create", name, err)
	}
	info, err := fsys.Lstat(name)
	if err != nil {
		return false, fault("look at", name, err)
	}
	if !info.IsDir() {
		return false, conflict(name, "is not a folder")
	}
	return false, nil
}

// readOwner returns the name in a lock file.
func readOwner(f File) string {
	b := make([]byte, maxOwner)
	n, _ := f.ReadAt(b, 0)
	name, _, whole := bytes.Cut(b[:n], []byte("\n"))
	if !whole || len(name) == 0 {
		return "somebody else"
	}
	return string(name)
}

// stands says whether f still stands under name, as far as that can be told.
func stands(fsys FS, name string, f File) bool {
	statter, ok := f.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return true
	}
	a, err := statter.Stat()
	if err != nil {
		return false
	}
	b, err := fsys.Lstat(name)
	return err == nil && os.SameFile(a, b)
}
