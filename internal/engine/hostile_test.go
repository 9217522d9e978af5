package engine

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// puppet is a peer that claims to have everything and does with each request
// what a test wants.
type puppet struct {
	addr string
	sent atomic.Int64 // Bytes of whole blocks.

	content []byte
	m       *metainfo.Metainfo
	conn    net.Conn
}

// newPuppet listens on loopback; answer is called for each request, by one
// goroutine for each connection.
func newPuppet(t *testing.T, root string, m *metainfo.Metainfo, answer func(p *puppet, r wire.Message)) *puppet {
	t.Helper()
	p := &puppet{m: m}
	for _, f := range m.Info.Files {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(root), f.Path))
		if err != nil {
			t.Fatal(err)
		}
		p.content = append(p.content, b...)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			p.conn = conn
			p.speak(answer)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	p.addr = l.Addr().String()
	return p
}

// speak does the handshake and answers requests until the connection ends.
func (p *puppet) speak(answer func(*puppet, wire.Message)) {
	var hello [wire.HandshakeLen]byte
	if _, err := io.ReadFull(p.conn, hello[:]); err != nil {
		return
	}
	h := wire.Handshake{InfoHash: p.m.InfoHash}
	copy(h.PeerID[:], "-PU0000-"+p.addr[len("127.0.0.1:"):])
	h.SetFast()
	b := wire.Append(h.Append(nil), wire.Message{ID: wire.HaveAll})
	p.write(wire.Append(b, wire.Message{ID: wire.Unchoke}))
	for {
		var head [wire.LengthLen]byte
		if _, err := io.ReadFull(p.conn, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(p.conn, body); err != nil {
			return
		}
		if len(body) == 0 || wire.ID(body[0]) != wire.Request {
			continue
		}
		if r, err := wire.Parse(wire.Request, body[1:]); err == nil {
			answer(p, r)
		}
	}
}

func (p *puppet) write(b []byte) { _, _ = p.conn.Write(b) } // A peer that was hung up on says nothing.

// block returns the piece message that answers a request.
func (p *puppet) block(r wire.Message) []byte {
	r.ID = wire.Piece
	off := int64(r.Index)*p.m.Info.PieceLength + int64(r.Begin)
	return append(wire.Append(nil, r), p.content[off:off+int64(r.Length)]...)
}

// serve is an honest answer.
func (p *puppet) serve(r wire.Message) {
	p.write(p.block(r))
	p.sent.Add(int64(r.Length))
}

func TestAPeerThatStopsInTheMiddleOfABlockHoldsUpNobody(t *testing.T) {
	root := content{"data": 128 << 10}.write(t, "content")
	m := create(t, root, 64<<10, "")
	began, first := make(chan struct{}), true
	stuck := newPuppet(t, root, m, func(p *puppet, r wire.Message) {
		if first {
			first = false
			b := p.block(r)
			p.write(b[:len(b)/2])
			close(began)
		}
	})
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir(), Peers: []string{stuck.addr}})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	good := newPuppet(t, root, m, (*puppet).serve)
	tor.Update(Update{Peers: []string{stuck.addr, good.addr}})
	await(t, tor, "the download", is(download.StateComplete))
	if sent := good.sent.Load(); sent > 2*m.Info.Length {
		t.Errorf("the good peer had to send %d bytes of %d", sent, m.Info.Length)
	}
}

func TestAFileThatVanishesUnderASeedIsToldAndFetchedAgain(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	from := seed(t, root, m)
	dir := t.TempDir()
	e := newTestEngine(t, Config{})
	spec := Spec{Metainfo: m, Dir: dir, Peers: []string{from.addr()}, Seeding: download.Seeding{Policy: download.SeedForever}}
	tor, err := e.Add(spec)
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateSeeding))
	if err := os.Truncate(filepath.Join(dir, "content/data"), 100); err != nil {
		t.Fatal(err)
	}
	if _, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir(), Peers: []string{e.addr()}}); err != nil {
		t.Fatal(err)
	}
	p := await(t, tor, "the failure", is(download.StateFailed))
	if p.Err == nil || p.Err.Reason != download.ReasonVolumeError || p.Err.Permanent {
		t.Errorf("it failed with %+v", p.Err)
	}
	<-tor.Done()
	if tor, err = e.Add(spec); err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the repair", is(download.StateSeeding))
	sameTree(t, root, filepath.Join(dir, "content"))
}

func TestAFailureIsToldOnceHoweverManyFollowFromIt(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	from := seed(t, root, m)
	dir := t.TempDir()
	e := newTestEngine(t, Config{})
	tor, err := e.Add(Spec{Metainfo: m, Dir: dir, Peers: []string{from.addr()}, Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateSeeding))
	if err := os.Truncate(filepath.Join(dir, "content/data"), 100); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, ".torrent-operator")); err != nil { // The journal can't be written any more, either.
		t.Fatal(err)
	}
	if _, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir(), Peers: []string{e.addr()}}); err != nil {
		t.Fatal(err)
	}
	p := await(t, tor, "the failure", is(download.StateFailed))
	if strings.Contains(p.Err.Message, "\n") || !strings.Contains(p.Err.Message, "read a verified piece") {
		t.Errorf("it says %q", p.Err.Message)
	}
}
