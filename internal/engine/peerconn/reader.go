package peerconn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// reader is the state of the reading goroutine.
type reader struct {
	socket   socket
	buf      []byte // Of bufferLen, or more as long as that is needed,
	spare    []byte // and one of bufferLen to take turns with it, or nil.
	from, to int    // What has been read and not yet been parsed is buf[from:to].
	ahead    ahead
	burst    []Received // What has not yet been delivered,
	payload  int        // and how many bytes of payload are in it.
	// patience is how much longer the socket may be waited for. Each byte
	// renews it, except that a block has one patience in all.
	patience time.Duration
	inBlock  bool
}

// socket is where a connection's bytes come from.
type socket interface {
	// read fills the parts, one after the other, with what has arrived. If
	// nothing has, it returns errDry, or waits if it is told to. Its last
	// byte is io.EOF.
	read(parts [][]byte, wait bool) (int, error)
}

// errDry says that the socket has nothing now.
var errDry = errors.New("nothing has arrived")

// plain is the socket of a connection of which is known only that it can be
// read. It can't tell whether it is dry, so it is taken to be.
type plain struct{ conn io.Reader }

func (s plain) read(parts [][]byte, wait bool) (int, error) {
	if !wait {
		return 0, errDry
	}
	return s.conn.Read(parts[0])
}

// scattered is a connection that can be read into many places at once. It
// returns 0 bytes if nothing has arrived and it is not to wait.
type scattered interface {
	ReadParts(parts [][]byte, wait bool) (int, error)
}

// parted is the socket of a connection of that kind.
type parted struct{ conn scattered }

func (s parted) read(parts [][]byte, wait bool) (int, error) {
	n, err := s.conn.ReadParts(parts, wait)
	if n == 0 && err == nil {
		return 0, errDry
	}
	return n, err
}

// newPlain returns the socket of a connection that is not one of the system.
func newPlain(conn net.Conn) socket {
	if c, ok := conn.(scattered); ok {
		return parted{c}
	}
	return plain{conn}
}

// encrypted is a socket of which all that is read is decrypted where it lies.
type encrypted struct {
	socket
	stream *mse.Stream
}

func (s encrypted) read(parts [][]byte, wait bool) (int, error) {
	n, err := s.socket.read(parts, wait)
	for rest := n; rest > 0; parts = parts[1:] {
		p := parts[0][:min(rest, len(parts[0]))]
		s.stream.Decrypt(p)
		rest -= len(p)
	}
	return n, err
}

// buffers have room for one block in passing: on its way out, or thrown away;
// batches and large ones for several that leave at once. Who uses one of the
// large has put something into largeUsed.
var (
	buffers   = sync.Pool{New: func() any { return room(wire.MaxBlock) }}
	batches   = sync.Pool{New: func() any { return room(smallBatch * wire.MaxBlock) }}
	large     = sync.Pool{New: func() any { return room(maxBatch * wire.MaxBlock) }}
	largeUsed = make(chan struct{}, maxLarge)
)

