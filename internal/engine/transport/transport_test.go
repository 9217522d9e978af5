package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The ports that tests look for a free one in: outside of what the system
// gives out by itself.
const (
	testPortFirst = 21000
	testPortLast  = 29999
)

// torrents are those that may be spoken of, and how.
type torrents map[metainfo.Hash]download.Encryption

func (ts torrents) Encryption(h metainfo.Hash) (download.Encryption, bool) {
	e, ok := ts[h]
	return e, ok
}

func (ts torrents) Named(n mse.Name) (metainfo.Hash, bool) {
	for h := range ts {
		if mse.NameOf(h) == n {
			return h, true
		}
	}
	return metainfo.Hash{}, false
}

func (ts torrents) Encrypts() bool {
	for _, e := range ts {
		if e != download.EncryptionDisable {
			return true
		}
	}
	return false
}

func loopback(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
}

// open starts a transport, and returns it and the callers that it accepts.
func open(t *testing.T, change func(*Config)) (*Transport, <-chan *Peer) {
	t.Helper()
	callers := make(chan *Peer, 1000)
	cfg := Config{
		PortFirst: testPortFirst, PortLast: testPortLast, PeerID: us,
		Torrents: torrents{here: download.EncryptionAllow},
		Accept:   func(p *Peer) { callers <- p },
	}
	if change != nil {
		change(&cfg)
	}
	tr, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr, callers
}

func TestDialAndAccept(t *testing.T) {
	seed, callers := open(t, nil)
	leech, _ := open(t, func(c *Config) { c.PeerID = them })
	out, err := leech.Dial(t.Context(), loopback(seed.Port()), here, "")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Conn.Close()
	in := <-callers
	defer in.Conn.Close()
	if out.PeerID != us || in.PeerID != them || !out.Fast || !in.Fast || !out.Extended || !in.Extended || out.InfoHash != here || in.InfoHash != here {
		t.Errorf("%+v and %+v", out, in)
	}
	if out.Addr != loopback(seed.Port()) || in.Addr.Addr() != loopback(0).Addr() {
		t.Errorf("%v and %v", out.Addr, in.Addr)
	}
	// What follows the handshake is untouched, in both directions.
	for _, way := range [][2]net.Conn{{out.Conn, in.Conn}, {in.Conn, out.Conn}} {
		if _, err := way[0].Write([]byte("hi")); err != nil {
			t.Error(err)
		}
		b := make([]byte, 2)
		if _, err := io.ReadFull(way[1], b); err != nil || string(b) != "hi" {
			t.Errorf("%q, %v", b, err)
		}
	}
	if _, ok := out.Conn.(*net.TCPConn); !ok {
		t.Errorf("a %T can't be read the fast way", out.Conn)
	}
}

// Both families by default; a machine without IPv6 listens on IPv4 alone.
func TestListensOnBothFamilies(t *testing.T) {
	seed, callers := open(t, nil)
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:127.0.0.1")}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		l.Close()
		addrs = append(addrs, netip.IPv6Loopback())
	}
	leech, _ := open(t, func(c *Config) { c.PeerID = them })
	for _, a := range addrs {
		p, err := leech.Dial(t.Context(), netip.AddrPortFrom(a, uint16(seed.Port())), here, "")
		if err != nil {
			t.Errorf("%v: %v", a, err)
			continue
		}
		p.Conn.Close()
		in := <-callers
		in.Conn.Close()
		if in.Addr.Addr() != a.Unmap() || p.Addr.Addr() != a.Unmap() {
			t.Errorf("%v is seen as %v and %v", a, p.Addr, in.Addr)
		}
	}
}

func TestAMissingFamilyIsLeftOut(t *testing.T) {
	// An address that no machine has stands for a family that this one lacks.
	nowhere := netip.MustParseAddr("192.0.2.1")
	here := netip.MustParseAddr("127.0.0.1")
	for port := testPortFirst; ; port++ {
		ls, err := listenOn([]netip.Addr{here, nowhere}, port, true)
		if err != nil && port < testPortLast {
			continue // In use.
		}
		if err != nil || len(ls) != 1 {
			t.Fatalf("%d listeners, %v", len(ls), err)
		}
		closeAll(ls)
		if ls, err := listenOn([]netip.Addr{here, nowhere}, port, false); err == nil {
			closeAll(ls)
			t.Error("an address that was asked for is left out")
		}
		if ls, err := listenOn([]netip.Addr{nowhere}, port, true); err == nil {
			closeAll(ls)
			t.Error("nothing is listened on, and nobody is told")
		}
		return
	}
}

