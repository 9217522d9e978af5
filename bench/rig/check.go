package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

const (
	checkStretch = 8 << 20   // Bytes that a core takes at once, if pieces are not longer.
	checkBuffer  = 256 << 10 // Bytes that are read at once.
)

// ReadTorrent reads a .torrent file.
func ReadTorrent(file string) (*metainfo.Metainfo, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	m, err := metainfo.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

// Check reads what is in dir, on all cores, and says whether it is the payload
// of a torrent, by the hash of each piece.
func Check(info *metainfo.Info, dir string) error {
	var (
		next  atomic.Int64
		cores errgroup.Group
	)
	run := max(1, int(checkStretch/info.PieceLength))
	for range runtime.GOMAXPROCS(0) {
		cores.Go(func() error {
			c := checker{info: info, dir: dir, hash: info.NewVerifier(), buf: make([]byte, checkBuffer), open: -1}
			defer c.close()
			for {
				first := int(next.Add(1)-1) * run
				if first >= info.PieceCount() {
					return nil
				}
				for piece := first; piece < min(first+run, info.PieceCount()); piece++ {
					if err := c.piece(piece); err != nil {
						return err
					}
				}
			}
		})
	}
	return cores.Wait()
}

// checker is what one core keeps from piece to piece.
type checker struct {
	info *metainfo.Info
	dir  string
	hash *metainfo.Verifier
	buf  []byte
	file *os.File
	open int // Which of the torrent's files file is; -1 for none.
}

func (c *checker) close() {
	if c.file != nil {
		c.file.Close()
	}
}

func (c *checker) piece(piece int) error {
	c.hash.Reset(piece)
	for span := range c.info.Spans(int64(piece)*c.info.PieceLength, c.info.PieceSize(piece)) {
		for span.Length > 0 {
			b := c.buf[:min(span.Length, int64(len(c.buf)))]
			if err := c.read(b, span.File, span.Offset); err != nil {
				return err
			}
			c.hash.Write(b)
			span.Offset, span.Length = span.Offset+int64(len(b)), span.Length-int64(len(b))
		}
	}
	if !c.hash.OK() {
		return fmt.Errorf("piece %d of %s in %s has other bytes than the torrent says", piece, c.info.Name, c.dir)
	}
	return nil
}

func (c *checker) read(b []byte, file int, offset int64) (err error) {
	if c.open != file {
		c.close()
		if c.file, err = os.Open(filepath.Join(c.dir, c.info.Files[file].Path)); err != nil {
			return err
		}
		c.open = file
	}
	if _, err := c.file.ReadAt(b, offset); err != nil {
		return fmt.Errorf("%s: %w", c.file.Name(), err)
	}
	return nil
}
