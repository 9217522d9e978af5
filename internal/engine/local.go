package engine

import (
	"net"
	"net/netip"
	"sync"

	"github.com/torrent-operator/torrent-operator/internal/engine/lsd"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
)

// localNetworks is told of the torrents that want it. Nothing is sent or
// listened to before there is one.
type localNetworks struct {
	interfaces func() ([]net.Interface, error) // As in [lsd.Config].
	mu         sync.Mutex
	server     *lsd.Server
	failed     bool
}

// useLocal begins or ends to tell local networks of the torrent, and to hear who
// else has it. A private one's peers are never found so (BEP 27).
func (h *hub) useLocal(use bool) {
	switch use = use && !h.t.private(); {
	case use && h.local == nil:
		if server := h.t.engine.localServer(); server != nil {
			h.local = server.Tell(h.t.hash, func(a netip.AddrPort) {
				h.inbox.post(swarm.Event{Kind: swarm.Found, Addrs: []netip.AddrPort{a}, Source: swarm.FromLocal})
			})
		}
	case !use && h.local != nil:
		h.local.Stop()
		h.local = nil
	}
}

// localServer returns who tells local networks of torrents, nil if that is not
// possible here.
func (e *Engine) localServer() *lsd.Server {
	l := &e.local
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server == nil && !l.failed {
		var err error
		if l.server, err = lsd.Start(lsd.Config{Port: uint16(e.net.Port()), Addrs: e.cfg.Listen, Interfaces: l.interfaces, Logger: e.log}); err != nil {
			l.failed = true
			e.log.Warn("peers are not looked for in local networks", "error", err)
		}
	}
	return l.server
}

// close ends telling.
func (l *localNetworks) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed = true; l.server != nil {
		l.server.Close()
	}
}
