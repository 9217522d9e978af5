package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// openFile opens a file of the torrent. One that is to be written is made if
// it was not there when the store was opened; if something has come to stand
// under its name since, that is a conflict.
func (s *Store) openFile(i int, write bool) (File, error) {
	name := s.name(i)
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	s.making.Lock()
	if s.exists.Has(i) {
		s.making.Unlock()
		f, err := s.fs.OpenFile(name, flag, 0)
		return f, fault("open", name, err)
	}
	defer s.making.Unlock()
	if !write {
		return nil, errAbsent
	}
	perm := fs.FileMode(0o666)
	if i < len(s.info.Files) && s.info.Files[i].Executable {
		perm = 0o777
	}
	f, err := s.fs.OpenFile(name, flag|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, fault("create", name, err)
	}
	s.exists.Set(i)
	s.folders[path.Dir(name)] = true
	return f, nil
}

// writer holds what one goroutine needs to write blocks.
type writer struct{ chunks [][]byte }

// runs writes runs of blocks of a that are in memory to their files.
func (w *writer) runs(s *Store, a *assembly, runs []run) error {
	start := int64(a.index) * s.info.PieceLength
	for _, r := range runs {
		from, to := int64(r.first)*block.Size, min(int64(r.end)*block.Size, a.size)
		if err := w.write(s, []*assembly{a}, start+from, start+to); err != nil {
			return err
		}
	}
	return nil
}

// write writes bytes of the torrent to their files: with one call for each
// file, up to what one call takes. They are in memory, in pieces that follow
// each other.
func (w *writer) write(s *Store, pieces []*assembly, from, to int64) error {
	for span := range s.info.Spans(from, to-from) {
		if !s.info.Files[span.File].Pad {
			w.gather(s.info.PieceLength, pieces, from, span.Length)
			file, off, ok := s.locate(span)
			if !ok {
				return fmt.Errorf("piece %d is in no file that has a place: %w", from/s.info.PieceLength, ErrIO)
			}
			if err := s.writeFile(file, w.chunks, off); err != nil {
				return err
			}
		}
		from += span.Length
	}
	return nil
}

// gather sets w.chunks to the n bytes of the torrent from off on.
func (w *writer) gather(pieceLength int64, pieces []*assembly, off, n int64) {
	w.chunks = w.chunks[:0]
	first := int64(pieces[0].index)
	for n > 0 {
		piece, at := off/pieceLength-first, off%pieceLength
		chunk := pieces[piece].bytes(int(at / block.Size))[at%block.Size:]
		chunk = chunk[:min(n, int64(len(chunk)))]
		w.chunks = append(w.chunks, chunk)
		off += int64(len(chunk))
		n -= int64(len(chunk))
	}
}

func (s *Store) writeFile(i int, chunks [][]byte, off int64) error {
	h, err := s.disk.files.acquire(handleKey{s, i, true})
	if err != nil {
		return err
	}
	defer s.disk.files.release(h)
	h.writing.Lock()
	defer h.writing.Unlock()
	defer h.dirty.Store(true) // After the write, so that no sync under way is taken for its sync.
	defer took(&s.load.writes, &s.load.writing, time.Now())
	return fault("write", s.name(i), writeAll(h, chunks, off))
}

// writeAll writes all chunks from off on, however little one call takes. It
// changes the slice.
func writeAll(f File, chunks [][]byte, off int64) error {
	for len(chunks) > 0 {
		n, err := f.WriteVec(chunks[:min(len(chunks), maxChunks)], off)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		off += int64(n)
		for n > 0 && n >= len(chunks[0]) {
			n -= len(chunks[0])
			chunks = chunks[1:]
		}
		if n > 0 {
			chunks[0] = chunks[0][n:]
		}
	}
	return nil
}

// readAt reads the torrent's bytes from off on, all of one piece; padding is
// zeros. It returns errAbsent when a file is missing or too short.
func (s *Store) readAt(dst []byte, off int64) error {
	for span := range s.info.Spans(off, int64(len(dst))) {
		part := dst[:span.Length]
		dst = dst[span.Length:]
		if s.info.Files[span.File].Pad {
			clear(part)
			continue
		}
		file, off, ok := s.locate(span)
		if !ok {
			return errAbsent
		}
		if err := s.readFile(file, part, off); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) readFile(i int, dst []byte, off int64) error {
	h, err := s.disk.files.acquire(handleKey{s, i, false})
	if errors.Is(err, fs.ErrNotExist) {
		return errAbsent
	} else if err != nil {
		return err
	}
	defer s.disk.files.release(h)
	n, err := h.ReadAt(dst, off)
	if n == len(dst) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errAbsent
	}
	return fault("read", s.name(i), err)
}

// ReadBlock reads len(dst) bytes of a piece from begin on, to be served. The
// piece must be verified, else it returns [ErrUnverified]. An [ErrIO] may mean
// that the file was changed by somebody else.
func (s *Store) ReadBlock(dst []byte, index, begin uint32) error {
	if err := s.beginRead(index, int64(begin)+int64(len(dst))); err != nil {
		return err
	}
	defer s.work.Done()
	err := s.readAt(dst, int64(index)*s.info.PieceLength+int64(begin))
	if errors.Is(err, errAbsent) {
		return fault("read a verified piece of", s.info.Name, err)
	}
	return err
}

// beginRead adds to s.work if a piece may be read up to end.
func (s *Store) beginRead(index uint32, end int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if int64(index) >= int64(s.have.Len()) || !s.have.Has(int(index)) || end > s.info.PieceSize(int(index)) {
		return fmt.Errorf("piece %d up to byte %d: %w", index, end, ErrUnverified)
	}
	s.work.Add(1)
	return nil
}

// syncFolder makes the entries of a folder durable.
func syncFolder(fsys FS, name string) error {
	f, err := fsys.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return fault("open", name, err)
	}
	defer f.Close()
	return fault("sync", name, f.Sync())
}
