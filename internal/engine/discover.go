package engine

import (
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/dht"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
)

// DHT says how an engine takes part in the DHT (BEP 5): one node for all of its
// torrents, at the UDP port of the number at which it takes peers.
type DHT struct {
	// Bootstrap are host:port of nodes by which to get into the network.
	Bootstrap []string
	// ReadOnly says that nobody outside can reach us: no questions are
	// answered (BEP 43).
	ReadOnly bool
	// File is where what is known of the network is kept for the next start;
	// "" is nowhere.
	File string
}

// PublicDHT are well-known nodes by which to get into the network of the
// Internet.
var PublicDHT = []string{
	"router.bittorrent.com:6881", "router.utorrent.com:6881", "dht.transmissionbt.com:6881", "dht.libtorrent.org:25401",
}

// startDHT begins to take part, if that is wanted.
func (e *Engine) startDHT() {
	c, p := e.cfg.DHT, e.net.Packets()
	if c == nil {
		return
	}
	four, six := p.Families()
	e.dht = dht.Start(dht.ServerConfig{
		Send: func(b []byte, to netip.AddrPort) {
			if err := p.Send(b, to); err != nil {
				e.log.Debug("could not send to a node of the DHT", "node", to, "error", err)
			}
		},
		Four: four, Six: six, Port: e.net.Port(), Bootstrap: c.Bootstrap, ReadOnly: c.ReadOnly, File: c.File,
		Allow: e.cfg.Guard.Check, Lookup: e.lookup, Logger: e.log,
	})
	p.Serve(e.dht.Receive)
}

// dhtPort returns the port of our node that peers are told of, 0 if it answers
// nobody.
func (e *Engine) dhtPort() uint16 {
	if e.cfg.DHT == nil || e.cfg.DHT.ReadOnly {
		return 0
	}
	return uint16(e.net.Port())
}

// tellsOfDHT is asked by the transport whether the peers of a torrent may know
// that we take part in the DHT.
func (e *Engine) tellsOfDHT(hash metainfo.Hash) bool {
	if e.cfg.DHT == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.torrents[hash] {
		if want, _ := t.wishes(); want.NoDHT || t.private() {
			return false
		}
	}
	return true
}

// private says whether the torrent is known to be private (BEP 27).
func (t *Torrent) private() bool {
	m := t.meta.Load()
	return m != nil && m.Info.Private
}

// useDHT begins or ends the search for peers in the DHT. A private torrent's are
// never searched for there (BEP 27).
func (h *hub) useDHT(use bool) {
	node := h.t.engine.dht
	switch use = use && node != nil && !h.t.private(); {
	case use && h.dht == nil:
		h.dht = node.Search(h.t.hash, uint16(h.t.engine.Port()), func(addrs []netip.AddrPort) {
			h.inbox.post(swarm.Event{Kind: swarm.Found, Addrs: addrs, Source: swarm.FromDHT})
		})
		if m := h.t.meta.Load(); m != nil {
			for _, n := range m.Nodes {
				node.Enter(n.Host, n.Port)
			}
		}
	case !use && h.dht != nil:
		h.dht.Stop()
		h.dht = nil
	}
}

// dhtState says how the search in the DHT stands.
func (h *hub) dhtState(now time.Time) download.DHT {
	switch {
	case h.dht == nil:
		return ""
	case h.t.engine.dht.Answers(now):
		return download.DHTAnswers
	}
	return download.DHTSilent
}

// pingNode makes sure of a node of the DHT that a peer told of.
func (h *hub) pingNode(addr netip.AddrPort) {
	if h.dht != nil {
		h.t.engine.dht.Ping(addr)
	}
}
