package dht

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

// under returns a node whose id shares exactly so many bits with own, at an
// address of a network of its own.
func under(own ID, bits, number int) Contact {
	rng := testRand()
	id := randomIn(own, bits, true, rng)
	id[18], id[19] = byte(number), byte(number>>8)
	return Contact{id, netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(bits), byte(number), 1}), 6881)}
}

func TestBEP5OnlyTheBucketOfOurIDIsSplit(t *testing.T) {
	var own ID
	tb := newTable(start, own)
	for i := range 20 {
		tb.answered(start, under(own, 0, i))
	}
	if n := tb.size(); n != bucketSize {
		t.Errorf("%d nodes of the far half, want %d", n, bucketSize)
	}
	for i := range 20 {
		tb.answered(start, under(own, 3, i))
	}
	if n := tb.size(); n != 2*bucketSize {
		t.Errorf("%d nodes, want %d", n, 2*bucketSize)
	}
	for i, b := range tb.buckets {
		if len(b.nodes) > bucketSize || len(b.spares) > maxSpares {
			t.Errorf("bucket %d has %d nodes and %d spares", i, len(b.nodes), len(b.spares))
		}
	}
}

func TestBEP5GoodNodesStayAndBadOnesMakeRoom(t *testing.T) {
	var own ID
	tb := newTable(start, own)
	for i := range bucketSize {
		tb.answered(start, under(own, 0, i))
	}
	tb.answered(start, under(own, 1, 0)) // So that the far half is a bucket that is not split.
	late := under(own, 0, 50)
	tb.answered(start, late)
	if tb.find(late.Addr) != nil {
		t.Fatal("a ninth node was entered")
	}
	if _, ok := tb.doubtful(start.Add(goodFor - 1)); ok {
		t.Error("good nodes are asked whether they are there")
	}
	now := start.Add(goodFor)
	first := under(own, 0, 0)
	for i := 1; i < bucketSize; i++ {
		tb.answered(now, under(own, 0, i))
	}
	tb.answered(now, late) // It still waits.
	c, ok := tb.doubtful(now)
	if !ok || c != first {
		t.Fatalf("%v is asked, want the one that was not heard of for longest, %v", c, first)
	}
	if _, ok := tb.doubtful(now); ok {
		t.Error("it is asked again at once")
	}
	tb.silent(now, first)
	if tb.find(first.Addr) == nil {
		t.Error("one silence is enough to lose the place")
	}
	tb.silent(now, first)
	if tb.find(first.Addr) != nil || tb.find(late.Addr) == nil {
		t.Error("a bad node has not made room for the one that waits")
	}
}

func TestASilentNodeIsForgottenAtLast(t *testing.T) {
	tb := newTable(start, ID{})
	c := under(ID{}, 0, 1)
	tb.answered(start, c)
	for i := range goneAfter {
		if tb.find(c.Addr) == nil {
			t.Fatalf("forgotten after %d silences", i)
		}
		if bad := len(tb.closest(start, c.ID, 8, false)) == 0; bad != (i >= badAfter) {
			t.Errorf("bad after %d silences: %v", i, bad)
		}
		tb.silent(start, c)
	}
	if tb.size() != 0 {
		t.Error("still there")
	}
}

func TestAHostHasOnePlaceAndANetworkTwoInABucket(t *testing.T) {
	tb := newTable(start, ID{})
	c := under(ID{}, 0, 1)
	tb.answered(start, c)
	same := Contact{under(ID{}, 0, 2).ID, netip.AddrPortFrom(c.Addr.Addr(), 7)}
	if tb.answered(start, same); tb.size() != 1 {
		t.Error("a host has two places")
	}
	for i := range 10 {
		n := Contact{under(ID{}, 0, 10+i).ID, netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, 1, byte(100 + i)}), 1)}
		tb.answered(start, n)
	}
	if tb.size() != maxPerGroup {
		t.Errorf("a network of 256 addresses has %d places", tb.size())
	}
	taken := Contact{c.ID, netip.MustParseAddrPort("30.0.0.1:1")}
	if tb.answered(start, taken); tb.find(taken.Addr) != nil {
		t.Error("an id was taken from the node that has it")
	}
}

