package engine

import (
	"context"
	"crypto/sha1"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/peerconn"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
	"github.com/torrent-operator/torrent-operator/internal/engine/webseed"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// maxWebSeeds is how many web seeds a torrent uses at once: those that a person
// named come first.
const maxWebSeeds = 16

// webSeeds are the web seeds of a session by their URLs. The map belongs to the
// torrent's goroutine; each entry's state also to the goroutine that uses it.
type webSeeds map[string]*webSeed

// webSeed is one web seed that is being used.
type webSeed struct {
	seed   *webseed.Seed
	id     [20]byte // By which the swarm knows it: the hash of its URL.
	cancel context.CancelFunc

	mu     sync.Mutex
	err    error // Why the last connection ended, if nothing has come since.
	next   time.Time
	banned bool
}

// useWebSeeds uses the web seeds of the torrent and those that a person named,
// until they are not named any more.
func (s *session) useWebSeeds(named []string) {
	if s.complete {
		named = nil
	} else {
		named = append(slices.Clone(named), s.t.meta.Load().URLList...)
		named = named[:min(len(named), maxWebSeeds)]
	}
	for url, w := range s.web {
		if !slices.Contains(named, url) {
			w.cancel()
			delete(s.web, url)
		}
	}
	for _, url := range named {
		if s.web[url] != nil {
			continue
		}
		seed, err := webseed.New(webseed.Config{
			URL: url, Info: s.info, Transport: s.toWebSeeds, Down: []*rate.Limiter{s.t.down, s.t.engine.down},
		})
		if err != nil { // FTP, for example, which BEP 19 knows too.
			s.log.Debug("can't use a web seed", "error", err)
			continue
		}
		w := &webSeed{seed: seed, id: sha1.Sum([]byte(url))}
		ctx, cancel := context.WithCancel(s.ctx)
		w.cancel = cancel
		s.web[url] = w
		s.work.Go(func() { s.useWebSeed(ctx, w) })
	}
}

// useWebSeed connects to a web seed again and again, until ctx ends or the swarm
// does not want it any more.
func (s *session) useWebSeed(ctx context.Context, w *webSeed) {
	for {
		err := s.connectWebSeed(ctx, w)
		if ctx.Err() != nil {
			return
		}
		var closed *webseed.ClosedError
		if errors.As(err, &closed) && (closed.Reason == swarm.ReasonBanned || closed.Reason == swarm.ReasonSeeds) {
			if closed.Reason == swarm.ReasonBanned {
				s.log.Warn("a web seed sent data that does not match the torrent and is not used any more", "webSeed", w.seed.Host())
			}
			w.ban(closed.Reason == swarm.ReasonBanned)
			return
		}
		wait := w.seed.After(err)
		s.log.Debug("a web seed failed", "webSeed", w.seed.Host(), "error", err, "again", wait)
		if wait > 0 {
			w.failed(err, time.Now().Add(wait))
		}
		var denied *transport.DeniedError
		if errors.As(err, &denied) {
			s.denied.Store(denied)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// connectWebSeed runs one connection to a web seed until it ends.
func (s *session) connectWebSeed(ctx context.Context, w *webSeed) error {
	l := &webLink{link: link{hub: s.hub, name: w.seed.Host()}, seed: w}
	l.conn = w.seed.Connect(l)
	if !s.links.add(&l.link, &s.work) {
		return errStopped
	}
	defer s.work.Done()
	s.inbox.post(swarm.Event{Kind: swarm.Connected, Peer: l.peer, PeerID: w.id, Fast: true, WebSeed: true})
	err := l.conn.Run(ctx)
	s.links.remove(l.peer)
	s.inbox.post(swarm.Event{Kind: swarm.Gone, Peer: l.peer})
	return err
}

func (w *webSeed) failed(err error, next time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err, w.next = err, next
}

// works notes that blocks come.
func (w *webSeed) works() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err, w.next = nil, time.Time{}
}

func (w *webSeed) ban(banned bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err, w.next, w.banned = nil, time.Time{}, banned
}

// status tells how the web seed does.
func (w *webSeed) status() download.WebSeed {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := download.WebSeed{URL: w.seed.Host(), NextTry: w.next}
	switch {
	case w.banned:
		st.LastError = "it sent data that does not match the torrent"
	case w.err != nil:
		st.LastError = w.err.Error()
	case w.seed.Gap() != nil:
		st.LastError = w.seed.Gap().Error()
	}
	return st
}

// webLink is the link of a web seed, and the sink of its connection.
type webLink struct {
	link
	seed *webSeed
}

// Wants implements [webseed.Sink].
func (l *webLink) Wants(piece int) bool { return l.hub.store.Wants(piece) }

// Deliver implements [webseed.Sink].
func (l *webLink) Deliver(burst []webseed.Received) {
	received := make([]peerconn.Received, len(burst))
	for i, x := range burst {
		received[i] = peerconn.Received{Msg: x.Msg, Block: x.Msg.ID == wire.Piece, Fresh: x.Fresh}
		if x.Fresh {
			l.seed.works()
		}
	}
	l.hub.inbox.deliver(l.peer, received)
}

// status tells how the web seeds do, in the order of their hosts.
func (ws webSeeds) status() []download.WebSeed {
	var all []download.WebSeed
	for _, w := range ws {
		all = append(all, w.status())
	}
	slices.SortFunc(all, func(a, b download.WebSeed) int { return strings.Compare(a.URL, b.URL) })
	return all
}

// webSeedsFailed says why web seeds are of no use, nil if nothing is known
// against them.
func (h *hub) webSeedsFailed(p *download.Progress) *download.Failure {
	var said []string
	for _, w := range p.WebSeeds {
		if w.LastError != "" {
			said = append(said, w.LastError)
		}
	}
	if len(said) == 0 {
		return nil
	}
	f := &download.Failure{
		Reason: download.ReasonWebSeedUnavailable,
		Message: "there are no peers, and the web seeds don't give what is missing (" + strings.Join(said[:min(len(said), 3)], "; ") +
			"); they are tried again; check that their URLs are right and that their servers have the torrent's files, or add trackers or peers",
	}
	if denied := h.denied.Load(); denied != nil {
		f.Reason = download.ReasonAddressDenied
	}
	return f
}
