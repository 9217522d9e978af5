package light

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

const (
	retry   = 50 * time.Millisecond // Between two attempts to reach a peer.
	attempt = 5 * time.Second       // For one of them: the connection, and then each part of the handshake.
)

// connect dials a peer again and again until one handshake is answered, and
// says whether the Fast extension is in use (BEP 6). The address of this side
// is from, if that is valid. The only error is that of ctx.
func (t *torrent) connect(ctx context.Context, address string, from netip.Addr) (*socket, bool, error) {
	var id [20]byte
	copy(id[:], "-LP0001-")
	_, _ = rand.Read(id[8:]) // It never fails.
	dialer := net.Dialer{Timeout: attempt, Control: unpaced}
	if from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	for {
		if conn, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			if s, fast, err := t.introduce(ctx, conn, id); err == nil {
				return s, fast, nil
			}
		}
		if err := sleep(ctx, retry); err != nil {
			return nil, false, err
		}
	}
}

// introduce makes the handshake on a connection that this side has dialed. It
// closes conn.
func (t *torrent) introduce(ctx context.Context, conn net.Conn, id [20]byte) (*socket, bool, error) {
	return handshake(ctx, conn, func(s *socket) (bool, error) {
		if err := t.greet(s, id); err != nil {
			return false, err
		}
		return t.greeted(s)
	})
}

// answer makes the handshake on a connection that the other side has dialed.
// It closes conn.
func (t *torrent) answer(ctx context.Context, conn net.Conn) (*socket, bool, error) {
	return handshake(ctx, conn, func(s *socket) (bool, error) {
		fast, err := t.greeted(s)
		if err != nil {
			return false, err
		}
		return fast, t.greet(s, [20]byte([]byte("-LP0001-answers-all-")))
	})
}

func handshake(ctx context.Context, conn net.Conn, exchange func(*socket) (fast bool, err error)) (*socket, bool, error) {
	s, err := takeOver(ctx, conn)
	if err != nil {
		return nil, false, err
	}
	err = s.patience(attempt)
	fast := false
	if err == nil {
		fast, err = exchange(s)
	}
	if err = errors.Join(err, s.patience(0)); err != nil {
		s.close()
		return nil, false, fmt.Errorf("handshake: %w", err)
	}
	return s, fast, nil
}

// greet sends this side's handshake.
func (t *torrent) greet(s *socket, id [20]byte) error {
	h := wire.Handshake{InfoHash: t.hash, PeerID: id}
	h.SetFast()
	return s.write(h.Append(nil), false)
}

// greeted reads the other side's handshake.
func (t *torrent) greeted(s *socket) (fast bool, err error) {
	b := make([]byte, wire.HandshakeLen)
	if err := s.read(b); err != nil {
		return false, err
	}
	h, err := wire.ParseHandshake(b)
	if err == nil && h.InfoHash != t.hash {
		err = fmt.Errorf("for the torrent %x, where this one is %x", h.InfoHash, t.hash)
	}
	return h.Fast(), err
}

// sleep waits for d, or for the end of ctx, whose error it returns then.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
