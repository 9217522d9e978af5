package wire

import "net/netip"

// HostOf returns the addresses that one host is taken to have: an address of
// IPv4, a /64 of IPv6, whatever its zone. It is the zero Prefix for the zero
// address alone.
func HostOf(a netip.Addr) netip.Prefix {
	host, _ := a.Prefix(min(a.BitLen(), 64))
	return host
}
