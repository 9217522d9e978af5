package tracker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func addrs(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

func TestBEP23ACompactReply(t *testing.T) {
	r, err := parseReply([]byte("d8:completei3e10:incompletei4e8:intervali1800e12:min intervali600e" +
		"5:peers12:\x0a\x00\x00\x01\x1a\xe1\x0a\x00\x00\x02\x1a\xe210:tracker id2:id15:warning message4:slowe"))
	if err != nil {
		t.Fatal(err)
	}
	if want := addrs("10.0.0.1:6881", "10.0.0.2:6882"); !slices.Equal(r.Addrs, want) {
		t.Errorf("addresses %v, want %v", r.Addrs, want)
	}
	if r.Interval != 30*time.Minute || r.MinInterval != 10*time.Minute || r.Seeds != 3 || r.Peers != 4 || r.TrackerID != "id" || r.Warning != "slow" {
		t.Errorf("%+v", r)
	}
}

func TestBEP3ADictionaryReply(t *testing.T) {
	r, err := parseReply([]byte("d8:intervali60e5:peersl" +
		"d2:ip8:10.0.0.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti6881ee" +
		"d2:ip11:2001:db8::14:porti6882ee" +
		"d2:ip9:10.0.0.1x4:porti1ee" + // Not an address.
		"d2:ip15:::ffff:10.0.0.94:porti1ee" +
		"d2:ip11:example.com4:porti1ee" + // A name is not looked up.
		"d2:ip8:10.0.0.14:porti0ee" + "d2:ip8:10.0.0.14:porti65536ee" + "d2:ip8:10.0.0.14:porti-1ee" +
		"d2:ip8:10.0.0.14:port4:6881e" + "d4:porti6881ee" + "de" + "4:spami7ele" + "ee"))
	if err != nil {
		t.Fatal(err)
	}
	if want := addrs("10.0.0.1:6881", "[2001:db8::1]:6882", "10.0.0.9:1"); !slices.Equal(r.Addrs, want) {
		t.Errorf("addresses %v, want %v", r.Addrs, want)
	}
	if r.Seeds != -1 || r.Peers != -1 || r.TrackerID != "" || r.Warning != "" {
		t.Errorf("things that the tracker did not say: %+v", r)
	}
}

func TestBEP7Peers6(t *testing.T) {
	six := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + "\x1a\xe1"
	for _, body := range []string{
		"d8:intervali60e5:peers6:\x0a\x00\x00\x01\x1a\xe16:peers618:" + six + "e",
		"d8:intervali60e5:peersld2:ip8:10.0.0.14:porti6881eee6:peers618:" + six + "e",
	} {
		r, err := parseReply([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if want := addrs("10.0.0.1:6881", "[2001:db8::1]:6881"); !slices.Equal(r.Addrs, want) {
			t.Errorf("addresses %v, want %v", r.Addrs, want)
		}
	}
}

func TestAddressesOfNobodyAreLeftOut(t *testing.T) {
	r, err := parseReply([]byte("d8:intervali60e5:peers30:" +
		"\x0a\x00\x00\x01\x00\x00" + // Port 0.
		"\x00\x00\x00\x00\x00\x01" + "\xe0\x00\x00\x01\x00\x01" + "\xff\xff\xff\xff\x00\x01" +
		"\x7f\x00\x00\x01\x00\x01" + "e"))
	if err != nil {
		t.Fatal(err)
	}
	if want := addrs("127.0.0.1:1"); !slices.Equal(r.Addrs, want) {
		t.Errorf("addresses %v, want %v", r.Addrs, want)
	}
}

func TestIntervalsAreMovedIntoBounds(t *testing.T) {
	for _, c := range []struct {
		fields         string
		every, atLeast time.Duration
	}{
		{"", defaultInterval, defaultMinimum},
		{"8:intervali0e", defaultInterval, defaultMinimum},
		{"8:intervali-5e", defaultInterval, defaultMinimum},
		{"8:interval4:1800", defaultInterval, defaultMinimum},
		{"8:intervali99999999999999999999e", defaultInterval, defaultMinimum},
		{"8:intervali1e", shortest, shortest},
		{"8:intervali9e", shortest, shortest},
		{"8:intervali10e", shortest, shortest},
		{"8:intervali11e", 11 * time.Second, 11 * time.Second},
		{"8:intervali86400e", longest, defaultMinimum},
		{"8:intervali86401e", longest, defaultMinimum},
		{"8:intervali9223372036854775807e", longest, defaultMinimum},
		{"8:intervali1800e12:min intervali900e", 1800 * time.Second, 900 * time.Second},
		{"8:intervali600e12:min intervali900e", 900 * time.Second, 900 * time.Second},
		{"8:intervali600e12:min intervali0e", 600 * time.Second, defaultMinimum},
		{"8:intervali600e12:min intervali1e", 600 * time.Second, shortest},
		{"8:intervali600e12:min intervali9223372036854775807e", longest, longest},
	} {
		r, err := parseReply([]byte("d" + c.fields + "e"))
		if err != nil || r.Interval != c.every || r.MinInterval != c.atLeast {
			t.Errorf("%s: %v at least %v (%v), want %v at least %v", c.fields, r.Interval, r.MinInterval, err, c.every, c.atLeast)
		}
	}
}

func TestBEP31AFailureSaysWhenToComeBack(t *testing.T) {
	for body, want := range map[string]FailureError{
		"d14:failure reason7:go awaye":                     {Reason: "go away"},
		"d14:failure reason7:go away8:retry ini5ee":        {Reason: "go away", RetryIn: 5 * time.Minute},
		"d14:failure reason7:go away8:retry in5:nevere":    {Reason: "go away", Never: true},
		"d14:failure reason7:go away8:retry in5:latere":    {Reason: "go away"},
		"d14:failure reason7:go away8:retry ini-5ee":       {Reason: "go away"},
		"d14:failure reason7:go away8:retry ini99999999ee": {Reason: "go away", RetryIn: longest},
		"d14:failure reason0:e":                            {Reason: "it gave no reason"},
		"d14:failure reasoni4ee":                           {Reason: "it gave no reason"},
		"d14:failure reason4:\x1b[2Je":                     {Reason: "?[2J"},
	} {
		_, err := parseReply([]byte(body))
		var got *FailureError
		if !errors.As(err, &got) {
			t.Errorf("%q: %v", body, err)
		} else if *got != want {
			t.Errorf("%q: %+v, want %+v", body, *got, want)
		}
	}
}

func TestWhatIsNoReplyIsRefused(t *testing.T) {
	for _, body := range []string{
		"", "<html>404</html>", "i5e", "le", "5:peers", "d8:intervali60e", "d8:intervali60eetrailing",
		"d5:peers5:abcdee", "d5:peers7:abcdefge", "d6:peers617:abcdefghijklmnopqe", "d5:peersi5ee", "d5:peersdee",
		"2147483647:x", "d5:peers2147483647:xe",
		strings.Repeat("l", maxDepth+1) + strings.Repeat("e", maxDepth+1),
		"d8:intervali1e8:intervali2ee",
	} {
		if r, err := parseReply([]byte(body)); !errors.Is(err, errNotReply) {
			t.Errorf("%.60q: %+v, %v", body, r, err)
		}
	}
}

func TestNoMoreAddressesThanTheLimitAreTaken(t *testing.T) {
	for _, n := range []int{maxPeers - 1, maxPeers, maxPeers + 1, 10 * maxPeers} {
		four := strings.Repeat("\x0a\x00\x00\x01\x1a\xe1", n)
		list := strings.Repeat("d2:ip8:10.0.0.14:porti6881ee", n)
		six := strings.Repeat(strings.Repeat("\x20", 18), n)
		for _, body := range []string{
			fmt.Sprintf("d5:peers%d:%se", len(four), four),
			fmt.Sprintf("d5:peersl%see", list),
			fmt.Sprintf("d6:peers6%d:%se", len(six), six),
			fmt.Sprintf("d5:peers%d:%s6:peers6%d:%se", len(four), four, len(six), six),
		} {
			r, err := parseReply([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Addrs) > maxPeers || len(r.Addrs) < min(n, maxPeers) {
				t.Errorf("%d addresses of %d", len(r.Addrs), n)
			}
		}
	}
}

func TestTextsAndIDsAreBounded(t *testing.T) {
	for _, n := range []int{maxTrackerID - 1, maxTrackerID, maxTrackerID + 1} {
		id := strings.Repeat("i", n)
		r, err := parseReply(fmt.Appendf(nil, "d10:tracker id%d:%se", n, id))
		if err != nil || (r.TrackerID == id) != (n <= maxTrackerID) || len(r.TrackerID) > maxTrackerID {
			t.Errorf("a tracker id of %d bytes: %d are kept (%v)", n, len(r.TrackerID), err)
		}
	}
	_, err := parseReply([]byte("d14:failure reason100000:" + strings.Repeat("x", 100000) + "e"))
	if err == nil || len(err.Error()) > maxText+50 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"d8:intervali1800e5:peers6:\x0a\x00\x00\x01\x1a\xe1e",
		"d8:intervali1800e12:min intervali900e5:peersld2:ip8:10.0.0.14:porti6881eeee",
		"d6:peers618:aaaaaaaaaaaaaaaaaae",
		"d14:failure reason7:go away8:retry in5:nevere",
		"d8:completei1e10:incompletei2e10:tracker id1:x15:warning message1:ye",
		"d5:peers2147483647:xe", "llllllllllllllllllll", "de",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseReply(body)
		var refused *FailureError
		if err != nil {
			if !errors.Is(err, errNotReply) && !errors.As(err, &refused) {
				t.Errorf("an error of neither kind: %v", err)
			}
			if refused != nil && (refused.RetryIn < 0 || refused.RetryIn > longest || refused.Reason == "") {
				t.Errorf("%+v", refused)
			}
			return
		}
		if r.MinInterval < shortest || r.Interval < r.MinInterval || r.Interval > longest {
			t.Errorf("intervals %v, %v", r.Interval, r.MinInterval)
		}
		if len(r.Addrs) > maxPeers || len(r.TrackerID) > maxTrackerID || len(r.Warning) > maxText || r.Seeds < -1 || r.Peers < -1 {
			t.Errorf("%+v", r)
		}
		for _, a := range r.Addrs {
			if !usable(a) || a.Addr().Is4In6() {
				t.Errorf("address %v", a)
			}
		}
	})
}
