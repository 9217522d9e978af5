package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/torrent-operator/torrent-operator/internal/engine/utp"
)

// maxDatagram is how many bytes are read at once: one packet of that length, or
// several that the kernel hands over together.
const maxDatagram = 64 << 10

// Packets is the UDP socket, one for each family, at the port at which peers
// are taken over TCP. All of an engine that speaks over UDP to strangers shares
// it: they know us by that port (BEP 5, "port"). A packet goes only to an
// address that the guard allows, and is only taken from one.
type Packets struct {
	guard *Guard
	conns [2]*net.UDPConn // For IPv4 and IPv6; nil where the machine has no such thing.
	many  [2]segments
	take  atomic.Pointer[func(b []byte, from netip.AddrPort)]
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
	return p.sendAll([][]byte{b}, to)
}

// sendAll sends packets to one address as [Packets.Send] would one by one.
func (p *Packets) sendAll(bs [][]byte, to netip.AddrPort) error {
	if err := p.guard.Check(to.Addr()); err != nil {
		return err
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	i := 0
	if to.Addr().Is6() {
		i = 1
	}
	if p.conns[i] == nil {
		return errors.ErrUnsupported
	}
	return p.many[i].send(p.conns[i], bs, to)
}

// Serve hands what comes, but for uTP, to take, by a goroutine for each family.
// take must not keep b, and must not block for long. Before it is called such
// packets are lost.
func (p *Packets) Serve(take func(b []byte, from netip.AddrPort)) { p.take.Store(&take) }

// start begins to read. Packets of uTP go to a socket, if there is one.
func (p *Packets) start(socket *utp.Socket) {
	for i, conn := range p.conns {
		if conn != nil {
			p.many[i].open(conn)
			p.work.Go(func() { p.read(conn, socket) })
		}
	}
}

// read reads from one socket until Close.
func (p *Packets) read(conn *net.UDPConn, socket *utp.Socket) {
	b, more := make([]byte, maxDatagram), make([]byte, segmentInfo)
	var parts [][]byte
	for {
		n, m, _, from, err := conn.ReadMsgUDPAddrPort(b, more)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if err != nil || p.guard.Check(from.Addr()) != nil {
			continue
		}
		parts = split(parts[:0], b[:n], more[:m])
		if socket != nil && utp.Is(parts[0]) {
			socket.Receive(parts, from)
		} else if take := p.take.Load(); take != nil {
			for _, part := range parts {
				(*take)(part, from)
			}
		}
	}
}

// split appends the packets that were read at once.
func split(parts [][]byte, b, more []byte) [][]byte {
	size := segmentSize(more)
	for size > 0 && len(b) > size {
		parts = append(parts, b[:size])
		b = b[size:]
	}
	return append(parts, b)
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
