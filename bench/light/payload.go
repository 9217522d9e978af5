package light

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// payload is the content of a torrent, mapped into memory. This program never
// looks into it, only system calls do, which fail where a file was cut short.
type payload struct {
	*torrent
	files  [][]byte // Of info.Files; nil for what is never read.
	repeat int64    // The period with which the bytes of the one file repeat, or 0.

	headers []byte // Of the messages that carry the blocks, headerRoom bytes for each.
}

// headerRoom keeps every header within a page.
const headerRoom = 16

var zeros [wire.MaxBlock]byte

// mapPayload maps the files of a torrent below dir, and checks that they are
// as long as they must be. If repeat is not 0, the torrent has one file, of
// which the first repeat bytes stand for all.
func mapPayload(t *torrent, dir string, repeat int64) (*payload, error) {
	if repeat != 0 && len(t.info.Files) != 1 {
		return nil, fmt.Errorf("%s: a payload that repeats is one file, and this torrent has %d", t.info.Name, len(t.info.Files))
	}
	if repeat < 0 || repeat%wire.MaxBlock != 0 {
		return nil, fmt.Errorf("a payload repeats with a period that is a multiple of %d bytes, %d is none", wire.MaxBlock, repeat)
	}
	p := &payload{torrent: t, repeat: repeat, files: make([][]byte, len(t.info.Files))}
	for k, f := range t.info.Files {
		need := f.Length
		if repeat != 0 {
			need = min(need, repeat)
		}
		if f.Pad || need == 0 {
			continue
		}
		var err error
		if p.files[k], err = mapFile(filepath.Join(dir, filepath.FromSlash(f.Path)), need); err != nil {
			p.close()
			return nil, err
		}
	}
	if err := p.makeHeaders(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// makeHeaders makes all headers at once: what sockets refer to must not be
// written to any more.
func (p *payload) makeHeaders() (err error) {
	if p.headers, err = unix.Mmap(-1, 0, p.blocks*headerRoom, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	for block := range p.blocks {
		m := p.request(block)
		m.ID = wire.Piece
		wire.Append(p.header(block)[:0], m)
	}
	return nil
}

// mapFile maps the first n bytes of a file.
func mapFile(path string, n int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if stat.Size() < n {
		return nil, fmt.Errorf("%s: it has %d bytes of %d; give the folder with the whole payload", path, stat.Size(), n)
	}
	b, err := unix.Mmap(int(file.Fd()), 0, int(n), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, os.NewSyscallError("mmap", err))
	}
	return b, nil
}

// close gives the memory back. Sockets keep what they have still to send.
func (p *payload) close() {
	for _, b := range append(p.files, p.headers) {
		if b != nil {
			_ = unix.Munmap(b) // It was mapped, so it can be unmapped.
		}
	}
}

// parts yields the n bytes of the torrent, at most a block, from offset off on.
func (p *payload) parts(off int64, n int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for span := range p.info.Spans(off, int64(n)) {
			from := zeros[:]
			if !p.info.Files[span.File].Pad {
				from = p.files[span.File]
				if p.repeat != 0 {
					span.Offset %= p.repeat
				}
				from = from[span.Offset:]
			}
			if !yield(from[:span.Length]) {
				return
			}
		}
	}
}

// header returns the header of the message that carries a block.
func (p *payload) header(block int) []byte {
	return p.headers[block*headerRoom:][:wire.PieceHeaderLen]
}
