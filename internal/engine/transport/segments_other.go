//go:build !linux

package transport

import (
	"net"
	"net/netip"
)

// segmentInfo is how much room is needed for what the kernel says of packets
// that it hands over together: it never does.
const segmentInfo = 0

// segments sends packets to one address, one by one.
type segments struct{}

func (*segments) open(*net.UDPConn) {}

func (*segments) send(conn *net.UDPConn, bs [][]byte, to netip.AddrPort) error {
	for _, b := range bs {
		if _, err := conn.WriteToUDPAddrPort(b, to); err != nil {
			return err
		}
	}
	return nil
}

func segmentSize([]byte) int { return 0 }
