package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// ErrPort says that every port that may be listened on is in use.
var ErrPort = errors.New("no free port")

// The ports on which peers have always listened (BEP 3, "port").
const (
	defaultPortFirst = 6881
	defaultPortLast  = 6889
)

// listen opens a listener for each address on the first port of the range
// that is free for all of them, and for packets too if they are wanted. Without
// addresses it listens on all that the machine has: then one of the two families
// may be missing.
func listen(cfg *Config) (ls []net.Listener, packets *Packets, port int, err error) {
	addrs, first, last := cfg.Addrs, cfg.PortFirst, cfg.PortLast
	wildcard := len(addrs) == 0
	if wildcard {
		addrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for port := first; port <= last; port++ {
		ls, err := listenOn(addrs, port, wildcard)
		if err == nil && (cfg.Packets || cfg.UTP) {
			if packets, err = listenPackets(addrs, port, wildcard, cfg.Guard); err != nil {
				closeAll(ls)
			}
		}
		if err == nil {
			return ls, packets, port, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, 0, fmt.Errorf("listening for peers: %w", err)
		}
	}
	if first == last {
		return nil, nil, 0, fmt.Errorf("%w: port %d is in use by another program; choose another one", ErrPort, first)
	}
	return nil, nil, 0, fmt.Errorf("%w: all ports from %d to %d are in use by other programs; choose others", ErrPort, first, last)
}

// listenOn listens on one port of all addresses, or of none. If one is enough,
// addresses of a family that the machine does not have are left out.
func listenOn(addrs []netip.Addr, port int, oneIsEnough bool) (ls []net.Listener, err error) {
	cfg := net.ListenConfig{KeepAlive: -1} // Peers send keep-alives of their own.
	cfg.SetMultipathTCP(false)             // Plain TCP is faster, and nothing here would use more.
	for _, a := range addrs {
		network := "tcp4"
		if a.Is6() {
			network = "tcp6"
		}
		l, lerr := cfg.Listen(context.Background(), network, netip.AddrPortFrom(a, uint16(port)).String())
		if lerr == nil {
			ls = append(ls, l)
			continue
		}
		err = lerr
		if !oneIsEnough || !missing(err) {
			closeAll(ls)
			return nil, err
		}
	}
	if len(ls) == 0 {
		return nil, err
	}
	return ls, nil
}

// missing says whether err means that the machine does not have the address's
// family.
func missing(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}
