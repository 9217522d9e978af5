package swarm

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// TestCanonicalPriority holds the two examples of BEP 40.
func TestCanonicalPriority(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want uint32
	}{
		{"123.213.32.10:1", "98.76.54.32:2", 0xec2d7224},
		{"123.213.32.10:1", "123.213.32.234:2", 0x99568189},
	} {
		a, b := netip.MustParseAddrPort(c.a), netip.MustParseAddrPort(c.b)
		if got := priority(a, b); got != c.want {
			t.Errorf("%s and %s: %x, want %x", c.a, c.b, got, c.want)
		}
		if priority(a, b) != priority(b, a) {
			t.Errorf("%s and %s come to different priorities", c.a, c.b)
		}
	}
}

// BEP 40: how much of two addresses counts depends on how near they are.
func TestCanonicalPriorityMasks(t *testing.T) {
	for _, c := range []struct{ x, y, wantX, wantY string }{
		{"255.255.255.255", "1.255.255.255", "255.255.85.85", "1.255.85.85"},
		{"1.2.255.255", "1.2.3.255", "1.2.255.85", "1.2.3.85"},
		{"1.2.3.255", "1.2.3.254", "1.2.3.255", "1.2.3.254"},
		{"ffff:ffff:ffff:ffff:ffff::ffff", "1::1", "ffff:ffff:ffff:5555:5555::5555", "1::1"},
		{"1:2:3:ffff:ffff::ffff", "1:2:3::ffff", "1:2:3:ff55:5555::5555", "1:2:3::5555"},
		{"1:2:3:ffff:ffff::ffff", "1:2:3:ff00::ffff", "1:2:3:ffff:5555::5555", "1:2:3:ff00::5555"},
		{"1:2:3:4::ffff", "1:2:3:4::fffe", "1:2:3:4::ffff", "1:2:3:4::fffe"},
	} {
		x, y := netip.MustParseAddr(c.x).AsSlice(), netip.MustParseAddr(c.y).AsSlice()
		mask(x, y)
		gotX, _ := netip.AddrFromSlice(x)
		gotY, _ := netip.AddrFromSlice(y)
		if gotX != netip.MustParseAddr(c.wantX) || gotY != netip.MustParseAddr(c.wantY) {
			t.Errorf("%s and %s: %v and %v, want %s and %s", c.x, c.y, gotX, gotY, c.wantX, c.wantY)
		}
	}
}

// BEP 40: of one address, the ports count.
func TestCanonicalPriorityOfOneAddress(t *testing.T) {
	a, b, c := netip.MustParseAddrPort("1.2.3.4:1"), netip.MustParseAddrPort("1.2.3.4:2"), netip.MustParseAddrPort("1.2.3.4:3")
	if priority(a, b) != priority(b, a) || priority(a, b) == priority(a, c) {
		t.Errorf("%x, %x, %x", priority(a, b), priority(b, a), priority(a, c))
	}
	other := netip.MustParseAddrPort("[2001:db8::1]:1")
	if priority(other, netip.MustParseAddrPort("[2001:db8::1]:2")) != priority(a, b) {
		t.Error("the ports of one address count differently in IPv6")
	}
}

// When all places are taken, a newcomer of a higher canonical priority gets one
// of a lower, but for peers that are of use.
func TestWhoIsReplacedWhenAllPlacesAreTaken(t *testing.T) {
	const told = "d6:yourip4:\x09\x09\x09\x09e"
	ours := netip.MustParseAddrPort("9.9.9.9:6881")
	best, worst := 10, 10
	for n := 10; n < 200; n++ {
		if priority(ours, at(n)) > priority(ours, at(best)) {
			best = n
		}
		if priority(ours, at(n)) < priority(ours, at(worst)) {
			worst = n
		}
	}
	full := func(says string) *room {
		r := newRoom(Config{MaxPeers: 3})
		for _, n := range []int{1, 2, worst} {
			r.do(hello(n, says)...)
			r.do(Event{Kind: Received, Peer: Peer(n), Msg: wire.Message{ID: wire.Have}}) // So none is idle.
		}
		return r
	}
	closed := func(fx *Effects) string {
		s := ""
		for _, c := range fx.Close {
			s += fmt.Sprintf("%d %s ", c.Peer, c.Reason)
		}
		return s
	}
	r := full(told)
	if got, want := closed(r.do(hello(best, "de")...)), fmt.Sprintf("%d replaced ", worst); got != want {
		t.Errorf("closed %q, want %q", got, want)
	}
	r = full("de")
	if got, want := closed(r.do(hello(best, "de")...)), fmt.Sprintf("%d full ", best); got != want {
		t.Errorf("without knowing our address it closed %q, want %q", got, want)
	}
	// The lowest of all does not get in.
	r = newRoom(Config{MaxPeers: 2})
	for _, n := range []int{1, 2} {
		r.do(hello(n, told)...)
		r.do(Event{Kind: Received, Peer: Peer(n), Msg: wire.Message{ID: wire.Have}})
	}
	if got, want := closed(r.do(hello(worst, "de")...)), fmt.Sprintf("%d full ", worst); got != want {
		t.Errorf("closed %q, want %q", got, want)
	}
	// Who sends us something stays.
	r = full(told)
	for _, n := range []int{1, 2, worst} {
		r.do(Event{Kind: Received, Peer: Peer(n), Msg: wire.Message{ID: wire.Unchoke}})
		r.s.byID[Peer(n)].down.add(time.Second, 16384)
	}
	if got, want := closed(r.do(hello(best, "de")...)), fmt.Sprintf("%d full ", best); got != want {
		t.Errorf("closed %q, want %q", got, want)
	}
}

