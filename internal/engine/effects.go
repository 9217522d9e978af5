package engine

import (
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// perform carries out what the swarm decided, in its order. It is the one
// place where effects meet adapters, and nothing in it waits.
func (s *hub) perform(fx *swarm.Effects) {
	for _, c := range fx.Close {
		if l := s.links.get(c.Peer); l != nil {
			l.conn.Close(c.Reason)
		}
	}
	for _, addr := range fx.Ban {
		s.log.Info("banned a peer for bad data", "peer", addr)
	}
	s.eachPeer(fx.Send, conn.Send)
	s.eachPeer(fx.Unsend, conn.Unsend)
	for _, f := range fx.Finish {
		s.store.Finish(f.Piece, f.Digests)
	}
	for _, addr := range fx.Dial {
		s.dial(addr)
	}
	if fx.NeedPeers {
		s.trackers.NeedPeers()
	}
}

// eachPeer hands each run of messages for one peer to its connection in one
// call, so that a burst of requests leaves in one write.
func (s *hub) eachPeer(list []swarm.Send, do func(conn, ...wire.Message)) {
	for len(list) > 0 {
		peer := list[0].Peer
		s.burst = s.burst[:0]
		for len(list) > 0 && list[0].Peer == peer {
			s.burst = append(s.burst, list[0].Msg)
			list = list[1:]
		}
		if l := s.links.get(peer); l != nil {
			do(l.conn, s.burst...)
		}
	}
	if cap(s.burst) > maxSpare {
		s.burst = nil
	}
	clear(s.burst)
}

// maxSpare is how many messages there is kept room for.
const maxSpare = 1024
