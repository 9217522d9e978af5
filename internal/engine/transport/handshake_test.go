package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

var (
	here  = metainfo.Hash([]byte("a torrent that's here"[:20]))
	other = metainfo.Hash([]byte("a torrent elsewhere."[:20]))
	us    = [20]byte([]byte("-TO0001-123456789abc"))
	them  = [20]byte([]byte("-XX0001-abcdefghijkl"))
)

func handshake(hash metainfo.Hash, id [20]byte, extensions bool) []byte {
	h := wire.Handshake{InfoHash: hash, PeerID: id}
	if extensions {
		h.SetFast()
		h.SetExtended()
	}
	return h.Append(nil)
}

// bare is a transport without sockets.
func bare() *Transport {
	return &Transport{cfg: Config{PeerID: us, Torrents: torrents{here: download.EncryptionDisable}}}
}

// talk runs one side of a handshake over a pipe, and the other as a script.
func talk(side func(net.Conn) (*Peer, error), script func(net.Conn)) (*Peer, error) {
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); script(theirs); theirs.Close() }()
	p, err := side(ours)
	ours.Close()
	<-done
	return p, err
}

func TestOutgoingHandshake(t *testing.T) {
	for _, extensions := range []bool{false, true} {
		var sent [wire.HandshakeLen]byte
		p, err := talk(func(c net.Conn) (*Peer, error) { return bare().greet(c, here, nil) }, func(c net.Conn) {
			_, _ = io.ReadFull(c, sent[:])
			_, _ = c.Write(handshake(here, them, extensions))
		})
		if err != nil || p.InfoHash != here || p.PeerID != them || p.Fast != extensions || p.Extended != extensions {
			t.Errorf("%+v, %v", p, err)
		}
		if !bytes.Equal(sent[:], handshake(here, us, true)) {
			t.Errorf("sent %q", sent)
		}
	}
}

func TestOutgoingHandshakeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		says []byte
		want error // nil is any.
	}{
		"another torrent":  {handshake(other, them, true), nil},
		"ourselves":        {handshake(here, us, true), ErrSelf},
		"something else":   {bytes.Repeat([]byte("HTTP/1.1 400 "), 10)[:wire.HandshakeLen], wire.ErrProtocol},
		"half a handshake": {handshake(here, them, true)[:60], io.ErrUnexpectedEOF},
		"nothing":          {nil, io.EOF},
	} {
		p, err := talk(func(c net.Conn) (*Peer, error) { return bare().greet(c, here, nil) }, func(conn net.Conn) {
			_, _ = io.ReadFull(conn, make([]byte, wire.HandshakeLen))
			_, _ = conn.Write(c.says)
		})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, p, err, c.want)
		}
	}
}

// BEP 3, "peer protocol": the peer id may come after the answer.
func TestIncomingHandshakeAnswersBeforeThePeerID(t *testing.T) {
	var answer [wire.HandshakeLen]byte
	p, err := talk(bare().answer, func(c net.Conn) {
		first := handshake(here, them, true)
		_, _ = c.Write(first[:wire.PreambleLen])
		_, _ = io.ReadFull(c, answer[:])
		_, _ = c.Write(first[wire.PreambleLen:])
	})
	if err != nil || p.InfoHash != here || p.PeerID != them || !p.Fast || !p.Extended {
		t.Errorf("%+v, %v", p, err)
	}
	if !bytes.Equal(answer[:], handshake(here, us, true)) {
		t.Errorf("answered %q", answer)
	}
}

func TestIncomingHandshakeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		says []byte
		want error
	}{
		"an unknown torrent": {handshake(other, them, true), errUnknown},
		"ourselves":          {handshake(here, us, true), ErrSelf},
		"a web browser":      {bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 10), wire.ErrProtocol},
		"half a handshake":   {handshake(here, them, true)[:60], io.ErrUnexpectedEOF},
		"half a preamble":    {handshake(here, them, true)[:40], io.EOF},
		"nothing":            {nil, io.EOF},
	} {
		var answer bytes.Buffer
		p, err := talk(bare().answer, func(conn net.Conn) {
			read := make(chan struct{})
			go func() { defer close(read); _, _ = io.Copy(&answer, conn) }()
			_, _ = conn.Write(c.says)
			if !errors.Is(c.want, ErrSelf) {
				conn.Close()
			}
			<-read
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, p, err, c.want)
		}
		if errors.Is(c.want, errUnknown) && answer.Len() > 0 {
			t.Errorf("%s is answered", name)
		}
	}
}

// A peer that trickles its handshake is dropped when the time is up.
func TestHandshakesHaveADeadline(t *testing.T) {
	taking, key := bare(), bytes.Repeat([]byte{2}, 96)
	taking.cfg.Torrents = torrents{here: download.EncryptionAllow}
	encrypted := func(c net.Conn) (*Peer, error) { return bare().greet(c, here, attempt{mse.RC4}) }
	for name, c := range map[string]struct {
		side func(net.Conn) (*Peer, error)
		said []byte // At once.
	}{
		"incoming":                           {bare().answer, nil},
		"outgoing":                           {func(c net.Conn) (*Peer, error) { return bare().greet(c, here, nil) }, nil},
		"incoming, in a key":                 {taking.answer, key[:20]},
		"incoming, after the key":            {taking.answer, key},
		"incoming, at the end of the pad":    {taking.answer, append(key, make([]byte, 500)...)},
		"outgoing, encrypted":                {encrypted, nil},
		"outgoing, encrypted, after the key": {encrypted, key},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			p, err := talk(c.side, func(conn net.Conn) {
				read := make(chan struct{})
				go func() { defer close(read); _, _ = io.Copy(io.Discard, conn) }()
				_, _ = conn.Write(c.said)
				for _, b := range handshake(here, them, true) {
					time.Sleep(time.Second)
					if _, err := conn.Write([]byte{b}); err != nil {
						break
					}
				}
				<-read
			})
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
			if d := time.Since(begun); d > handshakeTimeout+time.Second {
				t.Errorf("%s took %v", name, d)
			}
		})
	}
}

func TestDialWaitsForItsTurn(t *testing.T) {
	tr := bare()
	tr.halfOpen = make(chan struct{}, 1)
	tr.halfOpen <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := tr.Dial(ctx, loopback(1), here, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", p, err)
	}
}
