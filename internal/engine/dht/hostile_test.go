package dht

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// liar answers for any number of addresses, whatever it is asked, with nodes of
// its own making.
type liar struct {
	w     *world
	makes func(q *message) []Contact
	ids   map[netip.AddrPort]ID // Who it said that is where.
	asked map[netip.AddrPort]int
}

// take answers a question that somebody has sent to an address.
func (l *liar) take(from, at netip.AddrPort, b []byte) {
	q, err := parse(b)
	if err != nil || q.kind != question {
		return
	}
	l.asked[at]++
	m := message{kind: answer, transaction: q.transaction, id: l.ids[at], token: []byte("token"), nodes: [2][]Contact{l.makes(&q), nil}}
	for _, c := range m.nodes[four] {
		l.ids[c.Addr] = c.ID
	}
	l.w.packet(at, from, m.bytes())
}

// A network of 256 addresses that claims ids next to a torrent's hash must not
// hide its peers, wherever it has been let into tables.
func TestOneNetworkThatFloodsIDsNearAHashDoesNotHideItsPeers(t *testing.T) {
	w := newWorld(t, 7)
	w.fill(300, Config{})
	w.run(time.Minute)
	hash := randomID(w.rng)
	bad := netip.MustParsePrefix("66.66.66.0/24")
	l := &liar{w: w, ids: map[netip.AddrPort]ID{}, asked: map[netip.AddrPort]int{}}
	near := make([]Contact, 256)
	for i := range near {
		near[i] = Contact{randomIn(hash, 60, false, w.rng), netip.AddrPortFrom(netip.AddrFrom4([4]byte{66, 66, 66, byte(i)}), 6881)}
		l.ids[near[i].Addr] = near[i].ID
	}
	l.makes = func(*message) (list []Contact) {
		for range 40 {
			list = append(list, near[w.rng.IntN(256)])
		}
		return list
	}
	w.tap = func(from, to netip.AddrPort, b []byte) bool {
		if bad.Contains(to.Addr()) {
			l.take(from, to, b)
			return false
		}
		return true
	}
	for _, s := range w.list { // They ask everybody, so that everybody learns of them.
		for i := range 4 {
			c := near[w.rng.IntN(256)]
			q := message{kind: question, method: findNode, id: c.ID, target: hash, transaction: []byte{1, byte(i)}}
			w.send(c.Addr, s.addr, q.bytes())
		}
	}
	w.run(time.Minute)
	announcer := w.any()
	w.search(announcer, hash, 77)
	w.run(20 * time.Second)
	found, searches := 0, 0
	for range 30 {
		by := w.any()
		if by == announcer {
			continue
		}
		id := w.search(by, hash, 1)
		w.run(20 * time.Second)
		searches++
		if _, ok := by.found[id][netip.AddrPortFrom(announcer.addr.Addr(), 77)]; ok {
			found++
		}
		if n := len(by.lookups); n > 1 {
			t.Errorf("%d lookups do not end", n)
		}
	}
	for _, s := range w.list {
		for _, b := range s.sides[four].table.buckets {
			n := 0
			for _, e := range b.nodes {
				if bad.Contains(e.Addr.Addr()) {
					n++
				}
			}
			if n > maxPerGroup {
				t.Fatalf("%d nodes of one network are in a bucket", n)
			}
		}
	}
	t.Logf("%d of %d found; the liars were asked %d times", found, searches, len(l.asked))
	if len(l.asked) == 0 || 100*found < 99*searches {
		t.Errorf("%d of %d searches found the peer", found, searches)
	}
}

// Answers full of nodes that do not exist, in as many networks as one likes, cost
// a lookup a bounded number of questions.
func TestALookupWithoutEndEnds(t *testing.T) {
	for name, limit := range map[string]int{"ids that fit no address": maxStrays + 2*bucketSize, "ids that fit": maxAsked} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			at := netip.MustParseAddrPort("66.0.0.1:1")
			l := &liar{w: w, ids: map[netip.AddrPort]ID{at: {1}}, asked: map[netip.AddrPort]int{}}
			l.makes = func(q *message) (list []Contact) {
				for i := range 40 {
					a := w.publicAddr()
					id := idFor(a.Addr(), w.rng)
					if limit != maxAsked {
						id = randomIn(q.target, 20+i, true, w.rng)
					}
					list = append(list, Contact{id, a})
				}
				return list
			}
			targets := map[netip.AddrPort]bool{}
			w.tap = func(from, to netip.AddrPort, b []byte) bool {
				if w.hosts[from] == nil {
					return true
				}
				if m, err := parse(b); err == nil && m.kind == question && m.method == getPeers {
					targets[to] = true
				}
				l.take(from, to, b) // Whoever is asked, the liar answers.
				return false
			}
			s := w.join(w.publicAddr(), Config{}, at)
			w.run(30 * time.Second)
			clear(targets)
			w.search(s, randomID(w.rng), 1)
			w.run(60 * time.Second)
			if len(targets) == 0 || len(targets) > limit {
				t.Errorf("%d nodes were asked, and %d are allowed", len(targets), limit)
			}
			for _, l := range s.lookups {
				if l.method == getPeers {
					t.Error("the lookup goes on")
				}
			}
		})
	}
}