func TestAnOccupiedPortIsPassedOver(t *testing.T) {
	first, _ := open(t, nil)
	second, _ := open(t, func(c *Config) { c.PortFirst = first.Port() })
	if second.Port() <= first.Port() {
		t.Errorf("port %d, although that is in use up to %d", second.Port(), first.Port())
	}
	// In use in one family is in use.
	third, _ := open(t, func(c *Config) { c.Addrs = []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	fourth, _ := open(t, func(c *Config) { c.PortFirst = third.Port() })
	if fourth.Port() == third.Port() {
		t.Errorf("port %d is used twice", fourth.Port())
	}
}

func TestNoFreePort(t *testing.T) {
	taken, _ := open(t, nil)
	p := taken.Port()
	_, err := Listen(Config{PortFirst: p, PortLast: p})
	if !errors.Is(err, ErrPort) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v", err)
	}
	if _, err := Listen(Config{PortFirst: testPortFirst, PortLast: p, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}); err == nil || errors.Is(err, ErrPort) {
		t.Errorf("an address that is not this machine's: %v", err)
	}
}

func TestConnectionsToOurselvesAreFound(t *testing.T) {
	tr, callers := open(t, nil)
	if _, err := tr.Dial(t.Context(), loopback(tr.Port()), here, ""); !errors.Is(err, ErrSelf) {
		t.Errorf("%v, want ErrSelf", err)
	}
	tr.Close() // The other end is done with, too.
	if len(callers) > 0 {
		t.Error("we were accepted as a peer of ours")
	}
}

func TestUnknownTorrentsAreHungUpOn(t *testing.T) {
	seed, _ := open(t, nil)
	leech, _ := open(t, func(c *Config) { c.PeerID = them })
	if _, err := leech.Dial(t.Context(), loopback(seed.Port()), other, ""); err == nil {
		t.Error("a torrent that is not here is answered")
	}
}

func TestDialingIsGuarded(t *testing.T) {
	seed, callers := open(t, nil)
	leech, _ := open(t, func(c *Config) {
		c.PeerID = them
		c.Guard = &Guard{Deny: prefixes("127.0.0.0/8")}
	})
	for _, a := range []string{"127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"} {
		var d *DeniedError
		_, err := leech.Dial(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(a), uint16(seed.Port())), here, "")
		if !errors.As(err, &d) {
			t.Errorf("%s: %v", a, err)
		}
	}
	if len(callers) > 0 {
		t.Error("a denied address was called")
	}
	// Callers are not asked: the guard is for where we go.
	p, err := seed.Dial(t.Context(), loopback(leech.Port()), here, "")
	if err != nil {
		t.Fatal(err)
	}
	p.Conn.Close()
}

func TestDialEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0") // Never answers.
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tr, _ := open(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, _ = io.ReadFull(conn, make([]byte, wire.HandshakeLen))
			cancel()
			_, _ = io.Copy(io.Discard, conn) // Until the other side hangs up.
			conn.Close()
		}
	}()
	addr := netip.MustParseAddrPort(l.Addr().String())
	if _, err := tr.Dial(ctx, addr, here, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// silent opens a connection to a transport and says nothing.
func silent(t *testing.T, tr *Transport) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp4", loopback(tr.Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ended waits until the other side hangs up.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes instead of the end", n)
	}
}

func TestOneAddressCanNotTakeAllRoom(t *testing.T) {
	tr, callers := open(t, nil)
	var conns []net.Conn
	for range maxPendingPerHost {
		conns = append(conns, silent(t, tr))
	}
	ended(t, silent(t, tr)) // Accepted in order, so the others are counted by now.
	tr.mu.Lock()
	n := len(tr.pending)
	tr.mu.Unlock()
	if n != maxPendingPerHost {
		t.Errorf("%d are pending, want %d", n, maxPendingPerHost)
	}
	// One of them goes on, and thereby makes room for another.
	if _, err := conns[0].Write(handshake(here, them, true)); err != nil {
		t.Fatal(err)
	}
	p := <-callers
	defer p.Conn.Close()
	c := silent(t, tr)
	if _, err := c.Write(handshake(here, them, true)); err != nil {
		t.Fatal(err)
	}
	p = <-callers
	defer p.Conn.Close()
	tr.Close() // Hangs up on those who are not done.
	for _, c := range conns[1:] {
		ended(t, c)
	}
	if len(tr.pending) != 0 || len(tr.perHost) != 0 {
		t.Errorf("still counted: %v, %v", tr.pending, tr.perHost)
	}
}

func TestAHostWithManyAddressesCanNotTakeAllRoom(t *testing.T) {
	tr, _ := open(t, nil)
	call := func(a netip.Addr) (taken bool) {
		conn, other := net.Pipe()
		t.Cleanup(func() { other.Close() })
		if taken = tr.begin(conn, a); taken {
			t.Cleanup(func() { tr.finish(conn) })
		}
		return taken
	}
	a := netip.MustParseAddr("2001:db8::1")
	for range maxPendingPerHost {
		if !call(a) {
			t.Fatalf("%v was not let in", a)
		}
		a = a.Next()
	}
	if call(a) {
		t.Errorf("%v was let in, of a /64 that has all the room that is for one host", a)
	}
	if a := netip.MustParseAddr("2001:db8:0:1::1"); !call(a) {
		t.Errorf("%v of another host was not let in", a)
	}
}

func TestPendingCallersAreBoundedInAll(t *testing.T) {
	tr, _ := open(t, nil)
	tr.mu.Lock()
	for i := range maxPending { // Of many addresses.
		c, _ := net.Pipe()
		tr.pending[c] = wire.HostOf(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	tr.mu.Unlock()
	ended(t, silent(t, tr))
}

func TestCloseTwiceAndAtOnce(t *testing.T) {
	tr, _ := open(t, nil)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(tr.Close)
	}
	wg.Wait()
	if c, err := net.Dial("tcp4", loopback(tr.Port()).String()); err == nil {
		c.Close()
		t.Error("somebody still listens")
	}
}
