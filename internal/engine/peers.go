package engine

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/disk"
	"github.com/torrent-operator/torrent-operator/internal/engine/peerconn"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// links holds the open connections of a torrent. The torrent's goroutine
// reads it; those who dial and accept add to it.
type links struct {
	mu     sync.Mutex
	last   swarm.Peer
	open   map[swarm.Peer]*link
	closed bool
}

// link is one connection of a torrent, and what its reader delivers to.
type link struct {
	hub  *hub
	peer swarm.Peer
	conn conn
	name string // The host of a web seed; "" of a peer.
	// secret says that all of a peer's connection is encrypted.
	secret bool
}

// conn is what a link leads to: a peer, or a web seed, which looks like one.
// Send, Unsend and Close don't wait, may be called at any time, and do nothing
// after the end. Run is called once, and returns why the connection ended when
// nothing of it runs any more. See [peerconn.Conn].
type conn interface {
	Send(...wire.Message)
	Unsend(...wire.Message)
	Close(reason string)
	Run(context.Context) error
}

func (ls *links) get(p swarm.Peer) *link {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.open[p]
}

// add numbers a new link. It returns false if the session takes no more.
func (ls *links) add(l *link, wg *sync.WaitGroup) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return false
	}
	wg.Add(1)
	ls.last++
	l.peer = ls.last
	ls.open[l.peer] = l
	return true
}

// webSeeds counts those that lead to web seeds.
func (ls *links) webSeeds() (n int) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.open {
		if l.name != "" {
			n++
		}
	}
	return n
}

func (ls *links) remove(p swarm.Peer) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	delete(ls.open, p)
}

// suit ends the connections to peers that a wish for encryption does not let.
func (ls *links) suit(wish download.Encryption) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.open {
		l.suit(wish)
	}
}

// suit ends the link if a wish for encryption does not let it.
func (l *link) suit(wish download.Encryption) {
	if l.name == "" && (wish == download.EncryptionRequire && !l.secret || wish == download.EncryptionDisable && l.secret) {
		l.conn.Close("encryption")
	}
}

// close ends all connections and lets no new ones in.
func (ls *links) close() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.closed = true
	for _, l := range ls.open {
		l.conn.Close("stopped")
	}
}

// Claim, ClaimAhead, Commit, Abandon and Deliver make a link the sink of its connection.

// Claim implements [peerconn.Sink].
func (l *link) Claim(index, begin, length uint32) []byte {
	return l.hub.store.Claim(index, begin, length)
}

// ClaimAhead implements [peerconn.Sink].
func (l *link) ClaimAhead(index, begin, length uint32) []byte {
	return l.hub.store.ClaimAhead(index, begin, length)
}

// Commit implements [peerconn.Sink].
func (l *link) Commit(index, begin uint32, lease []byte) bool {
	return l.hub.store.Commit(index, begin, lease)
}

// Abandon implements [peerconn.Sink].
func (l *link) Abandon(lease []byte) { l.hub.store.Abandon(lease) }

// Deliver implements [peerconn.Sink].
func (l *link) Deliver(_ *peerconn.Conn, burst []peerconn.Received) {
	l.hub.inbox.deliver(l.peer, burst)
}

// ReadBlock implements [peerconn.Source]. Verified pieces that the volume can't
// give back end the session: its files have to be looked at again.
func (l *link) ReadBlock(dst []byte, index, begin uint32) error {
	err := l.hub.store.ReadBlock(dst, index, begin)
	if err != nil && !errors.Is(err, disk.ErrUnverified) && !errors.Is(err, disk.ErrClosed) {
		l.hub.fail(err)
	}
	return err
}

// dial connects to addr without making the torrent's goroutine wait.
func (h *hub) dial(addr netip.AddrPort) {
	h.work.Add(1)
	encryption := h.want.Encryption
	go func() {
		defer h.work.Done()
		p, err := h.t.engine.net.Dial(h.ctx, addr, h.t.hash, encryption)
		if err == nil {
			err = h.serve(p, false)
		}
		if err != nil {
			h.log.Debug("could not connect to a peer", "peer", addr, "error", err)
			var denied *transport.DeniedError
			if errors.As(err, &denied) {
				h.denied.Store(denied)
			}
			h.inbox.post(swarm.Event{Kind: swarm.DialFailed, Addr: addr, Self: errors.Is(err, transport.ErrSelf)})
		}
	}()
}

var errStopped = errors.New("the torrent is being stopped")

// serve runs a connection whose handshake is done until it ends. An error
// means that it never became a link.
func (h *hub) serve(p *transport.Peer, incoming bool) error {
	l, pieces := &link{hub: h, secret: p.Encrypted}, wire.UnknownPieces
	if m := h.t.meta.Load(); m != nil {
		pieces = m.Info.PieceCount()
	}
	l.conn = peerconn.New(peerconn.Config{
		Conn: p.Conn, Stream: p.Stream, Sink: l, Source: l, Fast: p.Fast, Extended: p.Extended, Pieces: pieces,
		Down: []*rate.Limiter{h.t.down, h.t.engine.down},
		Up:   []*rate.Limiter{h.t.up, h.t.engine.up},
	})
	if !h.links.add(l, &h.work) {
		p.Conn.Close()
		return errStopped
	}
	defer h.work.Done()
	want, _ := h.t.wishes() // It may have changed since the handshake began.
	l.suit(want.Encryption)
	h.inbox.post(swarm.Event{
		Kind: swarm.Connected, Peer: l.peer, Addr: p.Addr, PeerID: p.PeerID,
		Fast: p.Fast, Extended: p.Extended, DHT: p.DHT, Incoming: incoming,
	})
	err := l.conn.Run(h.ctx)
	h.links.remove(l.peer)
	h.log.Debug("a connection ended", "peer", p.Addr, "error", err)
	h.inbox.post(swarm.Event{Kind: swarm.Gone, Peer: l.peer})
	return nil
}

// accept is called by the transport for each caller whose handshake is done,
// on a goroutine of its own.
func (e *Engine) accept(p *transport.Peer) {
	h := e.serving(p.InfoHash)
	if h == nil {
		p.Conn.Close()
		return
	}
	_ = h.serve(p, true) // An error only says that the session has just ended.
}
