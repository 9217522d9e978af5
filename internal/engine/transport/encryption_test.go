package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// over returns the connection of a peer as what follows the handshake goes
// over it.
func over(p *Peer) io.ReadWriter {
	if p.Stream == nil {
		return p.Conn
	}
	return p.Stream.Over(p.Conn)
}

// How a connection between two comes about, for each pair of wishes: from the
// one that dials (rows) to the one that is called.
func TestEveryPairOfWishesForEncryption(t *testing.T) {
	const (
		bare    = "in the clear"
		rc4     = "encrypted"
		refused = "refused"
	)
	all := []download.Encryption{
		download.EncryptionAllow, download.EncryptionPrefer, download.EncryptionRequire, download.EncryptionDisable, "",
	}
	want := map[download.Encryption][]string{
		download.EncryptionAllow:   {bare, bare, rc4, bare, bare},
		download.EncryptionPrefer:  {rc4, rc4, rc4, bare, rc4},
		download.EncryptionRequire: {rc4, rc4, rc4, refused, rc4},
		download.EncryptionDisable: {bare, bare, refused, bare, bare},
		"":                         {bare, bare, rc4, bare, bare},
	}
	for _, ours := range all {
		for i, theirs := range all {
			t.Run(fmt.Sprintf("%s dials %s", ours, theirs), func(t *testing.T) {
				seed, callers := open(t, func(c *Config) { c.Torrents = torrents{here: theirs} })
				leech, _ := open(t, func(c *Config) { c.PeerID = them })
				out, err := leech.Dial(t.Context(), loopback(seed.Port()), here, ours)
				if want[ours][i] == refused {
					if err == nil {
						t.Fatalf("connected, encrypted: %v", out.Encrypted)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				in := <-callers
				defer out.Conn.Close()
				defer in.Conn.Close()
				for _, p := range []*Peer{out, in} {
					if p.Encrypted != (want[ours][i] == rc4) || p.Encrypted != (p.Stream != nil) {
						t.Errorf("encrypted: %v, want %s", p.Encrypted, want[ours][i])
					}
					if _, ok := p.Conn.(*net.TCPConn); !ok {
						t.Errorf("a %T can't be read the fast way", p.Conn)
					}
					if !p.Fast || !p.Extended || p.InfoHash != here {
						t.Errorf("%+v", p)
					}
				}
				exchangeHellos(t, out, in)
			})
		}
	}
}

// exchangeHellos sends a little both ways.
func exchangeHellos(t *testing.T, a, b *Peer) {
	t.Helper()
	for _, way := range [][2]*Peer{{a, b}, {b, a}} {
		if _, err := over(way[0]).Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(over(way[1]), got); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// call begins an encrypted connection to a transport, with first as the
// beginning of the stream.
func call(t *testing.T, tr *Transport, terms mse.Terms, first []byte) (net.Conn, *mse.Stream, error) {
	t.Helper()
	c := silent(t, tr)
	s, err := mse.Initiate(c, terms, first)
	return c, s, err
}

// Callers may have only the handshake encrypted. Then nothing stays between us
// and the socket, unless they began with more than that.
func TestOnlyTheHandshakeIsEncrypted(t *testing.T) {
	tr, callers := open(t, nil)
	for _, more := range []string{"", "and a bitfield"} {
		c, s, err := call(t, tr, mse.Terms{InfoHash: here, Methods: []mse.Method{mse.Plain, mse.RC4}}, append(handshake(here, them, true), more...))
		if err != nil || s.Method != mse.Plain {
			t.Fatalf("%+v, %v", s, err)
		}
		if _, err := io.ReadFull(c, make([]byte, wire.HandshakeLen)); err != nil {
			t.Error(err)
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		in := <-callers
		got := make([]byte, len(more)+5)
		if _, err := io.ReadFull(over(in), got); err != nil || string(got) != more+"hello" {
			t.Errorf("%q, %v", got, err)
		}
		if in.Encrypted || (in.Stream != nil) != (more != "") {
			t.Errorf("beyond the handshake %q is encrypted: %+v", more, in)
		}
		in.Conn.Close()
	}
}

// Who prefers encryption takes it where a caller would do without, too.
func TestCallersThatWouldDoWithoutAreEncryptedWherePreferred(t *testing.T) {
	tr, callers := open(t, func(c *Config) { c.Torrents = torrents{here: download.EncryptionPrefer} })
	_, s, err := call(t, tr, mse.Terms{InfoHash: here, Methods: []mse.Method{mse.Plain, mse.RC4}}, handshake(here, them, true))
	if err != nil || s.Method != mse.RC4 {
		t.Fatalf("%+v, %v", s, err)
	}
	in := <-callers
	defer in.Conn.Close()
	if !in.Encrypted {
		t.Error("the connection is not encrypted")
	}
}

func TestEncryptedCallersAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		serves torrents
		terms  mse.Terms
		first  []byte
	}{
		"for a torrent that is not here":             {torrents{here: ""}, mse.Terms{InfoHash: other, Methods: []mse.Method{mse.RC4}}, handshake(other, them, true)},
		"for one that takes none":                    {torrents{here: download.EncryptionDisable, other: ""}, mse.Terms{InfoHash: here, Methods: []mse.Method{mse.RC4}}, handshake(here, them, true)},
		"that encrypt too little":                    {torrents{here: download.EncryptionRequire}, mse.Terms{InfoHash: here, Methods: []mse.Method{mse.Plain}}, handshake(here, them, true)},
		"that go on with another torrent":            {torrents{here: "", other: ""}, mse.Terms{InfoHash: here, Methods: []mse.Method{mse.RC4}}, handshake(other, them, true)},
		"that go on with one that encrypts":          {torrents{here: "", other: download.EncryptionRequire}, mse.Terms{InfoHash: here, Methods: []mse.Method{mse.Plain}}, handshake(other, them, true)},
		"that go on with something else":             {torrents{here: ""}, mse.Terms{InfoHash: here, Methods: []mse.Method{mse.RC4}}, bytes.Repeat([]byte("x"), 100)},
		"who are ourselves":                          {torrents{here: ""}, mse.Terms{InfoHash: here, Methods: []mse.Method{mse.RC4}}, handshake(here, us, true)},
		"where nothing is encrypted for any torrent": {torrents{here: download.EncryptionDisable}, mse.Terms{InfoHash: here, Methods: []mse.Method{mse.RC4}}, handshake(here, them, true)},
	} {
		tr, callers := open(t, func(cfg *Config) { cfg.Torrents = c.serves })
		conn, _, _ := call(t, tr, c.terms, c.first)
		_, _ = io.Copy(io.Discard, conn) // Until the other side hangs up.
		tr.Close()
		if len(callers) > 0 {
			t.Errorf("callers %s are taken", name)
		}
	}
}

// Nobody has to compute for those who have nothing encrypted.
func TestNoKeyIsSentWhereNothingIsEncrypted(t *testing.T) {
	tr, _ := open(t, func(c *Config) { c.Torrents = torrents{here: download.EncryptionDisable} })
	c := silent(t, tr)
	if _, err := c.Write(bytes.Repeat([]byte{2}, 96)); err != nil {
		t.Fatal(err)
	}
	if n, _ := io.Copy(io.Discard, c); n > 0 {
		t.Errorf("%d bytes were answered", n)
	}
}

// A second attempt is for peers that may take it.
func TestWhenAPeerIsDialedAgain(t *testing.T) {
	failed := func(err error) error { return &handshakeError{err: err} }
	for _, c := range []struct {
		how  attempt
		err  error
		want bool
	}{
		{nil, failed(io.EOF), true},
		{nil, failed(fmt.Errorf("read: %w", syscall.ECONNRESET)), true},
		{nil, failed(syscall.EPIPE), true},
		{nil, failed(io.ErrUnexpectedEOF), false}, // It had begun to answer.
		{nil, failed(wire.ErrProtocol), false},
		{nil, failed(context.DeadlineExceeded), false},
		{nil, failed(ErrSelf), false},
		{nil, io.EOF, false}, // There was no connection.
		{nil, syscall.ECONNREFUSED, false},
		{attempt{mse.RC4}, failed(io.EOF), true},
		{attempt{mse.RC4}, failed(mse.ErrSync), true},
		{attempt{mse.RC4}, failed(ErrSelf), false},
		{attempt{mse.RC4}, syscall.ECONNREFUSED, false},
		{attempt{mse.RC4}, &DeniedError{}, false},
	} {
		if got := c.how.worthAnother(c.err); got != c.want {
			t.Errorf("%v after %v: %v", c.how, c.err, got)
		}
	}
}

// hangsUp listens, and hangs up on all callers once they have said something.
// It returns how many there were when they are no more.
func hangsUp(t *testing.T) (addr netip.AddrPort, callers func() int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n++
			_, _ = io.ReadFull(conn, make([]byte, wire.HandshakeLen))
			conn.Close()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String()), func() int { l.Close(); <-done; return n }
}

func TestAPeerThatHangsUpIsDialedBothWaysAndNoMore(t *testing.T) {
	for e, want := range map[download.Encryption]int{
		download.EncryptionAllow: 2, download.EncryptionPrefer: 2, download.EncryptionRequire: 1, download.EncryptionDisable: 1,
	} {
		tr, _ := open(t, nil)
		addr, callers := hangsUp(t)
		_, err := tr.Dial(t.Context(), addr, here, e)
		if n := callers(); err == nil || n != want {
			t.Errorf("%s: %d connections, want %d: %v", e, n, want, err)
		}
		if got := strings.Count(err.Error(), "encrypted handshake with "+addr.String()); want == 2 && got != 1 {
			t.Errorf("%s: %v does not tell of both attempts", e, err)
		}
	}
}

func TestEncryptedConnectionsToOurselvesAreFound(t *testing.T) {
	tr, callers := open(t, nil)
	if _, err := tr.Dial(t.Context(), loopback(tr.Port()), here, download.EncryptionRequire); !errors.Is(err, ErrSelf) {
		t.Errorf("%v, want ErrSelf", err)
	}
	tr.Close()
	if len(callers) > 0 {
		t.Error("we were accepted as a peer of ours")
	}
}

// Callers in the middle of an encrypted handshake are hung up on when the
// transport ends, whatever they wait for.
func TestCloseEndsEncryptedHandshakes(t *testing.T) {
	tr, _ := open(t, nil)
	var conns []net.Conn
	for _, said := range []int{20, 95, 96, 300} {
		c := silent(t, tr)
		if _, err := c.Write(bytes.Repeat([]byte{2}, said)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if _, err := io.ReadFull(conns[3], make([]byte, 96)); err != nil { // It was sent a key.
		t.Error(err)
	}
	tr.Close()
	for _, c := range conns {
		_, _ = io.Copy(io.Discard, c) // Ends if the other side has.
	}
}
