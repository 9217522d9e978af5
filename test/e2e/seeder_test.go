package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// seeder is a peer that has everything, speaks BEP 3 and no more, and keeps
// count of what it is asked for.
type seeder struct {
	*testing.T
	torrent  *torrent
	content  []byte
	listener net.Listener
	limit    *rate.Limiter // Of payload, in bytes a second; nil is none.
	lie      atomic.Bool   // Every block is sent with a wrong byte.
	work     sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	served int64              // Payload bytes that left.
	first  int64              // Of these, bytes of blocks that had not been served before.
	blocks map[[2]uint32]bool // Piece and begin of all blocks served.
	sealed *bitfield.Bitfield // Pieces that nobody has to ask for any more.
	wrong  []string           // Requests for them.
	marks  []mark
}

// mark is a channel that is closed when so many bytes were served for the
// first time.
type mark struct {
	at      int64
	reached chan struct{}
}

// newSeeder starts a seeder that sends at most so many bytes a second, 0 for
// any number, and ends with the test.
func newSeeder(t *testing.T, o *torrent, bytesPerSecond int) *seeder {
	t.Helper()
	s := &seeder{
		T: t, torrent: o, conns: map[net.Conn]bool{}, blocks: map[[2]uint32]bool{},
		sealed: bitfield.New(o.meta.Info.PieceCount()),
	}
	if bytesPerSecond > 0 {
		s.limit = rate.NewLimiter(rate.Limit(bytesPerSecond), 2*wire.MaxBlock)
	}
	for i := range o.meta.Info.Files {
		b, err := os.ReadFile(filepath.Join(o.dir, filepath.FromSlash(o.meta.Info.Files[i].Path)))
		if err != nil {
			t.Fatal(err)
		}
		s.content = append(s.content, b...)
	}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.work.Go(s.accept)
	t.Cleanup(func() {
		s.listener.Close()
		s.drop()
		s.work.Wait()
	})
	return s
}

func (s *seeder) address() string { return s.listener.Addr().String() }

func (s *seeder) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.work.Go(func() {
			// Peers come and go, and are killed: how a connection ends says nothing.
			_ = s.serve(conn)
			conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

// drop ends all connections.
func (s *seeder) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
}

// alone waits until nobody is connected any more.
func (s *seeder) alone() {
	s.Helper()
	s.drop()
	awaitOf(s.T, "nobody is connected to the seeder", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) == 0
	})
}

// serve speaks with one peer until one of the two has enough.
func (s *seeder) serve(conn net.Conn) error {
	pieces := s.torrent.meta.Info.PieceCount()
	var hello [wire.HandshakeLen]byte
	if _, err := io.ReadFull(conn, hello[:]); err != nil {
		return err
	}
	got, err := wire.ParseHandshake(hello[:])
	if err != nil || got.InfoHash != [20]byte(s.torrent.meta.InfoHash) {
		return fmt.Errorf("a handshake for %x: %w", got.InfoHash, err)
	}
	answer := wire.Handshake{InfoHash: got.InfoHash, PeerID: [20]byte([]byte("-XX0000-a-test-seeder"))}
	out := answer.Append(nil)
	out = wire.Append(out, wire.Message{ID: wire.Bitfield, Payload: bitfield.Full(pieces).Bytes()})
	if _, err := conn.Write(wire.Append(out, wire.Message{ID: wire.Unchoke})); err != nil {
		return err
	}
	for {
		m, err := readMessage(conn, pieces)
		if err != nil {
			return err
		}
		if m.ID == wire.Request {
			if err := s.send(conn, m); err != nil {
				return err
			}
		}
	}
}

// readMessage reads one message; those without a meaning here are only read.
func readMessage(conn net.Conn, pieces int) (wire.Message, error) {
	var head [wire.LengthLen]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return wire.Message{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 {
		return wire.Message{ID: wire.KeepAlive}, nil
	}
	if n > wire.MaxBody {
		return wire.Message{}, fmt.Errorf("a message of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(conn, body); err != nil {
		return wire.Message{}, err
	}
	id := wire.ID(body[0])
	if err := wire.CheckLength(id, n-1, pieces); err != nil || id == wire.Piece || !wire.Known(id) {
		return wire.Message{ID: wire.KeepAlive}, err
	}
	return wire.Parse(id, body[1:])
}

// send answers a request, after its bytes' share of time.
func (s *seeder) send(conn net.Conn, m wire.Message) error {
	begin := int64(m.Index)*s.torrent.meta.Info.PieceLength + int64(m.Begin)
	if begin+int64(m.Length) > int64(len(s.content)) {
		return fmt.Errorf("a request beyond the end: %+v", m)
	}
	s.note(m)
	if s.limit != nil {
		if err := s.limit.WaitN(context.Background(), int(m.Length)); err != nil {
			return err
		}
	}
	block := bytes.Clone(s.content[begin : begin+int64(m.Length)])
	if s.lie.Load() {
		block[0] ^= 1
	}
	out := wire.Append(nil, wire.Message{ID: wire.Piece, Index: m.Index, Begin: m.Begin, Length: m.Length})
	if _, err := conn.Write(append(out, block...)); err != nil {
		return err
	}
	s.count(m)
	return nil
}

// note remembers a request that should not have been made.
func (s *seeder) note(m wire.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed.Has(int(m.Index)) {
		s.wrong = append(s.wrong, fmt.Sprintf("piece %d at %d", m.Index, m.Begin))
	}
}

// count adds a block that has left.
func (s *seeder) count(m wire.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served += int64(m.Length)
	if key := [2]uint32{m.Index, m.Begin}; !s.blocks[key] {
		s.blocks[key] = true
		s.first += int64(m.Length)
	}
	for len(s.marks) > 0 && s.first >= s.marks[0].at {
		close(s.marks[0].reached)
		s.marks = s.marks[1:]
	}
}

// mark returns a channel that is closed when so many bytes were served for the
// first time. Marks are made in rising order.
func (s *seeder) mark(at int64) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := mark{at, make(chan struct{})}
	s.marks = append(s.marks, m)
	return m.reached
}

// seal says which pieces nobody has to ask for any more.
func (s *seeder) seal(pieces *bitfield.Bitfield) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = pieces
}
