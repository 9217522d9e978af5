package light

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

const (
	stretch = 1 << 20 // Bytes that are read, checked and written at once, if pieces are not longer.
	ahead   = 256     // Blocks that are asked for at once of each connection.
	gulp    = 64      // Blocks that are read with one system call.
)

// FloorConfig says what to download, and where to.
type FloorConfig struct {
	Torrent string    // The .torrent file.
	Dir     string    // Receives the payload.
	Listen  string    // The "host:port" at which seeders of this package ([Seed]) dial.
	Seeders int       // How many of them will, each with one connection.
	Out     io.Writer // Gets the line.
}

// Floor downloads a torrent with the least that this takes: every byte is
// copied out of a socket once, hashed once, and written once. It trusts that
// seeders are those of this package, which answer every request in order, so
// it knows where in the stream each byte is before it arrives. It returns nil
// after it wrote this line:
//
//	verified  Every piece matched its hash and was written.
func Floor(ctx context.Context, c FloorConfig) error {
	if c.Seeders < 1 {
		return fmt.Errorf("a download from %d seeders: give 1 at least", c.Seeders)
	}
	t, err := readTorrent(c.Torrent)
	if err != nil {
		return err
	}
	f := &floor{torrent: t, dir: c.Dir, pieces: max(1, int(stretch/t.info.PieceLength))}
	f.stretches = (t.info.PieceCount() + f.pieces - 1) / f.pieces
	if err := f.makeFiles(); err != nil {
		return err
	}
	// A thread carries a stretch from the socket to the file, so that it stays
	// in the cache of one core. As many share a connection as keep all cores
	// busy.
	hands := (runtime.GOMAXPROCS(0) + c.Seeders - 1) / c.Seeders
	parent := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	err = listen(ctx, c.Listen, func(conn net.Conn) {
		all.Go(func() {
			socket, _, err := t.answer(ctx, conn)
			if err != nil {
				return // Somebody who looked whether there is anybody.
			}
			defer socket.close()
			s := &stream{floor: f, socket: socket}
			if err := s.open(); err != nil {
				cancel(err)
				return
			}
			var workers sync.WaitGroup
			for range hands {
				workers.Go(func() {
					if done, err := s.work(); done || err != nil {
						cancel(err)
					}
				})
			}
			workers.Wait()
		})
	})
	all.Wait()
	switch {
	case err != nil:
		return err
	case f.verified.Load() == int64(f.stretches):
		(&lines{out: c.Out}).say("verified")
		return nil
	case parent.Err() != nil:
		return parent.Err()
	}
	return context.Cause(ctx)
}

// floor is a download. Its stretches are the pieces in order, as many at a
// time as there are in 1 MiB, or one.
type floor struct {
	*torrent
	dir       string
	pieces    int // Of each stretch but the last.
	stretches int
	taken     atomic.Int64 // Stretches that a connection has begun with.
	verified  atomic.Int64 // Stretches that are there.
}

