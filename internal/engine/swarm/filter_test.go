package swarm

import (
	"net/netip"
	"testing"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestFilterAllows(t *testing.T) {
	for _, c := range []struct {
		allow, deny []netip.Prefix
		addr        string
		want        bool
	}{
		{nil, nil, "1.2.3.4", true},
		{prefixes("10.0.0.0/8"), nil, "10.1.2.3", true},
		{prefixes("10.0.0.0/8"), nil, "11.1.2.3", false},
		{prefixes("10.0.0.0/8", "2001:db8::/32"), nil, "2001:db8::1", true},
		{prefixes("10.0.0.0/8"), nil, "2001:db8::1", false},
		{nil, prefixes("10.0.0.0/8"), "10.1.2.3", false},
		{nil, prefixes("10.0.0.0/8"), "11.1.2.3", true},
		{prefixes("10.0.0.0/8"), prefixes("10.1.0.0/16"), "10.1.2.3", false},
		{prefixes("10.1.0.0/16"), prefixes("10.0.0.0/8"), "10.1.2.3", false},
		{prefixes("10.0.0.0/8"), prefixes("10.1.0.0/16"), "10.2.2.3", true},
		{nil, prefixes("10.0.0.0/8"), "::ffff:10.1.2.3", false},
		{nil, prefixes("fe80::/10"), "fe80::1%eth0", false},
	} {
		f := Filter{Allow: c.allow, Deny: c.deny}
		if got := f.Allows(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("allow %v, deny %v: %s is let %v, want %v", c.allow, c.deny, c.addr, got, c.want)
		}
	}
}

// The filter holds for addresses that are found, for those who call, and for
// all that is there when it changes.
func TestFilterHoldsEverywhere(t *testing.T) {
	inside, outside := at(1), netip.MustParseAddrPort("11.0.0.1:6881")
	r := newRoom(Config{Filter: Filter{Allow: prefixes("10.0.0.0/8")}})
	if fx := r.do(Event{Kind: Found, Addrs: []netip.AddrPort{inside, outside}}); len(fx.Dial) != 1 || fx.Dial[0] != inside {
		t.Errorf("it calls %v", fx.Dial)
	}
	if st := r.s.Stats(r.now); st.Known != 1 || st.Filtered != 1 {
		t.Errorf("%+v", st)
	}
	caller := Event{Kind: Connected, Peer: 1, Addr: outside, PeerID: key("1"), Incoming: true}
	if fx := r.do(caller); len(fx.Close) != 1 || fx.Close[0].Reason != ReasonFiltered {
		t.Errorf("a caller: %v", fx.Close)
	}
	r.do(Event{Kind: Gone, Peer: 1})
	r.do(Event{Kind: Connected, Peer: 2, Addr: inside, PeerID: key("2")})
	r.s.found(many(50, 10), FromTracker)

	fx := r.do(Event{Kind: Reconfigured, Filter: Filter{Deny: prefixes("10.0.0.0/8")}})
	if len(fx.Close) != 1 || fx.Close[0] != (Close{2, ReasonFiltered}) || len(fx.Dial) != 0 {
		t.Errorf("it closes %v and calls %v", fx.Close, fx.Dial)
	}
	if err := r.s.check(); err != nil {
		t.Error(err)
	}
	if !fx.NeedPeers {
		t.Error("it does not ask for other peers")
	}
	r.do(Event{Kind: Gone, Peer: 2})
	if fx := r.do(Event{Kind: Found, Addrs: []netip.AddrPort{inside, outside}}); len(fx.Dial) != 1 || fx.Dial[0] != outside {
		t.Errorf("it calls %v", fx.Dial)
	}
	caller.Peer = 3
	if fx := r.do(caller); len(fx.Close) != 0 {
		t.Errorf("a caller: %v", fx.Close)
	}
}
