package wire_test

import (
	"net/netip"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func TestAHostHasOneAddressOfIPv4AndA64OfIPv6(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7":         "192.0.2.7/32",
		"2001:db8:1:2::1":   "2001:db8:1:2::/64",
		"2001:db8:1:2:ff::": "2001:db8:1:2::/64",
		"2001:db8:1:3::1":   "2001:db8:1:3::/64",
		"fe80::1%eth0":      "fe80::/64",
	} {
		if got := wire.HostOf(netip.MustParseAddr(addr)); got != netip.MustParsePrefix(want) {
			t.Errorf("%s is of host %s, want %s", addr, got, want)
		}
	}
	if got := wire.HostOf(netip.Addr{}); got.IsValid() {
		t.Errorf("the zero address is of host %s", got)
	}
}
