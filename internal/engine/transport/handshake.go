package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// ErrSelf says that a peer is this program itself.
var ErrSelf = errors.New("the peer is this program itself")

// errUnknown says that a caller asked for a torrent that is not here.
var errUnknown = errors.New("no such torrent here")

// errInTheClear says that a caller does not encrypt where it has to.
var errInTheClear = errors.New("the torrent takes no callers in the clear")

// ours is the handshake that we send.
func (t *Transport) ours(hash metainfo.Hash) []byte {
	h := wire.Handshake{InfoHash: hash, PeerID: t.cfg.PeerID}
	h.SetFast()
	h.SetExtended()
	if t.dht(hash) {
		h.SetDHT()
	}
	return h.Append(nil)
}

func (t *Transport) dht(hash metainfo.Hash) bool { return t.cfg.DHT != nil && t.cfg.DHT(hash) }

// greet does the handshake on a connection that we made.
func (t *Transport) greet(conn net.Conn, hash metainfo.Hash, a attempt) (*Peer, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	way := way{ReadWriter: conn, conn: conn}
	if a == nil {
		if _, err := conn.Write(t.ours(hash)); err != nil {
			return nil, err
		}
	} else {
		s, err := mse.Initiate(conn, mse.Terms{InfoHash: hash, Methods: a}, t.ours(hash))
		if err != nil {
			return nil, err
		}
		way.encrypt(s)
	}
	var b [wire.HandshakeLen]byte
	if _, err := io.ReadFull(way, b[:]); err != nil {
		return nil, err
	}
	h, err := wire.ParseHandshake(b[:])
	if err != nil {
		return nil, err
	}
	if h.InfoHash != hash {
		return nil, fmt.Errorf("the peer speaks of another torrent, %v", metainfo.Hash(h.InfoHash))
	}
	return t.greeted(way, h)
}

// answer does the handshake on a connection that somebody else made. The
// answer comes before the peer id is read: many peers wait for it (BEP 3,
// "peer protocol").
func (t *Transport) answer(conn net.Conn) (*Peer, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	var b [wire.HandshakeLen]byte
	n, err := io.ReadAtLeast(conn, b[:wire.PreambleLen], wire.ProtocolLen)
	if err != nil {
		return nil, err
	}
	way := way{ReadWriter: conn, conn: conn}
	var torrent metainfo.Hash
	if !wire.IsHandshake(b[:n]) && t.cfg.Torrents.Encrypts() { // The beginning of a key.
		if torrent, err = t.encrypt(&way, b[:n]); err != nil {
			return nil, err
		}
		n = 0
	}
	if _, err := io.ReadFull(way, b[n:wire.PreambleLen]); err != nil {
		return nil, err
	}
	h, err := wire.ParsePreamble(b[:wire.PreambleLen])
	if err != nil {
		return nil, err
	}
	switch e, ok := t.cfg.Torrents.Encryption(h.InfoHash); {
	case !ok, way.stream != nil && h.InfoHash != torrent:
		return nil, errUnknown
	case way.stream == nil && e == download.EncryptionRequire:
		return nil, errInTheClear
	}
	if _, err := way.Write(t.ours(h.InfoHash)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(way, b[wire.PreambleLen:]); err != nil {
		return nil, err
	}
	copy(h.PeerID[:], b[wire.PreambleLen:])
	return t.greeted(way, h)
}

// encrypt does the encrypted handshake with a caller whose first bytes were
// read, and returns which torrent it named.
func (t *Transport) encrypt(w *way, first []byte) (metainfo.Hash, error) {
	s, terms, err := mse.Accept(w.conn, first, func(n mse.Name) (mse.Terms, bool) {
		hash, ok := t.cfg.Torrents.Named(n)
		if !ok {
			return mse.Terms{}, false
		}
		e, ok := t.cfg.Torrents.Encryption(hash)
		return mse.Terms{InfoHash: hash, Methods: methods(e)}, ok
	})
	if err != nil {
		return metainfo.Hash{}, err
	}
	w.encrypt(s)
	return terms.InfoHash, nil
}

// way is a connection as the handshake of BEP 3 goes over it.
type way struct {
	io.ReadWriter
	conn   net.Conn
	stream *mse.Stream // nil in the clear.
}

func (w *way) encrypt(s *mse.Stream) { w.stream, w.ReadWriter = s, s.Over(w.conn) }

// greeted makes a peer of a connection whose other side said h.
func (t *Transport) greeted(w way, h wire.Handshake) (*Peer, error) {
	if h.PeerID == t.cfg.PeerID {
		return nil, ErrSelf
	}
	_ = w.conn.SetDeadline(time.Time{}) // Fails only if the connection has ended, as its reader will find.
	p := &Peer{
		Conn: w.conn, InfoHash: h.InfoHash, PeerID: h.PeerID,
		Fast: h.Fast(), Extended: h.Extended(), DHT: h.DHT() && t.dht(h.InfoHash),
	}
	if w.stream != nil && !w.stream.Idle() {
		p.Stream, p.Encrypted = w.stream, w.stream.Method == mse.RC4
	}
	return p, nil
}
