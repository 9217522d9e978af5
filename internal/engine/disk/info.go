package disk

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// infoName is the file, beside the journal, of the info dictionary of a
// torrent that was known by its hash alone.
const infoName = "/info"

// ReadInfo returns the info dictionary that an earlier [Disk.Open] of the
// torrent in path below dir has kept, or nil. What can't be read, or has
// another hash, is as good as none: it can be had from peers again.
func ReadInfo(dir, below string, hash metainfo.Hash) []byte {
	fsys, err := openRoot(dir, below, false)
	if err != nil {
		return nil
	}
	defer fsys.Close()
	return readInfo(fsys, hash)
}

func readInfo(fsys FS, hash metainfo.Hash) []byte {
	name := folderOf(hash) + infoName
	stat, err := fsys.Lstat(name)
	if err != nil || !stat.Mode().IsRegular() || stat.Size() > metainfo.MaxSize {
		return nil
	}
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, stat.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) || err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	if sha1.Sum(b) != hash {
		return nil
	}
	return b
}

// keptInfo returns what an earlier [Disk.Open] has kept, for [Erase]: nil if that
// is nothing and there is no journal either, so no file was made.
func keptInfo(fsys FS, hash metainfo.Hash) (*metainfo.Info, error) {
	folder := folderOf(hash)
	b := readInfo(fsys, hash)
	if b == nil {
		if _, err := fsys.Lstat(folder + journalName); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("can't tell which files are those of torrent %v, because %q is missing, damaged or can't be read: %w", hash, folder+infoName, ErrNoInfo)
	}
	m, err := metainfo.FromInfo(b)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", folder+infoName, err)
	}
	return m.Info, nil
}

// keepInfo keeps an info dictionary for the next start, if it is not there
// already. At each instant there is a whole file or none.
func keepInfo(fsys FS, hash metainfo.Hash, b []byte) error {
	if b == nil || readInfo(fsys, hash) != nil {
		return nil
	}
	folder := folderOf(hash)
	name, temp := folder+infoName, folder+infoName+".new"
	f, err := fsys.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fault("create", temp, err)
	}
	err = errors.Join(writeAll(f, [][]byte{b}, 0), f.Sync(), f.Close())
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		if rerr := fsys.Remove(temp); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return fault("write", name, err)
	}
	return syncFolder(fsys, folder)
}
