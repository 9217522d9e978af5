package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// name is what the torrent, the claim and the TorrentDownload are called.
const name = "demo"

// files are the content of the torrent. Each file's bytes follow from its
// place in this list alone, so every run has the same ones.
var files = []struct {
	path string
	size int64
}{
	{"README.txt", 1_234},
	{"empty", 0},
	{"images/train-0.tar", 128 << 20},
	{"images/train-1.tar", 96<<20 + 12_345},
	{"images/validation.tar", 40 << 20},
	{"labels.json", 5<<20 + 1},
}

// contentSize is how many bytes all files have together.
func contentSize() (n int64) {
	for _, f := range files {
		n += f.size
	}
	return n
}

// writeContent makes the files below dir.
func writeContent(ctx context.Context, dir string) error {
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := writeRandom(path, byte(i), f.size); err != nil {
			return fmt.Errorf("making the content: %w", err)
		}
	}
	return nil
}

func writeRandom(path string, seed byte, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{seed}), size)
	return errors.Join(err, f.Close())
}

// linkTree gives every file below from a second name below to.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return os.Link(path, filepath.Join(to, rel))
	})
}

// compareContent reads all files below want and got and returns how many
// bytes are the same. It fails at the first difference.
func compareContent(ctx context.Context, want, got string) (n int64, err error) {
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		path := filepath.FromSlash(f.path)
		size, err := compareFiles(filepath.Join(want, path), filepath.Join(got, path))
		n += size
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func compareFiles(want, got string) (n int64, err error) {
	a, err := os.Open(want)
	if err != nil {
		return 0, err
	}
	defer a.Close()
	b, err := os.Open(got)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	left, right := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		nl, errl := io.ReadFull(a, left)
		nr, errr := io.ReadFull(b, right)
		if nl != nr || !bytes.Equal(left[:nl], right[:nr]) {
			return n, fmt.Errorf("%s differs from %s within the megabyte at %d", got, want, n)
		}
		n += int64(nl)
		if errl != nil || errr != nil {
			for _, err := range []error{errl, errr} {
				if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					return n, err
				}
			}
			return n, nil
		}
	}
}
