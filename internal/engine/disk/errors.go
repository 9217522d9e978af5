package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// What can be wrong with a volume. Every error of this package that comes
// from the volume is one of them (errors.Is); its message says what was being
// done to which file, what the system said, and what a person can do.
var (
	// ErrNoSpace: the volume is full or a quota is used up, or it has less
	// room than the torrent needs.
	ErrNoSpace = errors.New("free some space on the volume or make it larger")
	// ErrReadOnly: the volume, a folder or a file does not let us write.
	ErrReadOnly = errors.New("make the volume writable for this user")
	// ErrConflict: under a name that the torrent wants stands something
	// that is not the torrent's. It was left as it is.
	ErrConflict = errors.New("move it away or choose another folder")
	// ErrLocked: somebody else is writing this torrent into this folder.
	ErrLocked = errors.New("only one may write a torrent into a folder at a time")
	// ErrMissing: not all that is to be served is there, and what is missing
	// may not be written.
	ErrMissing = errors.New("what is missing can be fetched only by a download that may write here")
	// ErrIO: anything else that the volume refused to do.
	ErrIO = errors.New("check the volume")
)

// What callers of a [Store] can do wrong or too late.
var (
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the torrent's files are closed")
	// ErrUnverified: a block of a piece that is not verified can't be read.
	ErrUnverified = errors.New("the piece is not verified")
	// ErrIncomplete: a piece can't be finished before all of its blocks are
	// committed.
	ErrIncomplete = errors.New("the piece is not complete")
)

// ErrNoInfo is returned by [Erase] for a torrent that is known by its hash
// alone, if what its files are can't be read.
var ErrNoInfo = errors.New("remove its files and that folder by hand, or download it there once more and erase it then")

// errAbsent says that bytes can't be read because their file is missing or
// too short to hold them.
var errAbsent = errors.New("the file is missing or too short")

// fault classifies what the system said while something was done to a file.
// An error that is classified already passes unchanged.
func fault(doing, name string, err error) error {
	kind := ErrIO
	switch {
	case err == nil:
		return nil
	case classified(err):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind = ErrNoSpace
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		kind = ErrReadOnly
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR),
		errors.Is(err, syscall.ELOOP), errors.Is(err, fs.ErrExist):
		kind = ErrConflict
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("can't %s %q: %w: %w", doing, name, err, kind)
}

func classified(err error) bool {
	for _, kind := range []error{ErrNoSpace, ErrReadOnly, ErrConflict, ErrLocked, ErrMissing, ErrIO, ErrClosed} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// conflict says what stands under a name that the torrent wants.
func conflict(name, what string) error {
	return fmt.Errorf("%q %s: %w", name, what, ErrConflict)
}
