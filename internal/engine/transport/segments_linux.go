package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxSegments is how many packets the kernel takes at once, and maxBurst how
// many bytes.
const (
	maxSegments = 64
	maxBurst    = 63 << 10
)

// segmentInfo is how much room is needed for what the kernel says of packets
// that it hands over together.
const segmentInfo = 64

// segments sends packets of one size to one address with one system call
// (UDP_SEGMENT), and has those that came so read at once (UDP_GRO), where the
// kernel can.
type segments struct {
	can bool
	mu  sync.Mutex
	b   []byte // The packets that leave at once,
	how []byte // and of which size they are.
}

// open looks what the kernel can.
func (s *segments) open(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // Fails only if the socket is closed.
		_, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		s.can = err == nil
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1) // Without it they come one by one.
	})
	s.how = make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.how[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
}

// send sends packets to one address.
func (s *segments) send(conn *net.UDPConn, bs [][]byte, to netip.AddrPort) error {
	for len(bs) > 0 {
		n := 1
		if s.can {
			n = alike(bs)
		}
		if n == 1 || s.together(conn, bs[:n], to) != nil {
			for _, b := range bs[:n] {
				if _, err := conn.WriteToUDPAddrPort(b, to); err != nil {
					return err
				}
			}
		}
		bs = bs[n:]
	}
	return nil
}

// alike is how many of the first packets can leave at once: they have the same
// size, but for the last, which may be shorter.
func alike(bs [][]byte) int {
	size := len(bs[0])
	for n, sum := 1, size; n < len(bs); n++ {
		sum += len(bs[n])
		if n == maxSegments || sum > maxBurst || len(bs[n]) > size {
			return n
		}
		if len(bs[n]) < size {
			return n + 1
		}
	}
	return len(bs)
}

// together sends packets at once. It fails where the path can't take them so.
func (s *segments) together(conn *net.UDPConn, bs [][]byte, to netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = s.b[:0]
	for _, b := range bs {
		s.b = append(s.b, b...)
	}
	binary.NativeEndian.PutUint16(s.how[unix.CmsgLen(0):], uint16(len(bs[0])))
	_, _, err := conn.WriteMsgUDPAddrPort(s.b, s.how, to)
	return err
}

// segmentSize returns of which size packets are that were read at once; 0 if
// it was one.
func segmentSize(more []byte) int {
	if len(more) < unix.CmsgLen(4) {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&more[0]))
	if h.Level != unix.IPPROTO_UDP || h.Type != unix.UDP_GRO {
		return 0
	}
	return int(binary.NativeEndian.Uint32(more[unix.CmsgLen(0):]))
}