// makeFiles makes the folders, and all files empty.
func (f *floor) makeFiles() error {
	for _, file := range f.info.Files {
		if file.Pad {
			continue
		}
		path := f.path(file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (f *floor) path(file metainfo.File) string {
	return filepath.Join(f.dir, filepath.FromSlash(file.Path))
}

// keep checks the pieces of a stretch and writes them.
func (f *floor) keep(first int, b []byte, check *metainfo.Verifier) error {
	for rest, piece := b, first; len(rest) > 0; piece++ {
		n := f.info.PieceSize(piece)
		check.Reset(piece)
		check.Write(rest[:n])
		if !check.OK() {
			return fmt.Errorf("piece %d does not match its hash: the seeder sent other bytes than those of the torrent", piece)
		}
		rest = rest[n:]
	}
	for span := range f.info.Spans(int64(first)*f.info.PieceLength, int64(len(b))) {
		if file := f.info.Files[span.File]; !file.Pad {
			if err := writeAt(f.path(file), b[:span.Length], span.Offset); err != nil {
				return err
			}
		}
		b = b[span.Length:]
	}
	return nil
}

func writeAt(path string, b []byte, offset int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteAt(b, offset)
	return err
}

// stream is what comes over one connection.
type stream struct {
	*floor
	socket *socket

	mu      sync.Mutex // Guards what follows and the reading of the socket.
	queue   []int      // Stretches that are taken and not yet read.
	next    int        // The next block to ask for,
	end     int        // and where the stretch ends that it is in.
	pending int        // Blocks that are asked for and not yet read.
	out     []byte
	heads   [gulp][wire.PieceHeaderLen]byte
	parts   [][]byte
}

// open says interested, and passes over what the seeder says before it lets
// us ask.
func (s *stream) open() error {
	hello := wire.Append(nil, wire.Message{ID: wire.HaveNone})
	if err := s.socket.write(wire.Append(hello, wire.Message{ID: wire.Interested}), false); err != nil {
		return err
	}
	want := wire.Append(wire.Append(nil, wire.Message{ID: wire.HaveAll}), wire.Message{ID: wire.Unchoke})
	got := make([]byte, len(want))
	if err := s.socket.read(got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the seeder begins with % x instead of % x; it must be a light one", got, want)
	}
	return nil
}

// work carries stretches from the socket to their files, until none is left.
// It says whether with its last one everything was there.
func (s *stream) work() (done bool, err error) {
	buf := make([]byte, min(int64(s.pieces)*s.info.PieceLength, s.info.Length))
	check := s.info.NewVerifier()
	for {
		first, n, err := s.read(buf)
		if err != nil {
			return false, fmt.Errorf("the connection to a seeder broke: %w", err)
		}
		if n == 0 {
			return false, nil
		}
		if err := s.keep(first, buf[:n], check); err != nil {
			return false, err
		}
		if s.verified.Add(1) == int64(s.stretches) {
			return true, nil
		}
	}
}

// read reads the next stretch into buf, and returns its first piece and its
// length in bytes, which is 0 if there is no more.
func (s *stream) read(buf []byte) (first, n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ask(); err != nil || len(s.queue) == 0 {
		return 0, 0, err
	}
	first = s.queue[0] * s.pieces
	block, end := s.bounds(s.queue[0])
	s.queue = s.queue[1:]
	for block < end {
		if err := s.ask(); err != nil {
			return 0, 0, err
		}
		count := min(gulp, end-block)
		k, err := s.gulp(block, count, buf[n:])
		if err != nil {
			return 0, 0, err
		}
		n += k
		block += count
		s.pending -= count
	}
	return first, n, nil
}

// bounds returns the first block of a stretch and the one after its last.
func (s *stream) bounds(stretch int) (int, int) {
	blocks := s.pieces * s.perPiece
	return stretch * blocks, min((stretch+1)*blocks, s.blocks)
}

// ask asks for as many blocks as may be on their way.
func (s *stream) ask() error {
	s.out = s.out[:0]
	for ; s.pending < ahead; s.pending++ {
		if s.next == s.end {
			k := int(s.taken.Add(1)) - 1
			if k >= s.stretches {
				break
			}
			s.queue = append(s.queue, k)
			s.next, s.end = s.bounds(k)
		}
		s.out = wire.Append(s.out, s.request(s.next))
		s.next++
	}
	return s.socket.write(s.out, false)
}

// gulp reads count blocks and returns their length: their headers aside, and
// what they carry one after another into buf.
func (s *stream) gulp(block, count int, buf []byte) (n int, err error) {
	s.parts = s.parts[:0]
	for k := range count {
		length := int(s.request(block + k).Length)
		s.parts = append(s.parts, s.heads[k][:], buf[n:n+length])
		n += length
	}
	if err := s.socket.scatter(s.parts); err != nil {
		return 0, err
	}
	for k := range count {
		want := s.request(block + k)
		want.ID = wire.Piece
		if s.out = wire.Append(s.out[:0], want); !bytes.Equal(s.out, s.heads[k][:]) {
			return 0, fmt.Errorf("a message that begins with % x instead of % x; the seeder must be a light one", s.heads[k], s.out)
		}
	}
	return n, nil
}
