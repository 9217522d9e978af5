package engine

import (
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// perform carries out what the swarm decided, in its order. It is the one
// place where effects meet adapters, and nothing in it waits.
func (h *hub) perform(fx *swarm.Effects) {
	for _, c := range fx.Close {
		if l := h.links.get(c.Peer); l != nil {
			l.conn.Close(c.Reason)
		}
	}
	for _, addr := range fx.Ban {
		h.log.Info("banned a peer for bad data", "peer", addr)
	}
	h.eachPeer(fx.Send, conn.Send)
	h.eachPeer(fx.Unsend, conn.Unsend)
	for _, f := range fx.Finish {
		h.store.Finish(f.Piece, f.Digests)
	}
	for _, addr := range fx.Dial {
		h.dial(addr)
	}
	for _, addr := range fx.Nodes {
		h.pingNode(addr)
	}
	if fx.NeedPeers {
		h.trackers.NeedPeers()
		if h.dht != nil {
			h.dht.NeedPeers()
		}
	}
}

// eachPeer hands each run of messages for one peer to its connection in one
// call, so that a burst of requests leaves in one write.
func (h *hub) eachPeer(list []swarm.Send, do func(conn, ...wire.Message)) {
	for len(list) > 0 {
		peer := list[0].Peer
		h.burst = h.burst[:0]
		for len(list) > 0 && list[0].Peer == peer {
			h.burst = append(h.burst, list[0].Msg)
			list = list[1:]
		}
		if l := h.links.get(peer); l != nil {
			do(l.conn, h.burst...)
		}
	}
	if cap(h.burst) > maxSpare {
		h.burst = nil
	}
	clear(h.burst)
}

// maxSpare is how many messages there is kept room for.
const maxSpare = 1024