// BEP 40: what one peer says of our address is not to be trusted.
func TestOurAddressIsWhatMostPeersSay(t *testing.T) {
	a, b := netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("8.8.8.8")
	o := newOurs()
	from := func(n int) netip.Addr { return at(n).Addr() }
	for i, step := range []struct {
		from int
		says netip.Addr
		want netip.Addr
	}{
		{1, a, netip.Addr{}}, {1, a, netip.Addr{}}, {2, a, a}, {3, b, a}, {4, b, netip.Addr{}}, {5, a, a},
		{5, netip.IPv4Unspecified(), a}, {5, netip.MustParseAddr("224.0.0.1"), a}, {5, netip.Addr{}, a},
	} {
		o.hear(from(step.from), step.says)
		if got := o.address(from(1)); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	if got := o.address(netip.MustParseAddr("::1")); got.IsValid() {
		t.Errorf("nobody said %v", got)
	}
	for i := range 10 * maxVotes {
		o.hear(from(100+i), b)
	}
	if got := o.address(from(1)); got != b || len(o.said[0].m) != maxVotes {
		t.Errorf("%v, of %d votes", got, len(o.said[0].m))
	}
}

func TestOurselvesAreNotCalled(t *testing.T) {
	r := newRoom(Config{})
	us := netip.MustParseAddrPort("9.9.9.9:6881")
	r.meet("d6:yourip4:\x09\x09\x09\x09e", 1, 2)
	near := netip.MustParseAddrPort("9.9.9.9:6882")
	if fx := r.do(Event{Kind: Found, Addrs: []netip.AddrPort{us, near}}); len(fx.Dial) != 1 || fx.Dial[0] != near {
		t.Errorf("it calls %v", fx.Dial)
	}
	// An address at which we met ourselves is not called again.
	r = newRoom(Config{})
	if fx := r.do(Event{Kind: Found, Addrs: []netip.AddrPort{at(5)}}); len(fx.Dial) != 1 {
		t.Fatal("it calls nobody")
	}
	r.do(Event{Kind: DialFailed, Addr: at(5), Self: true})
	r.now = r.now.Add(2 * maxRedial)
	if fx := r.do(Event{Kind: Found, Addrs: []netip.AddrPort{at(5)}}); len(fx.Dial) != 0 {
		t.Errorf("it calls %v", fx.Dial)
	}
}

// BEP 40: among addresses of which nothing better is known, those of the highest
// canonical priority are called first, also if our own address is learned after
// them.
func TestWhoIsCalledFirst(t *testing.T) {
	const told = "d6:yourip4:\x09\x09\x09\x09e"
	ours := netip.MustParseAddrPort("9.9.9.9:6881")
	var all []netip.AddrPort
	for n := range 2 * maxDialing {
		all = append(all, at(100+n))
	}
	want := slices.SortedFunc(slices.Values(all), func(a, b netip.AddrPort) int {
		return cmp.Compare(priority(ours, b), priority(ours, a))
	})
	same := func(got, want []netip.AddrPort) bool { // Several have the same priority.
		return slices.EqualFunc(got, want, func(a, b netip.AddrPort) bool { return priority(ours, a) == priority(ours, b) })
	}
	found := Event{Kind: Found, Addrs: all, Source: FromTracker}
	r := newRoom(Config{})
	r.meet(told, 1, 2)
	if got := r.do(found).Dial; !same(got, want[:maxDialing]) {
		t.Errorf("it calls %v, want %v", got, want[:maxDialing])
	}
	r = newRoom(Config{MaxPeers: 2})
	r.meet("de", 1, 2)
	if got := r.do(found).Dial; len(got) != 0 {
		t.Fatalf("it calls %v", got)
	}
	r.do(introduces(1, told), introduces(2, told))
	if got := r.do(Event{Kind: Reconfigured, MaxPeers: 5}).Dial; !same(got, want[:3]) {
		t.Errorf("having learned its address it calls %v, want %v", got, want[:3])
	}

	// One that a tracker told of has its turn, whatever peers tell.
	r = newRoom(Config{MaxPeers: 2})
	r.meet(told, 1, 2)
	lowest, flood := want[len(want)-1], want[:len(want)-1]
	r.do(Event{Kind: Found, Addrs: []netip.AddrPort{lowest}, Source: FromTracker})
	r.do(Event{Kind: Found, Addrs: flood[:5], Source: FromPEX})
	called := r.do(Event{Kind: Reconfigured, MaxPeers: 3}).Dial[0]
	for i := 5; called != lowest && i < len(flood); i++ {
		r.do(Event{Kind: Found, Addrs: flood[i : i+1], Source: FromPEX})
		called = r.do(Event{Kind: DialFailed, Addr: called}).Dial[0]
	}
	if called != lowest {
		t.Error("it calls those alone that peers tell of")
	}
}
