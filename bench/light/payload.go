package light

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// payload is the content of a torrent, held open.
type payload struct {
	info   *metainfo.Info
	files  []int // Descriptors of info.Files; -1 for what is never read.
	repeat int64 // The period with which the bytes of the one file repeat, or 0.
}

// openPayload opens the files of a torrent below dir, and checks that they are
// as long as they must be. If repeat is not 0, the torrent has one file, of
// which the first repeat bytes stand for all.
func openPayload(info *metainfo.Info, dir string, repeat int64) (p *payload, err error) {
	if repeat != 0 && len(info.Files) != 1 {
		return nil, fmt.Errorf("%s: a payload that repeats is one file, and this torrent has %d", info.Name, len(info.Files))
	}
	if repeat%wire.MaxBlock != 0 {
		return nil, fmt.Errorf("a payload repeats with a period that is a multiple of %d bytes, %d is none", wire.MaxBlock, repeat)
	}
	p = &payload{info: info, repeat: repeat}
	for _, f := range info.Files {
		fd, need := -1, f.Length
		if repeat != 0 {
			need = min(need, repeat)
		}
		if !f.Pad && need > 0 {
			if fd, err = openWhole(filepath.Join(dir, filepath.FromSlash(f.Path)), need); err != nil {
				p.close()
				return nil, err
			}
		}
		p.files = append(p.files, fd)
	}
	return p, nil
}

// openWhole opens a file that has need bytes at least.
func openWhole(path string, need int64) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var stat unix.Stat_t
	if err = unix.Fstat(fd, &stat); err == nil && stat.Size < need {
		err = fmt.Errorf("it has %d bytes of %d; give the folder with the whole payload", stat.Size, need)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", path, err)
	}
	return fd, nil
}

func (p *payload) close() {
	for _, fd := range p.files {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

var zeros [wire.MaxBlock]byte

// send sends n bytes of the torrent, at most a block, from offset off on.
func (p *payload) send(s *socket, off int64, n int) error {
	for span := range p.info.Spans(off, int64(n)) {
		if p.info.Files[span.File].Pad {
			if err := s.write(zeros[:span.Length], false); err != nil {
				return err
			}
			continue
		}
		if p.repeat != 0 {
			span.Offset %= p.repeat
		}
		if err := s.sendfile(p.files[span.File], span.Offset, int(span.Length)); err != nil {
			return fmt.Errorf("%s from byte %d on: %w", p.info.Files[span.File].Path, span.Offset, err)
		}
	}
	return nil
}
