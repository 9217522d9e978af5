package utp

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Config is what a [Socket] is made of. Both are needed.
type Config struct {
	// Send lets packets leave to one address, in order. It does not keep them,
	// and may lose them. It may be called by any goroutine, also while Receive
	// runs.
	Send func(packets [][]byte, to netip.AddrPort)
	// Accept takes over a connection that somebody else has begun. It must not
	// wait.
	Accept func(*Conn)
}

// Socket holds all connections of one socket of UDP. Its methods may be called
// by any goroutine.
type Socket struct {
	cfg   Config
	begun time.Time // Time 0 of all links.

	mu     sync.Mutex
	closed bool
	conns  map[place]*Conn
	called []*Conn // Callers of whom nothing is known but a SYN, and some that are no more, oldest first.
}

// place is where packets of a connection come from and what id they have.
type place struct {
	addr netip.AddrPort
	id   uint16
}

// New returns a socket without connections.
func New(cfg Config) *Socket {
	return &Socket{cfg: cfg, begun: time.Now(), conns: map[place]*Conn{}}
}

func (s *Socket) now() time.Duration { return time.Since(s.begun) }

// Close ends all connections and takes no more. What they still had to send is
// lost.
func (s *Socket) Close() {
	s.mu.Lock()
	s.closed = true
	open := s.conns
	s.conns, s.called = map[place]*Conn{}, nil
	s.mu.Unlock()
	for _, c := range open {
		c.abort()
	}
}

// datagramFor is how long the packets to an address are.
func datagramFor(a netip.Addr) int {
	if a.Is4() {
		return datagram4
	}
	return datagram6
}

// Dial connects to an address. The error is a [*net.OpError].
func (s *Socket) Dial(ctx context.Context, to netip.AddrPort) (*Conn, error) {
	c := newConn(s, to)
	err := s.place(c)
	if err == nil {
		err = c.dial(ctx)
	}
	if err != nil {
		return nil, c.fail("dial", err)
	}
	return c, nil
}

// place finds an id for a connection to be dialed that no other one has in
// either direction.
func (s *Socket) place(c *Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	for range 16 {
		c.place.id = uint16(rand.Uint32())
		if len(s.conns) < maxLinks && s.around(c.place) == nil {
			s.conns[c.place] = c
			return nil
		}
	}
	return syscall.EADDRNOTAVAIL
}

// around returns a connection with an id or a neighbouring one.
func (s *Socket) around(at place) *Conn {
	for _, id := range []uint16{at.id, at.id + 1, at.id - 1} {
		if c := s.conns[place{at.addr, id}]; c != nil {
			return c
		}
	}
	return nil
}

// Receive takes packets that came from one address, in order. Strangers may have
// sent them. They are the caller's again when it returns.
func (s *Socket) Receive(packets [][]byte, from netip.AddrPort) {
	now := s.now()
	var c *Conn // Whose turn it is; its lock is held.
	for _, b := range packets {
		h, payload, err := parse(b)
		if err != nil {
			continue
		}
		if c == nil || !c.takes(&h) {
			c.release()
			if c = s.find(now, &h, from); c == nil {
				continue
			}
			c.mu.Lock()
		}
		if c.link != nil { // Nothing can be meant for one that is only about to be dialed.
			c.link.receive(now, &h, payload)
		}
	}
	c.release()
}

// find returns the connection of a packet. A SYN makes one; the sender of
// other packets to none is told that there is none.
func (s *Socket) find(now time.Duration, h *header, from netip.AddrPort) *Conn {
	at := place{from, h.id}
	s.mu.Lock()
	var evicted *Conn
	c := s.conns[at]
	switch h.kind {
	case kindSyn:
		at.id++
		if c = s.conns[at]; c == nil && !s.closed {
			c, evicted = s.call(now, h, at)
		}
	case kindReset: // It has the id of what it answers.
		if c = s.around(at); c != nil && !c.takes(h) {
			c = nil
		}
	}
	s.mu.Unlock()
	if evicted != nil {
		evicted.abort()
	}
	if c == nil && (h.kind == kindData || h.kind == kindFin) {
		s.cfg.Send([][]byte{reset(now, h)}, from)
	}
	return c
}

// call makes a connection of a SYN. Where there are too many of which no more is
// known, the oldest has to go. It returns nil if there are too many in all.
func (s *Socket) call(now time.Duration, h *header, at place) (c, evicted *Conn) {
	if len(s.conns) >= maxLinks {
		return nil, nil
	}
	if len(s.called) >= maxHalfOpen {
		if old := s.called[0]; s.conns[old.place] == old && !old.taken.Load() {
			delete(s.conns, old.place)
			evicted = old
		}
		s.called = s.called[1:]
	}
	c = newConn(s, at.addr)
	c.place, c.caller = at, true
	c.link = called(now, datagramFor(at.addr.Addr()), h, uint16(rand.Uint32()), rand.Uint32())
	s.conns[at] = c
	s.called = append(s.called, c)
	return c, evicted
}

// remove forgets a connection that has ended.
func (s *Socket) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.place] == c {
		delete(s.conns, c.place)
	}
}
