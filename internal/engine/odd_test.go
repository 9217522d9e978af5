package engine

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// oddFile is a file of a torrent that no program of ours would make.
type oddFile struct {
	name   string
	length int
	attr   string // BEP 47.
}

// odd makes a torrent of random bytes, zeros in padding, and lays its files out
// below a new folder as the torrent's reader names them.
func odd(t *testing.T, pieceLength int, files ...oddFile) (m *metainfo.Metainfo, dir string) {
	t.Helper()
	var all bytes.Buffer
	var list strings.Builder
	rng := rand.NewChaCha8([32]byte{1})
	contents := make([][]byte, len(files))
	for i, f := range files {
		contents[i] = make([]byte, f.length)
		if f.attr != "p" {
			rng.Read(contents[i])
		}
		all.Write(contents[i])
		fmt.Fprintf(&list, "d4:attr%d:%s6:lengthi%de4:pathl%d:%see", len(f.attr), f.attr, f.length, len(f.name), f.name)
	}
	var hashes []byte
	for b := all.Bytes(); len(b) > 0; b = b[min(pieceLength, len(b)):] {
		sum := sha1.Sum(b[:min(pieceLength, len(b))])
		hashes = append(hashes, sum[:]...)
	}
	m, err := metainfo.Parse(fmt.Appendf(nil, "d4:infod5:filesl%se4:name3:odd12:piece lengthi%de6:pieces%d:%see",
		list.String(), pieceLength, len(hashes), hashes))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for i, f := range m.Info.Files {
		if f.Pad {
			continue
		}
		name := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, contents[i], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m, dir
}

func TestOddTorrents(t *testing.T) {
	var tiny []oddFile
	for i := range 1500 {
		tiny = append(tiny, oddFile{fmt.Sprintf("%04d", i), i % 7, ""})
	}
	for _, c := range []struct {
		name        string
		pieceLength int
		files       []oddFile
	}{
		{"pieces that are no multiple of a block", 20_000, []oddFile{{"a", 70_001, ""}, {"b", 33, ""}, {"c", 100_000, ""}}},
		{"pieces smaller than a block", 1_000, []oddFile{{"a", 70_001, ""}, {"b", 33, ""}}},
		{"pieces of one byte", 1, []oddFile{{"a", 700, ""}}},
		{"no pieces", 1 << 14, []oddFile{{"empty", 0, ""}, {"also empty", 0, ""}}},
		{"nothing but padding", 1 << 14, []oddFile{{"empty", 0, ""}, {"pad", 50_000, "p"}}},
		{"padding between files", 1 << 15, []oddFile{{"a", 40_000, ""}, {"pad", 25_536, "p"}, {"b", 70_000, ""}, {"pad", 7, "p"}}},
		{"names with control characters", 1 << 14, []oddFile{{"a\nb", 10, ""}, {"a\tb", 20, ""}, {"\x1b[31m", 30, ""}, {"..", 40, ""}}},
		{"thousands of tiny files in one piece", 1 << 20, tiny},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, from := odd(t, c.pieceLength, c.files...)
			e := newTestEngine(t, Config{})
			seeder, err := e.Add(Spec{Metainfo: m, Dir: from, Seeding: download.Seeding{Policy: download.SeedForever}})
			if err != nil {
				t.Fatal(err)
			}
			await(t, seeder, "the seed", is(download.StateSeeding))
			to := t.TempDir()
			spec := Spec{Metainfo: m, Dir: to, Peers: []string{e.addr()}, Preallocate: true}
			for range 2 { // The second time all is there.
				tor, err := newTestEngine(t, Config{}).Add(spec)
				if err != nil {
					t.Fatal(err)
				}
				p := await(t, tor, "the download", is(download.StateComplete))
				<-tor.Done()
				if p.BytesVerified != m.Info.PayloadLength() || p.BytesVerified != p.BytesTotal {
					t.Errorf("complete with %d of %d bytes", p.BytesVerified, p.BytesTotal)
				}
			}
			sameTree(t, filepath.Join(from, "odd"), filepath.Join(to, "odd"))
		})
	}
}
