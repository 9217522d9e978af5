package process

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// torrent is a torrent whose content is in memory. A large one is the same
// bytes again and again.
type torrent struct {
	*metainfo.Info
	hash    metainfo.Hash
	file    string // Path of the .torrent file.
	content []byte
}

// layout is what a torrent is to be: a file called name, or a folder of that
// name if paths are given. Sizes are in bytes.
type layout struct {
	name        string
	pieceLength int64
	size        int64 // Of the one file.
	files       []sized
}

type sized struct {
	path string // Slash-separated.
	size int64
}

// random returns bytes that follow from a seed.
func random(seed uint64, n int64) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}).Read(b)
	return b
}

// newTorrent writes a .torrent file for content, which is repeated to the
// size of the layout. Blocks never reach beyond its end.
func newTorrent(t *testing.T, l layout, content []byte) *torrent {
	t.Helper()
	size := l.size
	info := map[string]any{"name": l.name, "piece length": l.pieceLength}
	if l.files == nil {
		info["length"] = l.size
	} else {
		var files []any
		for _, f := range l.files {
			size += f.size
			files = append(files, map[string]any{"length": f.size, "path": strings.Split(f.path, "/")})
		}
		info["files"] = files
	}
	if n := int64(len(content)); n < size && n%l.pieceLength != 0 {
		t.Fatalf("%d bytes of content are no multiple of pieces of %d", n, l.pieceLength)
	}
	info["pieces"] = hashes(content, l.pieceLength, size)
	m := &metainfo.Metainfo{}
	var err error
	if m.InfoBytes, err = bencode.Marshal(info); err != nil {
		t.Fatal(err)
	}
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if m, err = metainfo.Parse(b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), l.name+".torrent")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return &torrent{Info: m.Info, hash: m.InfoHash, file: file, content: content}
}

// hashes returns the SHA-1 of each piece, hashing what is repeated once.
func hashes(content []byte, pieceLength, size int64) []byte {
	known := map[[2]int64][sha1.Size]byte{}
	var all []byte
	for off := int64(0); off < size; off += pieceLength {
		part := [2]int64{off % int64(len(content)), min(pieceLength, size-off)}
		h, ok := known[part]
		if !ok {
			h = sha1.Sum(content[part[0] : part[0]+part[1]])
			known[part] = h
		}
		all = append(all, h[:]...)
	}
	return all
}

// bytes returns content from an offset on, which does not reach beyond what
// is repeated.
func (t *torrent) bytes(off, n int64) []byte {
	off %= int64(len(t.content))
	return t.content[off : off+n]
}

// blockSize returns the bytes of the block at begin in a piece.
func (t *torrent) blockSize(piece int, begin int64) int64 {
	return min(block.Size, t.PieceSize(piece)-begin)
}

// blocks returns how many blocks a whole piece has.
func (t *torrent) blocks() int { return int((t.PieceLength + block.Size - 1) / block.Size) }

// compare reads all files below dir and returns what is wrong with them.
func (t *torrent) compare(dir string) error {
	buf := make([]byte, block.Size)
	for _, f := range t.Files {
		got, err := os.Open(filepath.Join(dir, filepath.FromSlash(f.Path)))
		if err != nil {
			return err
		}
		err = t.compareFile(got, f, buf)
		got.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return nil
}

func (t *torrent) compareFile(got *os.File, f metainfo.File, buf []byte) error {
	if info, err := got.Stat(); err != nil || info.Size() != f.Length {
		return fmt.Errorf("its size is not %d: %w", f.Length, errors.Join(err))
	}
	for off := int64(0); off < f.Length; {
		at := (f.Offset + off) % int64(len(t.content))
		n := min(int64(len(buf)), f.Length-off, int64(len(t.content))-at)
		if _, err := io.ReadFull(got, buf[:n]); err != nil {
			return err
		}
		if string(buf[:n]) != string(t.bytes(at, n)) {
			return fmt.Errorf("wrong bytes between %d and %d", off, off+n)
		}
		off += n
	}
	return nil
}

// onDisk returns how many pieces stand whole below dir.
func (t *torrent) onDisk(dir string) (whole map[int]bool) {
	whole = map[int]bool{}
	for piece := range t.PieceCount() {
		off := int64(piece) * t.PieceLength
		ok := true
		for span := range t.Spans(off, t.PieceSize(piece)) {
			want := t.bytes(off, span.Length)
			off += span.Length
			ok = ok && holds(filepath.Join(dir, filepath.FromSlash(t.Files[span.File].Path)), span.Offset, want)
		}
		if ok {
			whole[piece] = true
		}
	}
	return whole
}

// holds says whether a file has these bytes at an offset.
func holds(path string, off int64, want []byte) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	got := make([]byte, len(want))
	_, err = f.ReadAt(got, off)
	return err == nil && string(got) == string(want)
}
