package disk

import "io/fs"

// FS is the folder that a torrent is stored in. The package touches nothing
// on a volume but through it, so faults and power cuts can be injected. Names
// are slash-separated and relative; an FS never leads outside of its folder.
// All methods may be called from any goroutine.
type FS interface {
	// OpenFile is os.OpenFile. A folder is opened, with O_DIRECTORY, only to
	// sync its entries.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Lstat does not follow a link. If Sys of the result is a
	// *syscall.Stat_t, its Blocks tell how much of the file is allocated.
	Lstat(name string) (fs.FileInfo, error)
	Mkdir(name string, perm fs.FileMode) error
	// Rename replaces what stands under the new name.
	Rename(from, to string) error
	// Remove removes a file or an empty folder.
	Remove(name string) error
	Close() error
}

// File is an open file of an [FS]. If it is a syscall.Conn as well, it can be
// locked, preallocated and asked for the free space of its volume; for others
// the volume is taken to support neither.
type File interface {
	// ReadAt is that of io.ReaderAt.
	ReadAt(p []byte, off int64) (int, error)
	// WriteVec writes the chunks one after the other from offset off on.
	// It takes at most [maxChunks] of them, and may write less than all
	// without an error, but not nothing.
	WriteVec(chunks [][]byte, off int64) (int, error)
	// Sync makes what was written so far durable: the bytes and the size of
	// a file, the entries of a folder.
	Sync() error
	Close() error
}

// maxChunks is how many chunks one write takes (IOV_MAX of Linux).
const maxChunks = 1024
