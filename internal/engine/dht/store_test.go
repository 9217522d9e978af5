package dht

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func peerAt(i int) netip.AddrPort {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x14000000+uint32(i))
	return netip.AddrPortFrom(netip.AddrFrom4(b), 1)
}

func TestPeersOfATorrentAtTheirLimit(t *testing.T) {
	s := newStore()
	for i := range maxPeers + 1 {
		if ok := s.add(start, ID{}, ID{1}, peerAt(i)); ok != (i < maxPeers) {
			t.Fatalf("peer %d: %v", i+1, ok)
		}
	}
	if !s.add(start, ID{}, ID{1}, peerAt(0)) {
		t.Error("one that is there can't be announced again")
	}
	if !s.add(start.Add(peerLife), ID{}, ID{1}, peerAt(maxPeers)) {
		t.Error("those that are over make no room")
	}
}

func TestPeersOfAHostAtTheirLimit(t *testing.T) {
	s := newStore()
	for i := range maxPeersPerHost + 2 {
		if !s.add(start.Add(time.Duration(i)), ID{}, ID{1}, netip.AddrPortFrom(netip.MustParseAddr("20.0.0.1"), uint16(1+i))) {
			t.Fatalf("port %d was refused", 1+i)
		}
	}
	got := s.get(start.Add(time.Second), ID{1}, 100, testRand())
	if len(got) != maxPeersPerHost {
		t.Errorf("one host is announced with %d ports", len(got))
	}
	for _, a := range got {
		if a.Port() <= 2 {
			t.Errorf("port %d is older than those that were dropped", a.Port())
		}
	}
}

func TestTorrentsAtTheirLimitTheClosestStay(t *testing.T) {
	s := newStore()
	hash := func(i int) (id ID) {
		binary.BigEndian.PutUint32(id[:], uint32(i))
		return id
	}
	for i := range maxHashes {
		if !s.add(start, ID{}, hash(2*i+2), peerAt(i)) {
			t.Fatalf("torrent %d was refused", i+1)
		}
	}
	if s.add(start, ID{}, hash(1<<30), peerAt(0)) {
		t.Error("one that is further than all others was taken")
	}
	if !s.add(start, ID{}, hash(1), peerAt(0)) || len(s.hashes) != maxHashes || s.hashes[hash(2*maxHashes)] != nil {
		t.Error("one that is closer has not taken the place of the furthest")
	}
	if !s.add(start.Add(peerLife), ID{}, hash(1<<30), peerAt(0)) {
		t.Error("those that are over make no room")
	}
	if s.expired != start.Add(peerLife) {
		t.Fatal("all were not looked at when there was no room")
	}
	for i := range maxHashes {
		s.add(start.Add(peerLife+expireTurn-1), ID{}, hash(2*i+2), peerAt(i))
	}
	if s.expired != start.Add(peerLife) {
		t.Error("strangers can have all looked at as often as they like")
	}
}

func TestAnAnnounceCountsForItsTime(t *testing.T) {
	s := newStore()
	s.add(start, ID{}, ID{1}, peerAt(1))
	if n := len(s.get(start.Add(peerLife-1), ID{1}, 9, testRand())); n != 1 {
		t.Errorf("%d peers shortly before", n)
	}
	if n := len(s.get(start.Add(peerLife), ID{1}, 9, testRand())); n != 0 {
		t.Errorf("%d peers after it", n)
	}
}

// BEP 5, "get_peers" and "Overview": a token is good for ten minutes, for the
// address that it was given to. Here it is good for one torrent.
func TestBEP5Tokens(t *testing.T) {
	rng := testRand()
	var k tokens
	k.renew(start, rng)
	a, b := netip.MustParseAddr("20.0.0.1"), netip.MustParseAddr("20.0.0.2")
	given := k.give(a, ID{1})
	for name, ok := range map[string]bool{
		"its own":             k.accept(given, a, ID{1}),
		"another address's":   !k.accept(given, b, ID{1}),
		"another torrent's":   !k.accept(given, a, ID{2}),
		"none":                !k.accept(nil, a, ID{1}),
		"a part of it":        !k.accept(given[:tokenLen-1], a, ID{1}),
		"that and more":       !k.accept(append(given[:tokenLen:tokenLen], 0), a, ID{1}),
		"nobody's":            !k.accept(make([]byte, tokenLen), a, ID{1}),
		"of a secret of zero": !k.accept(token([32]byte{}, a, ID{1}), a, ID{1}),
	} {
		if !ok {
			t.Errorf("wrong about a token: %s", name)
		}
	}
	for after, ok := range map[time.Duration]bool{tokenTurn - 1: true, tokenTurn: true, 2*tokenTurn - 1: true, 2 * tokenTurn: false, 24 * time.Hour: false} {
		k := k
		rng := testRand()
		rng.Uint64()
		for now := time.Duration(0); now <= after; now += time.Minute {
			k.renew(start.Add(now), rng)
		}
		k.renew(start.Add(after), rng)
		if k.accept(given, a, ID{1}) != ok {
			t.Errorf("after %v accepted: %v", after, !ok)
		}
	}
	k.renew(start.Add(24*time.Hour), rng) // Nobody looked meanwhile.
	if k.accept(given, a, ID{1}) {
		t.Error("a token of yesterday is accepted")
	}
}

func TestHostsAtTheirPace(t *testing.T) {
	c := crowd{hosts: map[place]*host{}}
	p := placeOf(peerAt(1))
	for i := range hostBurst + 1 {
		if ok := c.admit(start, p); ok != (i < hostBurst) {
			t.Fatalf("packet %d: %v", i+1, ok)
		}
	}
	if c.admit(start.Add(blockTime-1), p) {
		t.Error("who asked too often is heard before its time is over")
	}
	if c.admit(start.Add(2*blockTime-2), p) {
		t.Error("who goes on is not blocked for longer")
	}
	if !c.admit(start.Add(4*blockTime), p) {
		t.Error("blocked for good")
	}
	if !c.admit(start, placeOf(peerAt(2))) {
		t.Error("others are blocked, too")
	}
}

func TestAllHostsTogetherAtTheirPace(t *testing.T) {
	c := crowd{hosts: map[place]*host{}}
	n := 0
	for i := range 3 * answerBurst {
		if c.admit(start, placeOf(peerAt(i))) {
			n++
		}
	}
	if n != answerBurst {
		t.Errorf("%d packets are looked at, at once", n)
	}
	for i := range 3 * answerRate {
		if c.admit(start.Add(time.Second), placeOf(peerAt(1000+i))) {
			n++
		}
	}
	if n != answerBurst+answerRate {
		t.Errorf("%d after a second", n)
	}
}

func TestHostsThatAreCountedAtTheirLimit(t *testing.T) {
	c := crowd{hosts: map[place]*host{}}
	for i := range 2 * maxHosts {
		c.admit(start, placeOf(peerAt(i)))
	}
	if len(c.hosts) != maxHosts {
		t.Errorf("%d hosts are counted", len(c.hosts))
	}
	if !c.admit(start.Add(time.Minute), placeOf(peerAt(3*maxHosts))) || len(c.hosts) != 1 {
		t.Errorf("hosts that were quiet are not forgotten: %d", len(c.hosts))
	}
}

func ExampleID_String() {
	fmt.Println(ID{0xab})
	// Output: ab00000000000000000000000000000000000000
}
