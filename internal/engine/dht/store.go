package dht

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// store is what peers have announced here, of one family.
type store struct {
	hashes  map[ID]*announced // At most maxHashes.
	expired time.Time         // When all of them were looked at last.
}

// announced are the peers of one torrent, at most maxPeers.
type announced struct {
	peers map[netip.AddrPort]time.Time // When each was announced last.
}

func newStore() *store { return &store{hashes: map[ID]*announced{}} }

// add remembers a peer of a torrent. It returns false if there is no room: when
// there are too many torrents, those stay that are closest to own, for which
// others look here.
func (s *store) add(now time.Time, own, hash ID, peer netip.AddrPort) bool {
	a := s.hashes[hash]
	if a == nil {
		if len(s.hashes) >= maxHashes && !s.makeRoom(now, own, hash) {
			return false
		}
		a = &announced{peers: map[netip.AddrPort]time.Time{}}
		s.hashes[hash] = a
	}
	if _, known := a.peers[peer]; !known && !a.room(now, peer) {
		return false
	}
	a.peers[peer] = now
	return true
}

// makeRoom drops what is over, and if that is nothing the torrent that is
// furthest from own, unless hash is further.
func (s *store) makeRoom(now time.Time, own, hash ID) bool {
	if now.Sub(s.expired) >= expireTurn { // It costs a look at every peer, and strangers choose when.
		s.expire(now)
	}
	if len(s.hashes) < maxHashes {
		return true
	}
	last := hash
	for h := range s.hashes {
		if closer(own, last, h) {
			last = h
		}
	}
	delete(s.hashes, last)
	return last != hash
}

// room says whether there is room for one more peer. The oldest announce of the
// same host makes room for its next one.
func (a *announced) room(now time.Time, peer netip.AddrPort) bool {
	if len(a.peers) >= maxPeers {
		a.expire(now)
	}
	same, host, oldest := 0, wire.HostOf(peer.Addr()), netip.AddrPort{}
	for p, at := range a.peers {
		if wire.HostOf(p.Addr()) == host {
			if same++; !oldest.IsValid() || at.Before(a.peers[oldest]) {
				oldest = p
			}
		}
	}
	if same >= maxPeersPerHost {
		delete(a.peers, oldest)
	}
	return len(a.peers) < maxPeers
}

// get returns up to n peers of a torrent, at random. Which, must not depend on
// the order of a map.
func (s *store) get(now time.Time, hash ID, n int, rng *rand.Rand) []netip.AddrPort {
	a := s.hashes[hash]
	if a == nil {
		return nil
	}
	a.expire(now)
	list := make([]netip.AddrPort, 0, len(a.peers))
	for p := range a.peers {
		list = append(list, p)
	}
	sortAddrs(list)
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(n, len(list))]
}

// expire drops announces that were not repeated.
func (s *store) expire(now time.Time) {
	s.expired = now
	for h, a := range s.hashes {
		if a.expire(now); len(a.peers) == 0 {
			delete(s.hashes, h)
		}
	}
}

func (a *announced) expire(now time.Time) {
	for p, at := range a.peers {
		if now.Sub(at) >= peerLife {
			delete(a.peers, p)
		}
	}
}
