package peerconn

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// depth is how many blocks are asked for ahead in the measurements.
const depth = 256

// consumer is the cheapest sink: all blocks go to the same place, and each
// that arrives is asked for again.
type consumer struct {
	place  [wire.MaxBlock]byte
	left   int
	asking []wire.Message
	bursts int
}

func (s *consumer) Claim(_, _, length uint32) []byte      { return s.place[:length] }
func (s *consumer) ClaimAhead(_, _, length uint32) []byte { return s.place[:length] }
func (s *consumer) Commit(_, _ uint32, _ []byte) bool     { return true }
func (s *consumer) Abandon([]byte)                        {}
func (s *consumer) Deliver(c *Conn, burst []Received) {
	s.bursts++
	s.asking = s.asking[:0]
	for _, r := range burst {
		m := r.Msg
		m.ID = wire.Request
		s.asking = append(s.asking, m)
	}
	if s.left -= len(burst); s.left <= 0 {
		c.Close("enough")
		return
	}
	c.Send(s.asking...)
}

// stream makes a connection receive n blocks from a peer that sends as fast as
// it can, and returns in how many bursts they were delivered.
func stream(tb testing.TB, pair func(testing.TB) (ours, peers net.Conn), n int) (bursts int) {
	tb.Helper()
	ours, peers := pair(tb)
	s := &consumer{left: n, asking: make([]wire.Message, 0, maxBurst)}
	c := connect(Config{Conn: ours, Sink: s, Pieces: depth})
	var blocks []byte
	for i := range uint32(depth) {
		c.Send(request(i, 0, wire.MaxBlock))
		blocks = append(blocks, blockBytes(i, 0, wire.MaxBlock)...)
	}
	done := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(io.Discard, peers); done <- struct{}{} }()
	go func() { serveInTurn(peers, blocks); done <- struct{}{} }()
	result := make(chan error, 1)
	result <- c.Run(tb.Context())
	expectEnd(tb, result, "enough")
	<-done
	<-done
	return s.bursts
}

// serveInTurn sends the same blocks over and over.
func serveInTurn(peer net.Conn, blocks []byte) {
	for {
		if _, err := peer.Write(blocks); err != nil {
			return
		}
	}
}

// BenchmarkReceiveBlocks has both ends in this process, so what is encrypted is
// also decrypted.
func BenchmarkReceiveBlocks(b *testing.B) {
	for _, kind := range []string{"TCP", "encrypted TCP"} {
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(wire.MaxBlock)
			b.ReportAllocs()
			b.ReportMetric(float64(b.N)/float64(stream(b, sockets[kind], b.N)), "blocks/burst")
		})
	}
}

// server serves what is asked for from a file, and ends the connection when
// all has left.
type server struct {
	consumer
	file *os.File
}

func (s *server) ReadBlock(dst []byte, index, begin uint32) error {
	_, err := s.file.ReadAt(dst, int64(index)*pieceLength+int64(begin))
	return err
}

func (s *server) Deliver(c *Conn, burst []Received) {
	s.asking = s.asking[:0]
	for _, r := range burst {
		if r.Sent {
			s.left--
			continue
		}
		m := r.Msg
		m.ID = wire.Piece
		s.asking = append(s.asking, m)
	}
	c.Send(s.asking...)
	if s.left <= 0 {
		c.Close("enough")
	}
}

// pieceLength is that of the pieces that are served.
const pieceLength = 64 * wire.MaxBlock

// upstream makes a connection serve n blocks of a file in the page cache to a
// peer that always asks for some more.
func upstream(tb testing.TB, pair func(testing.TB) (ours, peers net.Conn), n int) {
	tb.Helper()
	file, err := os.Create(filepath.Join(tb.TempDir(), "file"))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, 4*pieceLength)); err != nil {
		tb.Fatal(err)
	}
	ours, peers := pair(tb)
	s := &server{file: file}
	s.left, s.asking = n, make([]wire.Message, 0, 2*depth)
	c := connect(Config{Conn: ours, Sink: s, Source: s, Pieces: depth})
	done := make(chan struct{})
	go func() { fetchInTurn(peers, n); close(done) }()
	result := make(chan error, 1)
	result <- c.Run(tb.Context())
	expectEnd(tb, result, "enough")
	<-done
}

// fetchInTurn asks for n blocks, pieces in turn, and throws them away.
func fetchInTurn(peer net.Conn, n int) {
	var requests []byte
	for i := range uint32(depth) {
		requests = append(requests, messages(request(i/64%4, i%64*wire.MaxBlock, wire.MaxBlock))...)
	}
	const half = depth / 2
	buf := make([]byte, half*(wire.PieceHeaderLen+wire.MaxBlock))
	for asked, got := 0, 0; got < n; got += min(half, n-got) {
		for asked < min(n, got+depth) {
			part := requests[asked%depth*len(requests)/depth:]
			part = part[:min(half, n-asked)*len(requests)/depth]
			if _, err := peer.Write(part); err != nil {
				return
			}
			asked += min(half, n-asked)
		}
		if _, err := io.ReadFull(peer, buf[:min(half, n-got)*(wire.PieceHeaderLen+wire.MaxBlock)]); err != nil {
			return
		}
	}
}

func BenchmarkSendBlocks(b *testing.B) {
	for _, kind := range []string{"TCP", "encrypted TCP"} {
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(wire.MaxBlock)
			b.ReportAllocs()
			upstream(b, sockets[kind], b.N)
		})
	}
}

func TestSendingDoesNotAllocate(t *testing.T) {
	hardlyAllocates(t, func(n int) { upstream(t, tcpPair, n) })
}

func TestReceivingDoesNotAllocate(t *testing.T) {
	hardlyAllocates(t, func(n int) { stream(t, tcpPair, n) })
}

// hardlyAllocates fails if to move blocks takes an allocation for each tenth.
func hardlyAllocates(t *testing.T, move func(blocks int)) {
	t.Helper()
	const blocks = 20_000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	move(blocks)
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > blocks/10 {
		t.Errorf("%d allocations for %d blocks", n, blocks)
	}
}