func TestALookupAtItsLimits(t *testing.T) {
	s := &side{id: ID{0xff}}
	l := newLookup(s, findNode, ID{})
	rng := testRand()
	for i := range 3 * maxCandidates {
		a := netip.AddrFrom4([4]byte{30, byte(i >> 8), byte(i), 1})
		l.add(Contact{randomID(rng), netip.AddrPortFrom(a, 1)}, 0)
		if want := min(i+1, maxCandidates); len(l.candidates) > want || i < maxCandidates && len(l.candidates) != want {
			t.Fatalf("%d of %d are remembered", len(l.candidates), i+1)
		}
	}
	strays := 0
	for c := l.next(start); c != nil; c = l.next(start) {
		l.begin(start, c)
		c.state = hopeless
		strays++
	}
	if strays != maxStrays || !l.done() {
		t.Errorf("%d nodes were asked whose id fits no address, and %d are allowed; done: %v", strays, maxStrays, l.done())
	}
	busy := newLookup(s, findNode, ID{})
	for i := range 10 {
		busy.add(Contact{ID{byte(i + 1)}, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i)}), 1)}, 0)
	}
	asked := 0
	for c := busy.next(start); c != nil; c = busy.next(start) {
		busy.begin(start, c)
		asked++
	}
	if asked != parallel {
		t.Errorf("%d are asked at once, want %d", asked, parallel)
	}
	if busy.next(start.Add(slowTime-1)) != nil || busy.next(start.Add(slowTime)) == nil {
		t.Error("slow nodes are not waited for as long as they should be")
	}
	for i := range 3 * maxRouters {
		busy.route(netip.AddrPortFrom(netip.AddrFrom4([4]byte{50, byte(i), 0, 1}), 1))
	}
	if len(busy.routers) != maxRouters {
		t.Errorf("%d ways into the network are tried at once", len(busy.routers))
	}
	var many []netip.AddrPort
	for i := range 2 * maxFound {
		many = append(many, peerAt(i))
	}
	if n := len(busy.fresh(many)); n != maxFound {
		t.Errorf("one lookup finds %d peers", n)
	}
	one := newLookup(s, getPeers, ID{})
	for port := range uint16(100) {
		one.fresh([]netip.AddrPort{netip.AddrPortFrom(peerAt(1).Addr(), 1+port)})
	}
	if n := len(one.values); n != maxPeersPerHost {
		t.Errorf("one lookup finds %d peers at one host", n)
	}
}

// Whoever says first that a node has an id far from the target must not keep a
// lookup from that node.
func TestAWrongIDDoesNotHideANode(t *testing.T) {
	rng := testRand()
	honest := Contact{idFor(peerAt(1).Addr(), rng), peerAt(1)}
	target := honest.ID
	far := honest.ID
	far[0] ^= 0xff
	begin := func(first ID) *lookup {
		l := newLookup(&side{id: ID{0xff}}, findNode, target)
		l.add(Contact{first, honest.Addr}, 1)
		return l
	}

	l := begin(far)
	l.add(honest, 1)
	if c := l.next(start); len(l.candidates) != 1 || c == nil || c.ID != honest.ID || !c.fits {
		t.Errorf("of two ids the further one counts: %+v", c)
	}
	l.begin(start, l.candidates[0])
	l.add(Contact{target, honest.Addr}, 1)
	if len(l.candidates) != 1 || l.candidates[0].state != asking {
		t.Error("a host that is being asked has another place")
	}

	l = begin(far)
	other := Contact{ID{1: 1}, peerAt(300)}
	other.ID[0] = honest.ID[0] ^ 1
	l.add(other, 1)
	c := l.candidates[1]
	l.begin(start, c)
	if l.is(c, honest.ID); l.candidates[0] != c || !c.fits || l.groups[groupOf(c.Addr)] != 1 {
		t.Errorf("who has said that it is closer has not moved: %+v", l.candidates)
	}
}

// A node that was said to be another one is listened to all the same.
func TestTheAnswerOfANodeWhoseIDWasWrongCounts(t *testing.T) {
	n := newAlone(t, Config{})
	known, hash := Contact{idFor(peerAt(1).Addr(), testRand()), peerAt(1)}, ID{7}
	n.enter(known)
	n.Search(hash, 1)
	asked := n.questions()
	hidden, peer := peerAt(300), peerAt(600)
	m := message{kind: answer, id: known.ID, transaction: asked[known.Addr].transaction, nodes: [2][]Contact{{{ID{8}, hidden}}, nil}}
	asked = n.sent(n.Handle(n.now, m.bytes(), known.Addr))
	if asked[hidden].method != getPeers {
		t.Fatalf("asked are %v", asked)
	}
	m = message{kind: answer, id: ID{9}, transaction: asked[hidden].transaction, values: []netip.AddrPort{peer}}
	if fx := n.Handle(n.now, m.bytes(), hidden); len(fx.Found) != 1 || !slices.Equal(fx.Found[0].Addrs, []netip.AddrPort{peer}) {
		t.Errorf("found %v", fx.Found)
	}
}

// What a node of the Internet says of peers in local networks is of its own
// network, or a lie that would have ours called at.
func TestPeersInLocalNetworksAreTakenOfLocalNodesAlone(t *testing.T) {
	for at, want := range map[string]int{"20.0.0.1:6881": 1, "10.0.0.1:6881": 2} {
		n := newAlone(t, Config{})
		known := Contact{idFor(netip.MustParseAddrPort(at).Addr(), testRand()), netip.MustParseAddrPort(at)}
		n.enter(known)
		n.Search(ID{7}, 1)
		m := message{
			kind: answer, id: known.ID, transaction: n.questions()[known.Addr].transaction,
			values: []netip.AddrPort{peerAt(600), netip.MustParseAddrPort("192.168.0.1:80")},
		}
		if fx := n.Handle(n.now, m.bytes(), known.Addr); len(fx.Found) != 1 || len(fx.Found[0].Addrs) != want {
			t.Errorf("of %s, found %v", at, fx.Found)
		}
	}
}
