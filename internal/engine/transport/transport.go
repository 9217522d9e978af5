package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
	"github.com/torrent-operator/torrent-operator/internal/engine/utp"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// Config is what a [Transport] is made of. Accept, Torrents and PeerID are
// needed.
type Config struct {
	// PortFirst to PortLast are the ports to try, in that order. Both zero
	// are 6881 to 6889.
	PortFirst, PortLast int
	Addrs               []netip.Addr // To listen on; nil is all that the machine has, IPv4 and IPv6.
	PeerID              [20]byte     // Ours, in every torrent.
	Guard               *Guard       // Where to connect to; nil is everywhere. Callers are not asked.
	Torrents            Torrents
	// Packets has a UDP socket opened as well, at the same port.
	Packets bool
	// UTP has peers taken and dialed over uTP too, and the UDP socket opened.
	UTP bool
	// DHT says whether peers of a torrent are told that we take part in the
	// DHT (BEP 5); nil is never. It must not block.
	DHT func(metainfo.Hash) bool
	// Accept takes over a caller after its handshake. It has a goroutine of
	// its own, and may take as long as it likes.
	Accept func(*Peer)
}

// Torrents tells of which torrents callers may be spoken to. Its methods must
// not wait, and may be called by any goroutine.
type Torrents interface {
	// Encryption says whether a torrent may be spoken of, and how.
	Encryption(metainfo.Hash) (download.Encryption, bool)
	// Named returns the info hash of the torrent that encrypted callers call so.
	Named(mse.Name) (metainfo.Hash, bool)
	// Encrypts says whether any torrent takes encrypted callers.
	Encrypts() bool
}

// Peer is a peer with whom the handshake is done.
type Peer struct {
	Conn      net.Conn       // No deadline is set. Its receiver closes it.
	Stream    *mse.Stream    // By which all that follows goes over Conn; nil in the clear.
	Encrypted bool           // All of the connection is encrypted, not just its handshake.
	Addr      netip.AddrPort // Of the other side; the port of a caller is not the one that it listens on.
	InfoHash  metainfo.Hash
	PeerID    [20]byte
	Fast      bool // Both sides speak the Fast extension (BEP 6).
	Extended  bool // Both sides speak the extension protocol (BEP 10).
	DHT       bool // Both sides take part in the DHT (BEP 5).
}

// Transport listens for peers and dials them. Its methods may be called by any
// goroutine.
type Transport struct {
	cfg       Config
	port      int
	listeners []net.Listener
	packets   *Packets      // nil if none were wanted.
	utp       *utp.Socket   // nil without.
	halfOpen  chan struct{} // Holds a token for each peer that is being dialed.
	done      chan struct{} // Closed by Close.
	work      sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	pending map[net.Conn]netip.Prefix // Callers in the middle of their handshake, by host.
	perHost map[netip.Prefix]int      // How many of them each host has.
}

// Listen begins to accept peers on the first port of the range that is free.
// The error is [ErrPort] if there is none.
func Listen(cfg Config) (*Transport, error) {
	if cfg.PortFirst == 0 && cfg.PortLast == 0 {
		cfg.PortFirst, cfg.PortLast = defaultPortFirst, defaultPortLast
	}
	ls, packets, port, err := listen(&cfg)
	if err != nil {
		return nil, err
	}
	t := &Transport{
		cfg: cfg, port: port, listeners: ls, packets: packets,
		halfOpen: make(chan struct{}, maxHalfOpen),
		done:     make(chan struct{}),
		pending:  map[net.Conn]netip.Prefix{},
		perHost:  map[netip.Prefix]int{},
	}
	if cfg.UTP {
		t.utp = utp.New(utp.Config{
			Send:   func(bs [][]byte, to netip.AddrPort) { _ = packets.sendAll(bs, to) }, // They are sent again.
			Accept: func(c *utp.Conn) { t.receive(c) },
		})
	}
	if packets != nil {
		packets.start(t.utp)
	}
	for _, l := range ls {
		t.work.Go(func() { t.accept(l) })
	}
	return t, nil
}

// Port returns the port, of TCP and of UDP, that peers can be told of.
func (t *Transport) Port() int { return t.port }

// Packets returns the UDP socket, or nil if [Config] did not want one.
func (t *Transport) Packets() *Packets { return t.packets }

// Close stops listening and hangs up on callers whose handshake is not done.
// Connections that were handed over, and calls of Accept and Dial in progress,
// are not its concern.
func (t *Transport) Close() {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.done)
	}
	for conn := range t.pending {
		conn.Close()
	}
	t.mu.Unlock()
	closeAll(t.listeners)
	if t.utp != nil {
		t.utp.Close()
	}
	if t.packets != nil {
		t.packets.Close()
	}
	t.work.Wait()
}

// Dial connects to a peer of a torrent and does the handshake, encrypted, in
// the clear, or one after the other. While as many peers as may be are being
// dialed it waits. The error is a [*DeniedError] if the guard does not allow it,
// and [ErrSelf] if the peer is this program.
func (t *Transport) Dial(ctx context.Context, addr netip.AddrPort, hash metainfo.Hash, e download.Encryption) (*Peer, error) {
	select {
	case t.halfOpen <- struct{}{}:
		defer func() { <-t.halfOpen }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	var errs []error
	for _, a := range attempts(e) {
		p, err := t.try(ctx, addr, hash, a)
		if err == nil {
			return p, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil || !a.worthAnother(err) {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// try is one attempt to connect and do the handshake.
func (t *Transport) try(ctx context.Context, addr netip.AddrPort, hash metainfo.Hash, a attempt) (*Peer, error) {
	conn, err := t.connect(ctx, addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	p, err := t.greet(conn, hash, a)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, &handshakeError{addr, a, err}
	}
	p.Addr = addr
	return p, nil
}

// accept takes calls on one listener until it is closed.
func (t *Transport) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			t.receive(conn)
		case errors.Is(err, net.ErrClosed):
			return
		default: // Out of file descriptors, most likely.
			select {
			case <-time.After(100 * time.Millisecond):
			case <-t.done:
				return
			}
		}
	}
}

// receive does the handshake with a caller, on a goroutine of its own, if
// there is room for one.
func (t *Transport) receive(conn net.Conn) {
	from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	if err != nil || !t.begin(conn, from.Addr()) {
		conn.Close()
		return
	}
	go func() {
		p, err := t.answer(conn)
		t.finish(conn)
		if err != nil {
			conn.Close() // Strangers fail all the time; there is nobody to tell.
			return
		}
		p.Addr = from
		t.cfg.Accept(p)
	}()
}

// begin counts a caller whose handshake begins. It returns false if there are
// too many.
func (t *Transport) begin(conn net.Conn, a netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	host := wire.HostOf(a)
	if t.closed || len(t.pending) >= maxPending || t.perHost[host] >= maxPendingPerHost {
		return false
	}
	t.pending[conn] = host
	t.perHost[host]++
	t.work.Add(1)
	return true
}

// finish takes back what begin counted.
func (t *Transport) finish(conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	host := t.pending[conn]
	delete(t.pending, conn)
	if t.perHost[host]--; t.perHost[host] == 0 {
		delete(t.perHost, host)
	}
	t.work.Done()
}
