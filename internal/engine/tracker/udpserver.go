package tracker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ServeUDP answers announces and scrapes over UDP (BEP 15) until conn is
// closed, and returns why it ended. Nothing is remembered of who has not shown
// that it is at the address that its packets come from, and nobody is sent more
// than it sent before it has.
func (s *Server) ServeUDP(conn *net.UDPConn) error {
	if err := tellDestinations(conn); err != nil {
		return err
	}
	in, out := make([]byte, serverMaxPacket), make([]byte, 0, serverPacket)
	destination := make([]byte, unix.CmsgSpace(unix.SizeofInet6Pktinfo))
	for {
		n, told, _, from, err := conn.ReadMsgUDPAddrPort(in, destination)
		if err != nil {
			return fmt.Errorf("receiving announces over UDP: %w", err)
		}
		addr := from.Addr().Unmap().WithZone("")
		if out = s.answerPacket(out[:0], in[:n], addr); len(out) > 0 {
			conn.WriteMsgUDPAddrPort(out, destination[:told], from) //nolint:errcheck // Whoever asked is gone, or asks again.
		}
	}
}

// tellDestinations makes the system say with each packet to which of its
// addresses it was sent. Given back with the answer, it is where that comes
// from: clients take none from another address.
func tellDestinations(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("serving announces over UDP: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1) != nil { // It is a socket of IPv4.
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("serving announces over UDP: %w", err)
	}
	return nil
}

// answerPacket appends the answer to a packet from an address. What is no
// request, or has no connection ID that was given to that address, gets none
// (BEP 15, "UDP connections / spoofing").
func (s *Server) answerPacket(out, b []byte, from netip.Addr) []byte {
	r, ok := parseRequest(b)
	if !ok {
		return out
	}
	now := s.now()
	if r.Action == actionConnect {
		out = appendReplyHeader(out, actionConnect, r.Transaction)
		return binary.BigEndian.AppendUint64(out, s.connectionID(from, slot(now)))
	}
	if r.Connection != s.connectionID(from, slot(now)) && r.Connection != s.connectionID(from, slot(now)-1) {
		return out
	}
	switch {
	case r.Action == actionScrape && len(r.Hashes) == 0:
		return append(appendReplyHeader(out, actionError, r.Transaction), "a scrape must name its torrents"...)
	case r.Action == actionScrape:
		return s.scrapePacket(out, r, now)
	case r.Announce.Port == 0:
		return append(appendReplyHeader(out, actionError, r.Transaction), "port must be a number from 1 to 65535"...)
	default:
		return s.announcePacket(out, r, from, now)
	}
}

func (s *Server) announcePacket(out []byte, r packetRequest, from netip.Addr, now time.Time) []byte {
	a := r.Announce
	if a.Left < 0 { // The client does not know yet.
		a.Left = 1
	}
	want := min(a.NumWant, serverMaxNumWant)
	if want < 0 {
		want = serverNumWant
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, t, _ := s.registry.announce(now, a, netip.AddrPortFrom(from, uint16(a.Port)), want, ownFamily)
	return appendAnnounceReply(out, r.Transaction, max(time.Second, s.interval), t, found)
}

func (s *Server) scrapePacket(out []byte, r packetRequest, now time.Time) []byte {
	out = appendReplyHeader(out, actionScrape, r.Transaction)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range r.Hashes {
		t, _ := s.registry.scrape(now, h) // Nobody has one that is not known.
		out = appendScrapeEntry(out, t)
	}
	return out
}

// slot numbers the stretches of time of which each has its connection IDs. Those
// of the one before are accepted too.
func slot(now time.Time) int64 { return now.Unix() / int64(serverConnection/time.Second) }

// connectionID returns the connection ID of an address in a slot: a keyed hash,
// so that it need not be remembered and can't be guessed.
func (s *Server) connectionID(addr netip.Addr, slot int64) uint64 {
	h := hmac.New(sha256.New, s.key[:])
	ip := addr.As16()
	h.Write(binary.BigEndian.AppendUint64(ip[:], uint64(slot)))
	return binary.BigEndian.Uint64(h.Sum(nil))
}
