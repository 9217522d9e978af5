package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// ErrSelf says that a peer is this program itself.
var ErrSelf = errors.New("the peer is this program itself")

// errUnknown says that a caller asked for a torrent that is not here.
var errUnknown = errors.New("no such torrent here")

// ours is the handshake that we send.
func (t *Transport) ours(hash metainfo.Hash) []byte {
	h := wire.Handshake{InfoHash: hash, PeerID: t.cfg.PeerID}
	h.SetFast()
	h.SetExtended()
	return h.Append(nil)
}

// greet does the handshake on a connection that we made.
func (t *Transport) greet(conn net.Conn, hash metainfo.Hash) (*Peer, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(t.ours(hash)); err != nil {
		return nil, err
	}
	var b [wire.HandshakeLen]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return nil, err
	}
	h, err := wire.ParseHandshake(b[:])
	if err != nil {
		return nil, err
	}
	if h.InfoHash != hash {
		return nil, fmt.Errorf("the peer speaks of another torrent, %v", metainfo.Hash(h.InfoHash))
	}
	return t.greeted(conn, h)
}

// answer does the handshake on a connection that somebody else made. The
// answer comes before the peer id is read: many peers wait for it (BEP 3,
// "peer protocol").
func (t *Transport) answer(conn net.Conn) (*Peer, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	var b [wire.HandshakeLen]byte
	if _, err := io.ReadFull(conn, b[:wire.PreambleLen]); err != nil {
		return nil, err
	}
	h, err := wire.ParsePreamble(b[:wire.PreambleLen])
	if err != nil {
		return nil, err
	}
	if !t.cfg.Known(h.InfoHash) {
		return nil, errUnknown
	}
	if _, err := conn.Write(t.ours(h.InfoHash)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, b[wire.PreambleLen:]); err != nil {
		return nil, err
	}
	copy(h.PeerID[:], b[wire.PreambleLen:])
	return t.greeted(conn, h)
}

// greeted makes a peer of a connection whose other side said h.
func (t *Transport) greeted(conn net.Conn, h wire.Handshake) (*Peer, error) {
	if h.PeerID == t.cfg.PeerID {
		return nil, ErrSelf
	}
	_ = conn.SetDeadline(time.Time{}) // Fails only if the connection has ended, as its reader will find.
	return &Peer{Conn: conn, InfoHash: h.InfoHash, PeerID: h.PeerID, Fast: h.Fast(), Extended: h.Extended()}, nil
}
