package utp

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a connection as a [net.Conn]. A Write returns when what was written
// is queued. After Close what is queued is still sent, for some seconds.
type Conn struct {
	socket *Socket
	place  place
	caller bool        // The other side has begun it.
	taken  atomic.Bool // Accept has been called.

	mu       sync.Mutex
	link     *link // nil before it is dialed.
	timer    *time.Timer
	armed    time.Duration // When the timer fires; 0 is never.
	removed  bool
	readable sync.Cond // Also: something became of the dialing.
	writable sync.Cond
	reading  deadline
	writing  deadline
}

// deadline is until when may be waited.
type deadline struct {
	at    time.Time // Zero is forever.
	timer *time.Timer
}

// set sets a deadline. When it has come, those who wait are woken.
func (d *deadline) set(at time.Time, wake *sync.Cond) {
	d.at = at
	if d.timer != nil {
		d.timer.Stop()
	}
	if at.IsZero() {
		return
	}
	if wait := time.Until(at); wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			wake.L.Lock()
			defer wake.L.Unlock()
			wake.Broadcast()
		})
		return
	}
	wake.Broadcast()
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newConn(s *Socket, addr netip.AddrPort) *Conn {
	c := &Conn{socket: s, place: place{addr: addr}}
	c.readable.L, c.writable.L = &c.mu, &c.mu
	return c
}

// dial begins the connection, and waits until it has come about.
func (c *Conn) dial(ctx context.Context) error {
	c.mu.Lock()
	c.link = dialed(datagramFor(c.place.addr.Addr()), c.place.id, uint16(rand.Uint32()), rand.Uint32())
	c.settle()
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, c.abort)
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.link.phase == phaseDialing {
		c.readable.Wait()
	}
	switch {
	case c.link.phase == phaseOpen:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case c.link.ending == endReset:
		return syscall.ECONNREFUSED
	}
	return c.reason()
}

// takes says whether a packet from the connection's address is for it. A reset
// may have either id.
func (c *Conn) takes(h *header) bool {
	switch h.kind {
	case kindSyn:
		return c.caller && h.id+1 == c.place.id
	case kindReset:
		speak := c.place.id + 1
		if c.caller {
			speak = c.place.id - 1
		}
		return h.id == c.place.id || h.id == speak
	}
	return h.id == c.place.id
}

// release is called with the lock held, after packets were received. It answers
// them. A caller is handed over with the first packet that shows that it has
// heard us.
func (c *Conn) release() {
	if c == nil {
		return
	}
	if c.link == nil {
		c.mu.Unlock()
		return
	}
	c.settle()
	fresh := c.caller && c.link.phase == phaseOpen && !c.taken.Swap(true)
	c.mu.Unlock()
	if fresh {
		c.socket.cfg.Accept(c)
	}
}

// settle sends what is to leave, wakes those who can go on, and sets the timer.
// The lock is held.
func (c *Conn) settle() {
	l := c.link
	l.flush(c.socket.now())
	if len(l.out) > 0 {
		c.socket.cfg.Send(l.out, c.place.addr)
	}
	if l.phase == phaseEnded && !c.removed {
		c.removed = true
		c.socket.remove(c)
	}
	c.readable.Broadcast()
	if l.phase == phaseEnded || l.writable() {
		c.writable.Broadcast()
	}
	c.arm()
}

// arm sets the timer if it would fire too late.
func (c *Conn) arm() {
	switch at := c.link.wake; {
	case at == 0:
		if c.timer != nil {
			c.timer.Stop()
		}
	case c.timer == nil:
		c.armed = at
		c.timer = time.AfterFunc(at-c.socket.now(), c.expire)
	case c.armed == 0 || at < c.armed:
		c.armed = at
		c.timer.Reset(at - c.socket.now())
	}
}

// expire is called when the timer fires.
func (c *Conn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = 0
	now := c.socket.now()
	if c.link.wake == 0 || now < c.link.wake {
		c.arm()
		return
	}
	c.link.expire(now)
	c.settle()
}

// abort ends the connection at once.
func (c *Conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		c.link.closed = true
		c.link.end(endClosed)
		c.settle()
	}
}

// reason is why a connection that has ended takes and gives nothing more.
func (c *Conn) reason() error {
	switch c.link.ending {
	case endReset:
		return syscall.ECONNRESET
	case endSilent:
		return syscall.ETIMEDOUT
	case endOrderly:
		return io.EOF
	}
	return net.ErrClosed
}

func (c *Conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "utp", Addr: c.RemoteAddr(), Err: err}
}

// Read implements [net.Conn].
func (c *Conn) Read(b []byte) (int, error) { return c.ReadParts([][]byte{b}, true) }

// ReadParts fills the parts, one after the other, with what has arrived. If
// nothing has, it waits if it is told to, and returns 0 else.
func (c *Conn) ReadParts(parts [][]byte, wait bool) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		l := c.link
		switch {
		case l.closed:
			return 0, c.fail("read", net.ErrClosed)
		case wait && c.reading.passed():
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case l.ready.len() > 0:
			for _, p := range parts {
				n += l.read(p)
			}
			if l.owed {
				c.settle()
			}
			return n, nil
		case l.eof:
			return 0, io.EOF
		case l.phase == phaseEnded:
			return 0, c.fail("read", c.reason())
		case !wait:
			return 0, nil
		}
		c.readable.Wait()
	}
}

// Write implements [net.Conn].
func (c *Conn) Write(b []byte) (int, error) { return c.WriteParts([][]byte{b}) }

// WriteParts writes all parts as one Write would. It returns how many bytes were
// queued.
func (c *Conn) WriteParts(parts [][]byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range parts {
		for {
			l := c.link
			switch {
			case l.closed:
				return n, c.fail("write", net.ErrClosed)
			case l.phase == phaseEnded && l.ending != endReset && l.ending != endSilent, l.finished:
				return n, c.fail("write", syscall.EPIPE)
			case l.phase == phaseEnded:
				return n, c.fail("write", c.reason())
			case c.writing.passed():
				return n, c.fail("write", os.ErrDeadlineExceeded)
			}
			took := l.write(p)
			n += took
			if p = p[took:]; len(p) == 0 {
				break
			}
			c.settle()
			if !l.writable() && l.phase != phaseEnded {
				c.writable.Wait()
			}
		}
	}
	c.settle()
	return n, nil
}

// CloseWrite says that nothing more will be written. What comes can still be read.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link.phase == phaseEnded || c.link.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.link.finish()
	c.settle()
	return nil
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.link.close(c.socket.now())
	c.link.closed = true
	c.reading.set(time.Time{}, &c.readable)
	c.writing.set(time.Time{}, &c.writable)
	c.settle()
	c.readable.Broadcast()
	c.writable.Broadcast()
	return nil
}

// LocalAddr implements [net.Conn]. The address is not known.
func (c *Conn) LocalAddr() net.Addr { return &net.UDPAddr{} }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.place.addr) }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t) // The next one fails likewise.
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.limit(&c.reading, t, &c.readable) }

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.limit(&c.writing, t, &c.writable) }

func (c *Conn) limit(d *deadline, t time.Time, wake *sync.Cond) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link.closed {
		return c.fail("set", net.ErrClosed)
	}
	d.set(t, wake)
	return nil
}
