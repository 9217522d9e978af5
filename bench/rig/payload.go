package rig

import (
	"bufio"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// Payload says what a torrent is to hold. The same Payload always has the same
// bytes.
type Payload struct {
	Name        string
	PieceLength int64   // Bytes, a power of two.
	Sizes       []int64 // Of its files, in bytes. One makes a single file.
	// Repeat, if it is not zero, is how many bytes of the one file are kept.
	// The rest of it says the same again and again: the light seeder knows.
	// Both are multiples of PieceLength.
	Repeat int64
}

// Make returns p's torrent below dir, where it is made if it is not there yet.
func (p Payload) Make(ctx context.Context, dir string) (*Torrent, error) {
	home := filepath.Join(dir, p.Name)
	t := &Torrent{File: filepath.Join(dir, p.Name+".torrent"), Name: p.Name, Dir: home, PieceLength: p.PieceLength, Repeat: p.Repeat}
	for _, n := range p.Sizes {
		t.Length += n
	}
	if _, err := os.Stat(t.File); errors.Is(err, fs.ErrNotExist) {
		if err := p.write(home); err != nil {
			return nil, fmt.Errorf("making the payload %s: %w", p.Name, err)
		}
		if err := p.describe(ctx, t); err != nil {
			return nil, fmt.Errorf("making the torrent of %s: %w", p.Name, err)
		}
	}
	m, err := ReadTorrent(t.File)
	if err != nil {
		return nil, err
	}
	t.InfoHash = m.InfoHash
	return t, nil
}

// write writes the files.
func (p Payload) write(home string) error {
	if err := os.RemoveAll(home); err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32.32s", p.Name))))
	for i, size := range p.Sizes {
		name := filepath.Join(home, p.Name)
		if len(p.Sizes) > 1 {
			name = filepath.Join(name, fmt.Sprintf("folder-%02d", i/100), fmt.Sprintf("file-%04d", i))
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if p.Repeat > 0 {
			size = p.Repeat
		}
		if err := writeRandom(name, size, random); err != nil {
			return err
		}
	}
	return nil
}

func writeRandom(name string, size int64, random *rand.ChaCha8) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	var buf [64 << 10]byte
	for size > 0 {
		part := buf[:min(size, int64(len(buf)))]
		random.Read(part)
		if _, err := w.Write(part); err != nil {
			return err
		}
		size -= int64(len(part))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// describe writes the .torrent file, under its name only when all of it is
// there.
func (p Payload) describe(ctx context.Context, t *Torrent) error {
	m, err := metainfo.Create(ctx, filepath.Join(t.Dir, t.Name), metainfo.CreateOptions{PieceLength: p.PieceLength})
	if err != nil {
		return err
	}
	b, err := m.Marshal()
	if err != nil {
		return err
	}
	if p.Repeat > 0 {
		b = p.repeated(m.InfoBytes)
	}
	if err := os.WriteFile(t.File+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(t.File+".new", t.File)
}

// repeated returns the .torrent file of the whole payload, given the info
// dictionary of the part that is kept. Keys of a dictionary are sorted (BEP 3),
// so the hashes are the last thing in it.
func (p Payload) repeated(kept []byte) []byte {
	n := int(p.Repeat / p.PieceLength * sha1.Size)
	hashes := kept[len(kept)-1-n : len(kept)-1]
	count := int(p.Sizes[0] / p.PieceLength)
	b := fmt.Appendf(nil, "d4:infod6:lengthi%de4:name%d:%s12:piece lengthi%de6:pieces%d:",
		p.Sizes[0], len(p.Name), p.Name, p.PieceLength, count*sha1.Size)
	for count > 0 {
		some := min(count, len(hashes)/sha1.Size)
		b = append(b, hashes[:some*sha1.Size]...)
		count -= some
	}
	return append(b, "ee"...)
}

// Check says whether what a client has put into dir is the torrent's payload.
func (t *Torrent) Check(dir string) error {
	m, err := ReadTorrent(t.File)
	if err != nil {
		return err
	}
	return Check(m.Info, dir)
}
