package process

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// peer is somebody on the wire who has pieces of torrents, and writes into
// their ledgers what happens.
type peer struct {
	t       *testing.T
	addr    string
	id      byte // Makes its peer ID.
	ledgers map[metainfo.Hash]*ledger
	has     func(piece int) bool // nil: all pieces.
	pace    *rate.Limiter        // In bytes; nil: as fast as it can.

	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	work     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// start listens until the test is over.
func (p *peer) start(t *testing.T, ledgers ...*ledger) *peer {
	t.Helper()
	var err error
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.t, p.addr = t, p.listener.Addr().String()
	p.conns, p.ledgers = map[net.Conn]bool{}, map[metainfo.Hash]*ledger{}
	for _, l := range ledgers {
		p.ledgers[l.hash] = l
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.work.Go(p.accept)
	t.Cleanup(func() {
		p.cancel()
		p.listener.Close()
		p.mu.Lock()
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.work.Wait()
	})
	return p
}

func (p *peer) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns[conn] = true
		p.mu.Unlock()
		p.work.Go(func() {
			p.serve(conn)
			conn.Close()
			p.mu.Lock()
			delete(p.conns, conn)
			p.mu.Unlock()
		})
	}
}

// serve goes on until the other side hangs up, or is dead.
func (p *peer) serve(conn net.Conn) {
	r := bufio.NewReaderSize(conn, 32<<10)
	l, err := p.greet(conn, r)
	if err != nil {
		return
	}
	defer l.join()()
	for {
		m, err := readMessage(r, l.PieceCount())
		if err == nil {
			err = p.answer(conn, l, m)
		}
		if err != nil {
			var net net.Error
			if !errors.Is(err, io.EOF) && !errors.As(err, &net) && !errors.Is(err, context.Canceled) && !errors.Is(err, errLate) {
				p.t.Errorf("the process sends what it should not: %v", err)
			}
			return
		}
	}
}

// greet does the handshake and says what there is.
func (p *peer) greet(conn net.Conn, r io.Reader) (*ledger, error) {
	head := make([]byte, wire.HandshakeLen)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	h, err := wire.ParseHandshake(head)
	if err != nil {
		return nil, err
	}
	l := p.ledgers[h.InfoHash]
	if l == nil {
		return nil, fmt.Errorf("no torrent %x", h.InfoHash)
	}
	ours := wire.Handshake{InfoHash: h.InfoHash, PeerID: [20]byte([]byte("-WT0001-000000000000"))}
	ours.PeerID[19] = p.id
	ours.SetFast()
	b := ours.Append(nil)
	if p.has == nil {
		b = wire.Append(b, wire.Message{ID: wire.HaveAll})
	} else {
		have := bitfield.New(l.PieceCount())
		for i := range l.PieceCount() {
			if p.has(i) {
				have.Set(i)
			}
		}
		b = wire.Append(b, wire.Message{ID: wire.Bitfield, Payload: have.Bytes()})
	}
	_, err = conn.Write(wire.Append(b, wire.Message{ID: wire.Unchoke}))
	return l, err
}

// readMessage reads what is no piece message.
func readMessage(r *bufio.Reader, pieces int) (wire.Message, error) {
	var head [wire.HeaderLen]byte
	if _, err := io.ReadFull(r, head[:wire.LengthLen]); err != nil {
		return wire.Message{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 {
		return wire.Message{ID: wire.KeepAlive}, nil
	}
	if _, err := io.ReadFull(r, head[wire.LengthLen:]); err != nil {
		return wire.Message{}, err
	}
	id := wire.ID(head[wire.LengthLen])
	if err := wire.CheckLength(id, n-1, pieces); err != nil {
		return wire.Message{}, err
	}
	body := make([]byte, n-1)
	if _, err := io.ReadFull(r, body); err != nil {
		return wire.Message{}, err
	}
	return wire.Parse(id, body)
}

// answer sends a block that is asked for, and writes down the rest.
func (p *peer) answer(conn net.Conn, l *ledger, m wire.Message) error {
	switch m.ID {
	case wire.HaveNone:
		l.told(bitfield.New(l.PieceCount()))
	case wire.HaveAll:
		l.told(bitfield.Full(l.PieceCount()))
	case wire.Bitfield:
		have, err := bitfield.Parse(m.Payload, l.PieceCount())
		if err != nil {
			return err
		}
		l.told(have)
	case wire.Have:
		l.toldOne(int(m.Index))
	case wire.Request:
		return p.send(conn, l, m)
	}
	return nil
}

func (p *peer) send(conn net.Conn, l *ledger, m wire.Message) error {
	piece, begin := int(m.Index), int64(m.Begin)
	if piece >= l.PieceCount() || begin%block.Size != 0 || begin >= l.PieceSize(piece) || int64(m.Length) != l.blockSize(piece, begin) {
		return fmt.Errorf("a request for %d bytes at %d of piece %d", m.Length, begin, piece)
	}
	if p.pace != nil {
		if err := p.pace.WaitN(p.ctx, int(m.Length)); err != nil {
			return err
		}
	}
	if err := l.answer(piece, begin); err != nil {
		return err
	}
	m.ID = wire.Piece
	b := net.Buffers{wire.Append(nil, m), l.bytes(int64(piece)*l.PieceLength+begin, int64(m.Length))}
	_, err := b.WriteTo(conn)
	return err
}
