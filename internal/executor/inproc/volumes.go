package inproc

import (
	"context"
	"errors"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// ErrNowhere is wrapped by the errors of [Volumes] that say that there is no
// volume to which anything can ever have been written: nothing has to be erased.
var ErrNowhere = errors.New("there is no volume that was ever written to")

// Volumes finds the folders that are the roots of volumes.
type Volumes interface {
	// Folder returns the folder on this machine that is the root of a volume.
	// It may take as long as ctx lasts, is called again for each attempt, and
	// by many at once. The error is a [download.Failure] if a person has to
	// know, and wraps [ErrNowhere] where that is so.
	Folder(ctx context.Context, namespace string, v download.Volume) (string, error)
}

// Mounted is the [Volumes] of a process that has one volume, mounted in this
// folder, whatever its claim is called.
type Mounted string

// Folder implements [Volumes].
func (m Mounted) Folder(context.Context, string, download.Volume) (string, error) {
	return string(m), nil
}