func room(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// past is a deadline that makes a read return at once.
var past = time.Unix(1, 0)

// read reads messages until the connection ends, and returns why.
func (c *Conn) read() error {
	c.reader.patience = idleTimeout
	defer c.giveUp()
	for {
		if err := c.readMessage(); err != nil {
			return err
		}
	}
}

// readMessage reads one message.
func (c *Conn) readMessage() error {
	r := &c.reader
	if len(r.ahead.ready) > 0 {
		return c.readExpected()
	}
	if err := c.need(wire.LengthLen); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(r.buf[r.from:])
	if length == 0 { // A keep-alive.
		r.from += wire.LengthLen
		return nil
	}
	if err := c.need(wire.HeaderLen); err != nil {
		return err
	}
	id, n := wire.ID(r.buf[r.from+wire.LengthLen]), length-1
	r.from += wire.HeaderLen
	if wire.NeedsFast(id) && !c.fast {
		return &Error{ReasonBadMessage, fmt.Errorf("a %v message without the Fast extension", id)}
	}
	if err := wire.CheckLength(id, n, c.pieces); err != nil {
		return &Error{ReasonBadMessage, err}
	}
	switch {
	case id == wire.Piece:
		return c.readBlock(n)
	case !wire.Known(id), id == wire.Extended && !c.extended:
		return c.skip(int(n))
	}
	body, err := c.body(int(n))
	if err != nil {
		return err
	}
	m, err := wire.Parse(id, body)
	if err != nil {
		return &Error{ReasonBadMessage, err}
	}
	c.note(m)
	c.received(Received{Msg: m})
	return nil
}

// note keeps the set of outstanding blocks in step with what the peer says.
func (c *Conn) note(m wire.Message) {
	if m.ID != wire.Reject && (m.ID != wire.Choke || c.fast) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.ID == wire.Reject {
		c.requests.take(m)
	} else {
		c.requests.choked()
	}
}

// readBlock reads a piece message with a body of n bytes, of which nothing has
// been read.
func (c *Conn) readBlock(n uint32) error {
	r := &c.reader
	if err := c.need(wire.PieceHeaderLen - wire.HeaderLen); err != nil {
		return err
	}
	m := wire.ParsePiece(r.buf[r.from:], n)
	r.from += wire.PieceHeaderLen - wire.HeaderLen
	c.mu.Lock()
	inOrder := c.requests.first(m)
	asked := c.requests.take(m)
	c.mu.Unlock()
	if !asked {
		return unrequested(m)
	}
	if inOrder {
		r.ahead.count = max(r.ahead.count, 1)
	}
	if lease := c.sink.Claim(m.Index, m.Begin, m.Length); lease != nil {
		return c.fill(m, lease, 0)
	}
	r.patience, r.inBlock = blockTimeout, true
	defer func() { r.patience, r.inBlock = idleTimeout, false }()
	if err := c.skip(int(m.Length)); err != nil {
		return err
	}
	c.received(Received{Msg: m, Block: true})
	return nil
}

// readExpected reads what is missing of a block that was expected.
func (c *Conn) readExpected() error {
	a := &c.reader.ahead
	e := a.ready[0]
	a.ready = append(a.ready[:0], a.ready[1:]...)
	c.mu.Lock()
	asked := c.requests.take(e.m)
	c.mu.Unlock()
	if !asked { // A reject took it back, and the block came even so.
		c.sink.Abandon(e.lease)
		return unrequested(e.m)
	}
	return c.fill(e.m, e.lease, e.have)
}

// fill reads a block into its lease, of which the first bytes are there.
func (c *Conn) fill(m wire.Message, lease []byte, have int) error {
	r := &c.reader
	r.patience, r.inBlock = blockTimeout, true
	defer func() { r.patience, r.inBlock = idleTimeout, false }()
	if err := c.payload(lease[have:m.Length]); err != nil {
		c.sink.Abandon(lease)
		return err
	}
	c.received(Received{Msg: m, Block: true, Fresh: c.sink.Commit(m.Index, m.Begin, lease)})
	return nil
}

func unrequested(m wire.Message) error {
	return &Error{ReasonUnrequested, fmt.Errorf("%d bytes at %d of piece %d", m.Length, m.Begin, m.Index)}
}

// payload fills p with a block, as fast as the limits allow.
func (c *Conn) payload(p []byte) error {
	for len(p) > 0 {
		n := c.down.Slice(len(p))
		if err := c.pay(n); err != nil {
			return err
		}
		if err := c.full(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// pay waits until n bytes of payload may be read.
func (c *Conn) pay(n int) error {
	for _, l := range c.down {
		if l.AllowN(time.Now(), n) {
			continue
		}
		c.flush()
		if err := l.WaitN(c.ctx, n); err != nil {
			return fmt.Errorf("waiting for the download limit: %w", err)
		}
	}
	return nil
}

// full fills p with what comes next.
func (c *Conn) full(p []byte) error {
	r := &c.reader
	n := copy(p, r.buf[r.from:r.to])
	r.from += n
	for p = p[n:]; len(p) > 0; p = p[n:] {
		r.shrink()
		parts, blocks := c.plan(p)
		got, err := c.receive(parts)
		if err != nil {
			got = 0
		}
		n = min(got, len(p))
		c.settle(blocks, got-n)
		if n < len(p) {
			r.ahead.slower()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shrink gives back a buffer that was long, once little or nothing is in it.
func (r *reader) shrink() {
	if len(r.buf) > bufferLen {
		r.buf, r.spare = r.spare, nil
	}
}

// skip throws away the n bytes that come next.
func (c *Conn) skip(n int) error {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	for n > 0 {
		k := min(n, len(*b))
		if err := c.payload((*b)[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// body returns the n bytes that come next. They are valid until the next read.
func (c *Conn) body(n int) ([]byte, error) {
	r := &c.reader
	if n <= bufferLen {
		if err := c.need(n); err != nil {
			return nil, err
		}
		r.from += n
		return r.buf[r.from-n : r.from], nil
	}
	var b []byte
	for len(b) < n {
		k := len(b)
		b = append(b, make([]byte, min(bodyStep, n-k))...)
		if err := c.full(b[k:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// need reads until n bytes, at most bufferLen, are in the buffer.
func (c *Conn) need(n int) error {
	r := &c.reader
	if r.to-r.from >= n {
		return nil
	}
	rest := r.buf[r.from:r.to]
	if len(rest) <= bufferLen {
		r.shrink()
	}
	r.from, r.to = 0, copy(r.buf, rest)
	for r.to < n {
		r.ahead.parts = append(r.ahead.parts[:0], r.buf[r.to:])
		got, err := c.receive(r.ahead.parts)
		if err != nil {
			return err
		}
		r.to += got
	}
	return nil
}

// receive fills the parts with what arrives. When the socket is dry it first
// delivers what it has, and then waits.
func (c *Conn) receive(parts [][]byte) (int, error) {
	r := &c.reader
	var begun time.Time
	for wait := false; ; {
		n, err := r.socket.read(parts, wait)
		if wait {
			c.mu.Lock()
			c.blocked = false
			c.mu.Unlock()
			r.patience -= time.Since(begun)
		}
		if n > 0 {
			if !r.inBlock {
				r.patience = idleTimeout
			}
			return n, nil
		}
		if !errors.Is(err, errDry) && !c.woken(err) {
			return 0, err
		}
		c.flush()
		begun = time.Now()
		wait = c.arm(begun.Add(r.patience))
	}
}

// arm prepares the reader to wait for the socket until about the deadline. It
// returns false if there is something to deliver first.
func (c *Conn) arm(deadline time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) > 0 {
		return false
	}
	if d := deadline.Sub(c.armed); d > deadlineSlack || d < 0 {
		_ = c.conn.SetReadDeadline(deadline) // Fails only if the connection has ended, as the next read tells.
		c.armed = deadline
	}
	c.blocked = true
	return true
}

// woken says whether a read ended with err because the writer wanted it to.
func (c *Conn) woken(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.armed.IsZero()
}

// received adds to the burst, and delivers it when it is full.
func (c *Conn) received(x Received) {
	r := &c.reader
	r.burst = append(r.burst, x)
	r.payload += len(x.Msg.Payload)
	if len(r.burst) >= maxBurst || r.payload >= maxBurstPayload {
		c.flush()
	}
}

// flush delivers what has left and arrived since the last time. What has left
// comes first: it was asked for in messages that were delivered before, and
// makes room for those that ask for more.
func (c *Conn) flush() {
	r := &c.reader
	c.mu.Lock()
	if len(c.sent) > 0 {
		r.burst = slices.Insert(r.burst, 0, c.sent...)
		c.sent = c.sent[:0]
	}
	c.mu.Unlock()
	if len(r.burst) > 0 {
		c.sink.Deliver(c, r.burst)
		clear(r.burst)
		r.burst, r.payload = r.burst[:0], 0
	}
}
