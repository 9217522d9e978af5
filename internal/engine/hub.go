package engine

import (
	"context"
	"log/slog"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/dht"
	"github.com/torrent-operator/torrent-operator/internal/engine/disk"
	"github.com/torrent-operator/torrent-operator/internal/engine/limiter"
	"github.com/torrent-operator/torrent-operator/internal/engine/lsd"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
	"github.com/torrent-operator/torrent-operator/internal/engine/tracker"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// stopWait bounds how long a stopping torrent waits for trackers to take its
// goodbye.
const stopWait = 2 * time.Second

// hub is what lies between a torrent's decisions and the world: its inbox, its
// connections, and the search for peers. All fields but links belong to the
// torrent's goroutine.
type hub struct {
	t     *Torrent
	log   *slog.Logger
	inbox *inbox
	swarm *swarm.Swarm
	wake  *time.Timer // For when the swarm wants to be woken.
	links links       // The connections; shared with those who dial and accept.

	trackers *tracker.Session
	dht      *dht.Search  // nil while the DHT is not asked.
	local    *lsd.Torrent // nil while local networks are not told.
	// The ways to HTTP servers, with what was given for them.
	toTrackers, toWebSeeds *transport.Keyring

	want   Update // What was last applied.
	ctx    context.Context
	cancel context.CancelFunc // Ends dials and connections.
	work   sync.WaitGroup     // Dials, connections and the final sync.

	denied atomic.Pointer[transport.DeniedError] // The last peer that the guard did not let us dial.
	failed chan error                            // Capacity 1: the first error of the disk.
	burst  []wire.Message                        // Reused by eachPeer.
	named  map[string]context.CancelFunc         // Ends the search for a peer that a person named.

	before download.Progress // The snapshot when it began: counters go on from there.
	// store takes and gives the blocks of connections. It is there before the
	// first message that speaks of a block.
	store *disk.Store
}

func newHub(t *Torrent) *hub {
	h := &hub{
		t: t, log: t.log, inbox: newInbox(), wake: time.NewTimer(time.Hour),
		failed: make(chan error, 1), named: map[string]context.CancelFunc{},
	}
	h.ctx, h.cancel = context.WithCancel(t.ctx)
	h.links.open = map[swarm.Peer]*link{}
	h.want, _ = t.wishes()
	h.before = *t.Progress()
	h.toTrackers = transport.NewKeyring(t.engine.http, h.want.Credentials)
	h.toWebSeeds = transport.NewKeyring(t.engine.web, h.want.Credentials)
	return h
}

// search begins to look for peers.
func (h *hub) search(tiers [][]string, private bool) {
	h.trackers = tracker.Start(tracker.SessionConfig{
		Client: h.t.engine.tracker.Over(h.toTrackers), Tiers: tiers, Extra: h.want.Trackers, Private: private,
		InfoHash: h.t.hash, PeerID: h.t.engine.peerID, Port: h.t.engine.Port(),
		Stats: h.announced, Found: h.found, Logger: h.log,
	})
	h.useDHT(!h.want.NoDHT)
	h.useLocal(h.want.Local)
	h.findPeers(h.want.Peers)
}

// apply makes what is wanted now true.
func (h *hub) apply(want Update) {
	limiter.Set(h.t.down, want.Limits.DownloadBytesPerSecond)
	limiter.Set(h.t.up, want.Limits.UploadBytesPerSecond)
	if !reflect.DeepEqual(want.Credentials, h.want.Credentials) {
		h.toTrackers.Set(want.Credentials)
		h.toWebSeeds.Set(want.Credentials)
	}
	h.trackers.SetExtra(want.Trackers)
	h.links.suit(want.Encryption)
	h.useDHT(!want.NoDHT)
	h.useLocal(want.Local)
	if !sameFilter(want.Filter, h.want.Filter) {
		h.forgetNamed() // Those that are let now are looked up again.
	}
	h.findPeers(want.Peers)
	h.want = want
}

// handle lets the swarm answer events, carries its answer out, and sets the
// timer to when it wants to be woken.
func (h *hub) handle(events []swarm.Event) *swarm.Effects {
	now := time.Now()
	fx := h.swarm.Handle(now, events)
	h.perform(fx)
	if !fx.Wake.IsZero() {
		h.wake.Reset(max(time.Millisecond, fx.Wake.Sub(now)))
	}
	return fx
}

// found hands addresses that a tracker named to the swarm. It is called from
// the tracker session's goroutine.
func (h *hub) found(addrs []netip.AddrPort) {
	h.inbox.post(swarm.Event{Kind: swarm.Found, Addrs: addrs, Source: swarm.FromTracker})
}

// sameFilter says whether two filters are written alike.
func sameFilter(a, b download.PeerFilter) bool {
	f, g := swarm.Filter(a), swarm.Filter(b)
	return f.Equal(&g)
}

// fail ends the session with err; the first error counts.
func (h *hub) fail(err error) {
	select {
	case h.failed <- err:
	default:
	}
}

// leaveTrackers ends the announces. It returns when trackers have taken the
// goodbye, or had the time for it.
func (h *hub) leaveTrackers() {
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	h.trackers.Stop(ctx)
}

// close ends connections and the search for peers. The result is closed when
// trackers have taken the goodbye, or had the time for it.
func (h *hub) close() (goodbye <-chan struct{}) {
	h.useDHT(false)
	h.useLocal(false)
	h.links.close()
	h.inbox.close()
	h.wake.Stop()
	h.cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		h.leaveTrackers()
		h.toTrackers.CloseIdleConnections()
		h.toWebSeeds.CloseIdleConnections()
	}()
	h.work.Wait()
	return stopped
}
