package engine

import (
	"errors"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/disk"
)

// failure turns what went wrong with a torrent's files into the words of the
// seam. Everything here can be mended by a person without changing the
// request, so nothing is permanent but a conflict over names.
func failure(err error) *download.Failure {
	f := &download.Failure{Reason: download.ReasonVolumeError, Message: err.Error()}
	var given *download.Failure
	switch {
	case errors.As(err, &given):
		return given
	case errors.Is(err, disk.ErrNoSpace):
		f.Reason = download.ReasonInsufficientSpace
	case errors.Is(err, disk.ErrMissing):
		f.Reason = download.ReasonDataMissing
	case errors.Is(err, disk.ErrReadOnly):
		f.Reason = download.ReasonVolumeReadOnly
	case errors.Is(err, disk.ErrConflict):
		f.Reason, f.Permanent = download.ReasonPathConflict, true
	case errors.Is(err, disk.ErrLocked):
		f.Reason = download.ReasonVolumeBusy
	}
	return f
}
