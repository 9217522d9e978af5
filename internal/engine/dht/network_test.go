package dht

import (
	"math"
	"net/netip"
	"runtime/debug"
	"testing"
	"time"
)

// TestANetworkWithChurnFindsAnnouncedPeers holds what a DHT is for: of 2,000
// nodes, of which half leave within five minutes and others come, any finds the
// peers that others have announced, in few steps.
func TestANetworkWithChurnFindsAnnouncedPeers(t *testing.T) {
	const nodes = 2000
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	w := newWorld(t, 1)
	w.loss = 0.01
	w.fill(nodes, Config{})
	w.run(time.Minute)

	type peer struct {
		hash ID
		node *simulated
		addr netip.AddrPort
	}
	var peers []peer
	for i := range 100 {
		s, hash, port := w.any(), randomID(w.rng), uint16(1000+i)
		w.search(s, hash, port)
		peers = append(peers, peer{hash, s, netip.AddrPortFrom(s.addr.Addr(), port)})
		w.run(100 * time.Millisecond)
	}
	announcers := map[*simulated]bool{}
	for _, p := range peers {
		announcers[p.node] = true
	}
	for range nodes / 2 {
		if s := w.any(); !announcers[s] {
			w.leave(s)
		}
		addr := w.publicAddr()
		c := Config{}
		c.Known[four].ID = idFor(addr.Addr(), w.rng)
		w.join(addr, c, w.any().addr, w.any().addr)
		w.run(5 * time.Minute / (nodes / 2))
	}

	type looking struct {
		by *simulated
		id SearchID
		of peer
	}
	var searches []looking
	for _, p := range peers {
		for range 5 {
			by := w.any()
			searches = append(searches, looking{by, w.search(by, p.hash, 1), p})
			w.run(50 * time.Millisecond)
		}
	}
	w.run(20 * time.Second)
	found, most := 0, 0
	for _, s := range searches {
		hops, ok := s.by.found[s.id][s.of.addr]
		if ok || s.by == s.of.node {
			found++
			most = max(most, hops)
		}
	}
	t.Logf("%d of %d found, in at most %d hops; %d packets", found, len(searches), most, w.sent)
	if 100*found < 99*len(searches) {
		t.Errorf("only %d of %d searches found the peer", found, len(searches))
	}
	if limit := int(math.Log2(nodes)) + 3; most > limit {
		t.Errorf("a peer was found after %d hops, more than %d", most, limit)
	}
}
