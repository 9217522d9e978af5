package light

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// remote is the other end of a connection, and does what a test tells it to.
type remote struct {
	t    *testing.T
	conn net.Conn
	hand wire.Handshake // The other side's.
}

// accept takes the next connection and makes the handshake.
func accept(t *testing.T, l net.Listener, hash metainfo.Hash, fast bool) *remote {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r := &remote{t: t, conn: conn}
	if r.hand, err = wire.ParseHandshake(r.bytes(wire.HandshakeLen)); err != nil {
		t.Fatal(err)
	}
	if r.hand.InfoHash != hash {
		t.Fatalf("a handshake for %x instead of %x", r.hand.InfoHash, hash)
	}
	answer := wire.Handshake{InfoHash: hash}
	if fast {
		answer.SetFast()
	}
	r.send(answer.Append(nil))
	return r
}

func (r *remote) bytes(n int) []byte {
	r.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r.conn, b); err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *remote) send(b []byte) {
	r.t.Helper()
	if _, err := r.conn.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *remote) say(ms ...wire.Message) {
	r.t.Helper()
	var b []byte
	for _, m := range ms {
		b = wire.Append(b, m)
	}
	r.send(b)
}

// hear returns the next message, and the block that it carries if any.
func (r *remote) hear() (wire.Message, []byte) {
	r.t.Helper()
	n := binary.BigEndian.Uint32(r.bytes(wire.LengthLen))
	b := r.bytes(int(n))
	if wire.ID(b[0]) == wire.Piece {
		return wire.ParsePiece(b[1:], n-1), b[9:]
	}
	m, err := wire.Parse(wire.ID(b[0]), b[1:])
	if err != nil {
		r.t.Fatal(err)
	}
	return m, nil
}

// expect hears a message, which must have this id.
func (r *remote) expect(id wire.ID) (wire.Message, []byte) {
	r.t.Helper()
	m, block := r.hear()
	if m.ID != id {
		r.t.Fatalf("%v instead of %v", m.ID, id)
	}
	return m, block
}

// serve answers a request.
func (r *remote) serve(m wire.Message, from []byte, info *metainfo.Info) {
	r.t.Helper()
	at := int64(m.Index)*info.PieceLength + int64(m.Begin)
	m.ID = wire.Piece
	r.send(append(wire.Append(nil, m), from[at:at+int64(m.Length)]...))
}