func TestAnIDThatJumpsLosesItsPlace(t *testing.T) {
	tb := newTable(start, ID{})
	c := under(ID{}, 0, 1)
	for i := range 10 {
		tb.answered(start, Contact{under(ID{}, 0, i).ID, c.Addr})
		if n := tb.size(); n != (i+1)%2 {
			t.Fatalf("%d nodes after %d ids of one address", n, i+1)
		}
	}
}

func TestBEP42NodesThatFitTakeThePlacesOfThoseThatDoNot(t *testing.T) {
	rng := testRand()
	tb := newTable(start, ID{})
	fit := func(i int) Contact {
		a := netip.AddrFrom4([4]byte{30, byte(i >> 8), byte(i), 9})
		for {
			if id := idFor(a, rng); id[0]&0x80 != 0 {
				return Contact{id, netip.AddrPortFrom(a, 1)}
			}
		}
	}
	for i := range bucketSize {
		tb.answered(start, under(ID{}, 0, i))
	}
	tb.answered(start, under(ID{}, 1, 0))
	for i := range 5 * bucketSize { // Not every address has an id with that bit.
		a := netip.AddrFrom4([4]byte{30, byte(i >> 8), byte(i), 9})
		for last := range 8 {
			if prefixFor(a, byte(last))>>31 == 1 {
				tb.answered(start, fit(i))
				break
			}
		}
	}
	strays := 0
	for _, c := range tb.closest(start, ID{0x80}, bucketSize, true) {
		if !fits(c.ID, c.Addr.Addr()) {
			strays++
		}
	}
	if strays != 0 {
		t.Errorf("%d places are still held by nodes whose id does not fit", strays)
	}
}

func TestClosestIsWhatASearchThroughAllFinds(t *testing.T) {
	rng := testRand()
	own := randomID(rng)
	tb := newTable(start, own)
	var all []Contact
	for i := range 3000 {
		tb.answered(start, Contact{randomIn(own, i%12, false, rng), netip.AddrPortFrom(netip.AddrFrom4([4]byte{40, byte(i >> 8), byte(i), 1}), 1)})
	}
	for _, b := range tb.buckets {
		for _, e := range b.nodes {
			all = append(all, e.Contact)
		}
	}
	for range 200 {
		target := randomIn(own, rng.IntN(15), false, rng)
		slices.SortFunc(all, func(a, b Contact) int { return compare(target, a.ID, b.ID) })
		if got := tb.closest(start, target, 10, true); !slices.Equal(got, all[:10]) {
			t.Fatalf("closest to %v: %v, want %v", target, got, all[:10])
		}
	}
}

func TestBEP5BucketsThatAreNotFreshAreRefreshed(t *testing.T) {
	rng := testRand()
	var own ID
	tb := newTable(start, own)
	for i := range 9 {
		tb.answered(start, under(own, i%3, i))
	}
	if _, ok := tb.stale(start.Add(goodFor-1), rng); ok {
		t.Error("a bucket is stale too early")
	}
	for i := range tb.buckets {
		id, ok := tb.stale(start.Add(goodFor), rng)
		if !ok || min(common(own, id), len(tb.buckets)-1) != i {
			t.Errorf("%v is looked for, which is not in bucket %d", id, i)
		}
	}
	if _, ok := tb.stale(start.Add(goodFor), rng); ok {
		t.Error("a bucket is refreshed twice")
	}
}

func TestOurIDAndWhoHasItAreNotInTheTable(t *testing.T) {
	own := ID{7}
	tb := newTable(start, own)
	if c := (Contact{own, netip.MustParseAddrPort("20.0.0.1:1")}); tb.asked(start, c) {
		t.Error("worth to be asked")
	} else if tb.answered(start, c); tb.size() != 0 {
		t.Error("entered")
	}
}

func TestATableMovesToAnotherID(t *testing.T) {
	tb := newTable(start, ID{})
	for i := range 6 {
		tb.answered(start, under(ID{}, i%2, i))
	}
	own := ID{0x80}
	next := tb.moved(start, own)
	if next.own != own || next.size() != tb.size() {
		t.Errorf("%d of %d nodes moved", next.size(), tb.size())
	}
}
