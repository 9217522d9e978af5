package dht

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func testRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func mustID(t *testing.T, s string) (id ID) {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || !readID(&id, b) {
		t.Fatalf("%q is no id", s)
	}
	return id
}

// The table of BEP 42, "Node ID restriction".
func TestBEP42TestVectors(t *testing.T) {
	for ip, id := range map[string]string{
		"124.31.75.21": "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401",
		"21.75.31.124": "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256",
		"65.23.51.170": "a5d43220bc8f112a3d426c84764f8c2a1150e616",
		"84.124.73.14": "1b0321dd1bb1fe518101ceef99462b947a01ff41",
		"43.213.53.83": "e56f6cbf5b7c4be0237986d5243b87aa6d51305a",
	} {
		a := netip.MustParseAddr(ip)
		if !fits(mustID(t, id), a) {
			t.Errorf("%s does not fit %s", id, ip)
		}
		for _, bit := range []int{0, 20, 157} {
			other := mustID(t, id)
			setBit(&other, bit, other[bit/8]&(0x80>>(bit%8)) == 0)
			if fits(other, a) {
				t.Errorf("%s without bit %d fits %s", id, bit, ip)
			}
		}
	}
}

func TestBEP42IDsFitTheirAddressAndNoOther(t *testing.T) {
	rng := testRand()
	for _, s := range []string{"8.8.8.8", "2001:4860:4860::8888"} {
		a := netip.MustParseAddr(s)
		for range 100 {
			if id := idFor(a, rng); !fits(id, a) || fits(id, a.Next()) && a.Is4() {
				t.Fatalf("%v for %v", id, a)
			}
		}
	}
	if id := idFor(netip.MustParseAddr("2001:4860:4860::1"), rng); !fits(id, netip.MustParseAddr("2001:4860:4860::2")) {
		t.Error("the last 64 bits of an IPv6 address count")
	}
}

func TestBEP42ExemptsLocalNetworks(t *testing.T) {
	for _, s := range []string{"10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.0.1", "127.0.0.1", "::1", "fe80::1", "fd00::1"} {
		if !fits(ID{}, netip.MustParseAddr(s)) {
			t.Errorf("%s is not exempt", s)
		}
	}
	if fits(ID{}, netip.MustParseAddr("8.8.8.8")) {
		t.Error("8.8.8.8 is exempt")
	}
}

func TestPlacesAndGroups(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		a, b         string
		place, group bool
	}{
		{"8.8.8.8:1", "8.8.8.8:2", true, true},
		{"8.8.8.8:1", "8.8.8.9:1", false, true},
		{"8.8.8.8:1", "8.8.9.8:1", false, false},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:3::1]:9", true, true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false, true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:2:2::1]:1", false, false},
		{"127.0.0.1:1", "127.0.0.1:2", false, false},
	} {
		if got := placeOf(at(c.a)) == placeOf(at(c.b)); got != c.place {
			t.Errorf("one place for %s and %s: %v", c.a, c.b, got)
		}
		if got := groupOf(at(c.a)) == groupOf(at(c.b)); got != c.group {
			t.Errorf("one group for %s and %s: %v", c.a, c.b, got)
		}
	}
}

func TestWhatCannotBeSentTo(t *testing.T) {
	for _, s := range []string{"8.8.8.8:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1", "[::ffff:8.8.8.8]:1"} {
		if usable(netip.MustParseAddrPort(s)) {
			t.Errorf("%s is usable", s)
		}
	}
}

// BEP 42, "Bootstrapping": a single node can't be trusted.
func TestBEP42OurAddressIsWhatMostNetworksSay(t *testing.T) {
	ours, lie := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("9.9.9.9")
	from := func(i int) netip.AddrPort { return netip.MustParseAddrPort(fmt.Sprintf("20.%d.0.1:1", i)) }
	var v votes
	for i := range minVotes - 1 {
		if a := v.hear(from(i), ours); a.IsValid() {
			t.Fatalf("believed after %d votes", i+1)
		}
	}
	for range 10 { // One network has one vote.
		if a := v.hear(netip.MustParseAddrPort("20.0.0.77:5"), ours); a.IsValid() {
			t.Fatal("one network has several votes")
		}
	}
	if a := v.hear(from(100), ours); a != ours {
		t.Fatalf("not believed after %d votes: %v", minVotes, a)
	}
	for i := range minVotes {
		if a := v.hear(from(200+i), lie); a == lie {
			t.Fatal("as many against it as for it, and yet believed")
		}
	}
	for i := range 10 * maxVoters {
		v.hear(from(i%250), ours)
	}
	if len(v.order) > maxVoters || len(v.said) != len(v.order) {
		t.Errorf("%d voters are remembered", len(v.order))
	}
	for _, s := range []string{"192.168.1.1", "127.0.0.1", "2001:db8::1", "0.0.0.0"} {
		var v votes
		for i := range minVotes {
			if a := v.hear(from(i), netip.MustParseAddr(s)); a.IsValid() {
				t.Errorf("%s is taken for our address on the Internet", s)
			}
		}
	}
}

func TestDistance(t *testing.T) {
	var zero, one, high ID
	one[19], high[0] = 1, 0x80
	if !closer(zero, one, high) || closer(high, one, high) || common(zero, one) != 159 || common(zero, high) != 0 || common(one, one) != 160 {
		t.Error("the distance is not that of exclusive or")
	}
	rng := testRand()
	for n := range 160 {
		if id := randomIn(high, n, true, rng); common(high, id) != n {
			t.Fatalf("an id that shares %d bits shares %d", n, common(high, id))
		}
		if id := randomIn(high, n, false, rng); common(high, id) < n {
			t.Fatalf("an id that shares at least %d bits shares %d", n, common(high, id))
		}
	}
}
