package peerconn

import (
	"fmt"
	"net"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// writer is the state of the writing goroutine.
type writer struct {
	spare   []byte    // The other one of two buffers: one fills while one leaves.
	written time.Time // When something was last written.
	expires time.Time // The deadline set for writing.
	told    time.Time // When the reader was last woken.
	timer   *time.Timer

	// credit is how many bytes of payload have been paid for. The last of
	// them may be used when due has come.
	credit int
	due    time.Time

	parts [2][]byte
	bufs  net.Buffers // Of parts: what is being written.
}

// write writes until the connection ends, and returns why. All small messages
// that wait leave before the next block.
func (c *Conn) write() error {
	w := &c.writer
	w.written = time.Now()
	w.timer = time.NewTimer(keepAliveInterval)
	defer w.timer.Stop()
	for {
		small, next, serving := c.work()
		var err error
		switch {
		case len(small) > 0:
			err = c.transmit(small, nil)
			w.spare = reusable(small)
		case serving:
			err = c.serve(next)
		default:
			err = c.idle()
		}
		if err != nil {
			return err
		}
	}
}

// work returns what there is to do: small messages, which are the writer's
// now, and the block that comes next, which stays in the queue.
func (c *Conn) work() (small []byte, next serve, serving bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unsent) > 0 {
		small, c.unsent, c.writer.spare = c.unsent, c.writer.spare[:0], nil
	}
	next, serving = c.serves.first()
	return small, next, serving
}

// reusable returns b's memory, unless it is too much to keep.
func reusable(b []byte) []byte {
	if cap(b) > bodyStep {
		return nil
	}
	return b[:0]
}

// idle waits for something to do, and keeps the connection alive meanwhile.
func (c *Conn) idle() error {
	w := &c.writer
	c.tell(true)
	elapsed, err := c.wait(keepAliveInterval - time.Since(w.written))
	if !elapsed || err != nil {
		return err
	}
	return c.transmit(wire.Append(nil, wire.Message{ID: wire.KeepAlive}), nil)
}

// serve sends the block that comes next if all of it has been paid for, and
// otherwise pays for some of it.
func (c *Conn) serve(next serve) error {
	w := &c.writer
	if missing := int(next.length) - w.credit; missing > 0 {
		n := c.up.slice(missing)
		now := time.Now()
		w.due = now.Add(c.up.reserve(now, n))
		w.credit += n
	}
	if d := time.Until(w.due); d > 0 {
		c.tell(true)
		_, err := c.wait(d)
		return err // The next round sees whether there is something more urgent.
	}
	if w.credit < int(next.length) {
		return nil
	}
	c.mu.Lock()
	now, ok := c.serves.first()
	if ok = ok && now == next; ok {
		c.serves.pop()
	}
	c.mu.Unlock()
	if !ok {
		return nil // It has just been taken back.
	}
	w.credit -= int(next.length)
	return c.sendBlock(wire.Message{ID: wire.Piece, Index: next.index, Begin: next.begin, Length: next.length})
}

// sendBlock reads a block and sends it.
func (c *Conn) sendBlock(m wire.Message) error {
	b := buffers.Get().(*[wire.MaxBlock]byte)
	defer buffers.Put(b)
	block := b[:m.Length]
	if err := c.source.ReadBlock(block, m.Index, m.Begin); err != nil {
		return &Error{ReasonUnreadable, fmt.Errorf("reading %d bytes at %d of piece %d: %w", m.Length, m.Begin, m.Index, err)}
	}
	w := &c.writer
	w.spare = wire.Append(w.spare[:0], m)
	if err := c.transmit(w.spare, block); err != nil {
		return err
	}
	c.mu.Lock()
	c.sent = append(c.sent, Received{Msg: m, Sent: true})
	c.mu.Unlock()
	c.tell(false)
	return nil
}

// tell wakes the reader if it waits and there are blocks that have left and of
// which the sink does not know: now, or if the last time is some time ago.
func (c *Conn) tell(now bool) {
	w := &c.writer
	if !now && w.written.Sub(w.told) < sentInterval {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) > 0 && c.blocked {
		_ = c.conn.SetReadDeadline(past) // Fails only if the connection has ended.
		c.armed, c.blocked = time.Time{}, false
		w.told = w.written
	}
}

// wait waits for d, and returns true, or for something to do.
func (c *Conn) wait(d time.Duration) (elapsed bool, err error) {
	c.writer.timer.Reset(d)
	select {
	case <-c.writer.timer.C:
		return true, nil
	case <-c.wake:
		return false, nil
	case <-c.ctx.Done():
		return false, c.ctx.Err()
	}
}

// transmit writes head and then block in one go.
func (c *Conn) transmit(head, block []byte) error {
	w := &c.writer
	w.written = time.Now()
	if w.expires.Sub(w.written) < writeTimeout-deadlineSlack {
		w.expires = w.written.Add(writeTimeout)
		if err := c.conn.SetWriteDeadline(w.expires); err != nil {
			return err
		}
	}
	w.parts[0], w.parts[1] = head, block
	w.bufs = w.parts[:]
	if block == nil {
		w.bufs = w.parts[:1]
	}
	_, err := w.bufs.WriteTo(c.conn)
	return err
}
