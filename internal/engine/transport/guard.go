package transport

import (
	"fmt"
	"net/netip"
	"syscall"
)

// Guard says which addresses may be connected to. An address in Allow may be,
// whatever Deny says; otherwise one in Deny may not be; all others may be. The
// nil Guard allows everything. It is not changed once it is in use.
type Guard struct {
	Deny, Allow []netip.Prefix
}

// DeniedError says that a [Guard] does not let an address be connected to.
type DeniedError struct {
	Addr   netip.Addr
	Prefix netip.Prefix // The entry of Guard.Deny that it is in.
}

// Error tells it to a person, and what an administrator can do.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("connections to %v are denied, as to all of %v: an administrator can allow them with --allow-cidrs=%v",
		e.Addr, e.Prefix, netip.PrefixFrom(e.Addr, e.Addr.BitLen()))
}

// Check returns nil if a may be connected to, and otherwise a [*DeniedError].
// An IPv4 address in the clothes of IPv6 is judged as what it is, and an
// unspecified address (0.0.0.0, ::) as the loopback address that the system
// connects to instead.
func (g *Guard) Check(a netip.Addr) error {
	if g == nil {
		return nil
	}
	a = a.Unmap().WithZone("")
	switch a {
	case netip.IPv4Unspecified():
		a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		a = netip.IPv6Loopback()
	}
	if _, ok := find(g.Allow, a); ok {
		return nil
	}
	if p, ok := find(g.Deny, a); ok {
		return &DeniedError{Addr: a, Prefix: p}
	}
	return nil
}

// find returns the first prefix that a is in.
func find(prefixes []netip.Prefix, a netip.Addr) (netip.Prefix, bool) {
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p.Contains(a) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// Control is a [net.Dialer]'s Control function: it sees each address that is
// about to be connected to, after the resolution of names. What is not an IP
// address is refused.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	if g == nil {
		return nil
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("can't tell whether %s address %q may be connected to: %w", network, address, err)
	}
	return g.Check(a.Addr())
}
