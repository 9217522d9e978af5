package cli

import (
	"fmt"
	"net/netip"
	"strings"
)

// networks is a flag's value in CIDR notation. The flag may be given several
// times.
type networks []netip.Prefix

// Set adds what a person wrote.
func (n *networks) Set(text string) error {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("%q is no network: write it as 10.0.0.0/8 or 2001:db8::/32, and a single address as 10.0.0.1/32", text)
	}
	*n = append(*n, p)
	return nil
}

// String returns the networks, separated by commas.
func (n *networks) String() string {
	var parts []string
	for _, p := range *n {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, ",")
}

// Type names the kind of value in help.
func (n *networks) Type() string { return "CIDR" }
