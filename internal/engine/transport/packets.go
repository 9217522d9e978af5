package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// maxDatagram is how many bytes of a packet are read; the rest of a longer one
// is lost. What is spoken here keeps below 1500.
const maxDatagram = 8 << 10

// Packets is the UDP socket, one for each family, at the port at which peers
// are taken over TCP. All of an engine that speaks over UDP to strangers shares
// it: they know us by that port (BEP 5, "port"). A packet goes only to an
// address that the guard allows, and is only taken from one.
type Packets struct {
	guard *Guard
	conns [2]*net.UDPConn // For IPv4 and IPv6; nil where the machine has no such thing.
	work  sync.WaitGroup
}

// listenPackets opens the sockets at a port. Of several addresses of a family
// the first counts. If one is enough, a family may be missing.
func listenPackets(addrs []netip.Addr, port int, oneIsEnough bool, guard *Guard) (*Packets, error) {
	p := &Packets{guard: guard}
	for _, a := range addrs {
		network, i := "udp4", 0
		if a.Is6() {
			network, i = "udp6", 1
		}
		if p.conns[i] != nil {
			continue
		}
		conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, uint16(port))))
		if err == nil {
			p.conns[i] = conn
		} else if !oneIsEnough || !missing(err) {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// Families says for which families there is a socket.
func (p *Packets) Families() (four, six bool) { return p.conns[0] != nil, p.conns[1] != nil }

// Send sends a packet. It doesn't wait for a network that is busy: packets get
// lost in any case.
func (p *Packets) Send(b []byte, to netip.AddrPort) error {
	if err := p.guard.Check(to.Addr()); err != nil {
		return err
	}
	conn := p.conns[0]
	if to.Addr().Unmap().Is6() {
		conn = p.conns[1]
	}
	if conn == nil {
		return errors.ErrUnsupported
	}
	_, err := conn.WriteToUDPAddrPort(b, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	return err
}

// Serve hands what comes to take, on a goroutine for each family, until Close.
// take must not keep b, and must not block for long. Serve is called once.
func (p *Packets) Serve(take func(b []byte, from netip.AddrPort)) {
	for _, conn := range p.conns {
		if conn == nil {
			continue
		}
		p.work.Go(func() {
			b := make([]byte, maxDatagram)
			for {
				n, from, err := conn.ReadFromUDPAddrPort(b)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
				if err == nil && p.guard.Check(from.Addr()) == nil {
					take(b[:n], from)
				}
			}
		})
	}
}

// Close closes the sockets. Nothing is taken after it returned.
func (p *Packets) Close() {
	for _, conn := range p.conns {
		if conn != nil {
			conn.Close()
		}
	}
	p.work.Wait()
}
