package disk

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// part is a file of a sample torrent.
type part struct {
	name   string
	length int
	attr   string // BEP 47.
}

// sample is a torrent with known content.
type sample struct {
	*metainfo.Metainfo
	content []byte // Of all files in order, padding included.
}

// newSample makes a torrent named "t" of random bytes.
func newSample(t testing.TB, seed uint64, pieceLength int, parts ...part) *sample {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	var content []byte
	var files strings.Builder
	for _, p := range parts {
		b := make([]byte, p.length)
		for i := range b {
			if !strings.Contains(p.attr, "p") {
				b[i] = byte(rnd.Uint32())
			}
		}
		content = append(content, b...)
		files.WriteByte('d')
		if p.attr != "" {
			fmt.Fprintf(&files, "4:attr%d:%s", len(p.attr), p.attr)
		}
		fmt.Fprintf(&files, "6:lengthi%de4:pathl", p.length)
		for _, c := range strings.Split(p.name, "/") {
			fmt.Fprintf(&files, "%d:%s", len(c), c)
		}
		files.WriteString("ee")
	}
	var hashes []byte
	for off := 0; off < len(content); off += pieceLength {
		h := sha1.Sum(content[off:min(len(content), off+pieceLength)])
		hashes = append(hashes, h[:]...)
	}
	m, err := metainfo.Parse(fmt.Appendf(nil, "d4:infod5:filesl%se4:name1:t12:piece lengthi%de6:pieces%d:%see",
		files.String(), pieceLength, len(hashes), hashes))
	if err != nil {
		t.Fatal(err)
	}
	return &sample{Metainfo: m, content: content}
}

// mixed is a torrent with everything in it: files that begin and end within
// blocks, empty ones, padding, an executable, an odd last piece.
func mixed(t testing.TB, seed uint64) *sample {
	return newSample(t, seed, 5*block.Size,
		part{"a.bin", 7*block.Size + 123, ""},
		part{"empty", 0, ""},
		part{"sub/deep/b.bin", 100, "x"},
		part{".pad/1", 3*block.Size - 223, "p"},
		part{"sub/c.bin", 9*block.Size + 1, ""},
		part{"d.bin", block.Size / 2, ""},
		part{"sub/also empty", 0, ""},
		part{"e.bin", 4*block.Size + 77, ""})
}

// piece returns the bytes of a piece.
func (s *sample) piece(i uint32) []byte {
	off := int64(i) * s.Info.PieceLength
	return s.content[off : off+s.Info.PieceSize(int(i))]
}

// file returns the bytes of a file.
func (s *sample) file(i int) []byte {
	f := s.Info.Files[i]
	return s.content[f.Offset : f.Offset+f.Length]
}

// onDisk checks that all files on m are right.
func (s *sample) onDisk(t *testing.T, m *memFS) {
	t.Helper()
	for i, f := range s.Info.Files {
		if f.Pad {
			if m.bytes(f.Path) != nil {
				t.Errorf("the padding file %q was written", f.Path)
			}
			continue
		}
		if b := m.bytes(f.Path); !bytes.Equal(b, s.file(i)) {
			t.Errorf("%q has %d wrong bytes", f.Path, len(b))
		}
	}
}

// holds says whether all bytes of a piece are on m.
func (s *sample) holds(m *memFS, piece int) bool {
	off := int64(piece) * s.Info.PieceLength
	for span := range s.Info.Spans(off, s.Info.PieceSize(piece)) {
		if s.Info.Files[span.File].Pad {
			continue
		}
		b := m.bytes(s.Info.Files[span.File].Path)
		end := span.Offset + span.Length
		if int64(len(b)) < end || !bytes.Equal(b[span.Offset:end], s.file(span.File)[span.Offset:end]) {
			return false
		}
	}
	return true
}

// budget makes a pool with room for so many blocks.
func budget(slots int) (p *block.Pool, pinned int64) {
	p = block.NewPool(int64(slots) * block.Size)
	for p.Capacity()-p.Used() > int64(slots)*block.Size {
		p.Get()
	}
	return p, p.Used()
}

// volume makes a disk whose volume is m. Nothing is synced by itself.
func volume(m *memFS, slots int) *Disk { return volumes(slots, map[string]*memFS{"": m}) }

// volumes makes a disk with a volume for each Spec.Dir.
func volumes(slots int, m map[string]*memFS) *Disk {
	pool, _ := budget(slots)
	return New(Options{
		Pool: pool, Workers: 2, MaxOpenFiles: 3, SyncInterval: 1 << 60,
		OpenFS: func(dir, _ string, _ bool) (FS, error) { return m[dir], nil },
	})
}

// client is a torrent open on a disk, with somebody to receive the results.
type client struct {
	*Store
	sample  *sample
	results chan Result
}

func open(d *Disk, dir string, s *sample) (*client, error) { return openSome(d, dir, s, "") }

// openSome opens a torrent of which these files, told by their paths below t,
// are selected; "" is all.
func openSome(d *Disk, dir string, s *sample, selected string) (*client, error) {
	c := &client{sample: s, results: make(chan Result, 4096)}
	var err error
	c.Store, err = d.Open(context.Background(), Spec{
		Dir: dir, Path: "down/load", Info: s.Info, InfoHash: s.InfoHash, Selected: s.files(selected), Owner: "the first", Done: func(r Result) { c.results <- r },
	}, nil)
	return c, err
}

// files returns the files with these paths below t, nil for "".
func (s *sample) files(names string) *bitfield.Bitfield {
	if names == "" {
		return nil
	}
	b := bitfield.New(len(s.Info.Files))
	for i, f := range s.Info.Files {
		if slices.Contains(strings.Fields(names), strings.TrimPrefix(f.Path, "t/")) {
			b.Set(i)
		}
	}
	return b
}

func mustOpen(t testing.TB, d *Disk, s *sample) *client {
	t.Helper()
	c, err := open(d, "", s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// receive claims, fills and commits the blocks of a piece that are not there.
func (c *client) receive(piece uint32, content []byte) {
	for off := 0; off < len(content); off += block.Size {
		b := content[off:min(len(content), off+block.Size)]
		if buf := c.Claim(piece, uint32(off), uint32(len(b))); buf != nil {
			copy(buf, b)
			c.Commit(piece, uint32(off), buf)
		}
	}
}

// fetch gets a whole piece and waits for what becomes of it.
func (c *client) fetch(piece uint32) Result {
	c.receive(piece, c.sample.piece(piece))
	c.Finish(piece, false)
	return <-c.results
}

// fetchAll gets all pieces that are wanted and missing.
func (c *client) fetchAll(t testing.TB) {
	t.Helper()
	have := c.Have()
	for p := range have.Len() {
		if have.Has(p) || !c.wanted.Has(p) {
			continue
		}
		if r := c.fetch(uint32(p)); !r.OK || r.Index != uint32(p) {
			t.Fatalf("piece %d: %+v", p, r)
		}
	}
}

func (c *client) mustClose(t testing.TB) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
}

func pieces(n int, set ...int) *bitfield.Bitfield {
	b := bitfield.New(n)
	for _, i := range set {
		b.Set(i)
	}
	return b
}

func equal(a, b *bitfield.Bitfield) bool {
	return a.Len() == b.Len() && bytes.Equal(a.Bytes(), b.Bytes())
}
