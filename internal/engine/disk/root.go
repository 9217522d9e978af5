//go:build linux

package disk

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// root is the FS of real volumes. Nothing, neither a name nor a symbolic
// link, leads out of an os.Root.
type root struct{ *os.Root }

// openRoot opens the folder below the existing folder dir. With create it
// makes the folders of below that are missing, and makes them durable.
func openRoot(dir, below string, create bool) (FS, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if below = path.Clean(below); below == "." {
		return root{r}, nil
	}
	defer r.Close()
	if create {
		if err := makeFolders(root{r}, below); err != nil {
			return nil, err
		}
	}
	sub, err := r.OpenRoot(below)
	if err != nil {
		return nil, err
	}
	return root{sub}, nil
}

// makeFolders is MkdirAll whose folders survive a power cut. Unlike below the
// download folder, links are followed here: whoever prepared the volume may
// have laid them.
func makeFolders(r root, name string) error {
	if info, err := r.Stat(name); err == nil && info.IsDir() {
		return nil
	}
	parent := path.Dir(name)
	if parent != "." {
		if err := makeFolders(r, parent); err != nil {
			return err
		}
	}
	if err := r.Mkdir(name, 0o777); err != nil {
		// Another download, which begins in the same folder, may have been first.
		if info, again := r.Stat(name); again != nil || !info.IsDir() {
			return err
		}
	}
	return syncFolder(r, parent)
}

func (r root) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := r.Root.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &rootFile{File: f, folder: flag&syscall.O_DIRECTORY != 0}, nil
}

// rootFile is a file or folder of a real volume.
type rootFile struct {
	*os.File
	folder bool
}

func (f *rootFile) WriteVec(chunks [][]byte, off int64) (n int, err error) {
	err = control(f, func(fd int) error {
		n, err = unix.Pwritev(fd, chunks, off)
		return err
	})
	return max(n, 0), err
}

func (f *rootFile) Sync() error {
	if f.folder {
		return f.File.Sync()
	}
	return control(f, unix.Fdatasync)
}

// control calls a system function with the descriptor of f, again if a signal
// came between. For a File that has none it returns errors.ErrUnsupported.
func control(f File, call func(fd int) error) error {
	c, ok := f.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = rc.Control(func(fd uintptr) {
		for {
			if failed = call(int(fd)); !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return failed
}

// reserve allocates the first n bytes of f. Where the volume can't do that,
// the file stays sparse.
func reserve(f File, n int64) error {
	err := control(f, func(fd int) error { return unix.Fallocate(fd, 0, 0, n) })
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// freeSpace returns how many bytes an ordinary user may still write to the
// volume of f, or ok = false if the volume doesn't tell.
func freeSpace(f File) (free int64, ok bool) {
	var s unix.Statfs_t
	err := control(f, func(fd int) error { return unix.Fstatfs(fd, &s) })
	if err != nil || s.Blocks == 0 {
		return 0, false
	}
	unit := s.Frsize
	if unit == 0 {
		unit = s.Bsize
	}
	return int64(s.Bavail) * unit, true
}

// allocated returns how many bytes of the volume a file takes.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// tryLock takes the OFD lock of f, exclusive or shared with others who only
// read, which lasts until f is closed.
// Where the volume has no locks it succeeds: the lock is a second fence only.
func tryLock(f File, shared bool) (taken bool, err error) {
	kind := int16(unix.F_WRLCK)
	if shared {
		kind = unix.F_RDLCK
	}
	err = control(f, func(fd int) error {
		return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind})
	})
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
		return false, nil
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, unix.ENOLCK):
		return true, nil
	}
	return err == nil, err
}
