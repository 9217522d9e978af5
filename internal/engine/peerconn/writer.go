package peerconn

import (
	"fmt"
	"math"
	"net"
	"slices"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// writer is the state of the writing goroutine.
type writer struct {
	spare   []byte    // The other one of two buffers: one fills while one leaves.
	written time.Time // When something was last written.
	expires time.Time // The deadline set for writing.
	timer   *time.Timer

	// credit is how many bytes of payload have been paid for. They may be
	// used when due, if it is set, has come.
	credit int
	due    time.Time

	depth int     // How many blocks leave at once.
	batch []serve // Those that are leaving,
	heads []byte  // and what comes before each of them.

	parts [][]byte    // Heads and blocks in turn,
	bufs  net.Buffers // and what is being written.
}

// write writes until the connection ends, and returns why. All small messages
// that wait leave before the next block.
func (c *Conn) write() error {
	w := &c.writer
	w.written = time.Now()
	w.timer = time.NewTimer(keepAliveInterval)
	defer w.timer.Stop()
	w.depth = 1
	for {
		small, serving := c.work()
		var err error
		switch {
		case len(small) > 0:
			err = c.transmit(small)
			w.spare = reusable(small)
		case serving:
			err = c.serve()
		default:
			err = c.idle()
		}
		if err != nil {
			return err
		}
	}
}

// work returns what there is to do: small messages, which are the writer's
// now, and whether blocks wait.
func (c *Conn) work() (small []byte, serving bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unsent) > 0 {
		small, c.unsent, c.writer.spare = c.unsent, c.writer.spare[:0], nil
	}
	return small, len(c.serves.queue) > 0
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
	elapsed, err := c.wait(keepAliveInterval - time.Since(c.writer.written))
	if !elapsed || err != nil {
		return err
	}
	return c.transmit(wire.Append(nil, wire.Message{ID: wire.KeepAlive}))
}

// serve sends the blocks that come next, as many of them as have been paid for,
// or else pays for some of them.
func (c *Conn) serve() error {
	w := &c.writer
	if !w.due.IsZero() {
		if d := time.Until(w.due); d > 0 {
			_, err := c.wait(d)
			return err // The next round sees whether there is something more urgent.
		}
		w.due = time.Time{}
	}
	c.mu.Lock()
	w.batch = c.serves.take(w.batch[:0], w.depth, w.credit)
	missing := c.serves.wanted(w.depth) - w.credit
	c.mu.Unlock()
	if len(w.batch) > 0 {
		return c.sendBlocks()
	}
	if missing <= 0 {
		return nil // What waited has just been taken back.
	}
	n := c.up.Slice(missing)
	now := time.Now()
	if d := c.up.Reserve(now, n); d > 0 {
		w.due = now.Add(d)
	}
	w.credit += n
	return nil
}

// sendBlocks sends the blocks of the batch, in as few writes as there is memory
// for.
func (c *Conn) sendBlocks() error {
	w := &c.writer
	n, pool := smallBatch, &batches
	switch {
	case len(w.batch) == 1:
		pool = &buffers
	case len(w.batch) > smallBatch:
		select {
		case largeUsed <- struct{}{}:
			defer func() { <-largeUsed }()
			n, pool = maxBatch, &large
		default:
		}
	}
	b := pool.Get().(*[]byte)
	defer pool.Put(b)
	for blocks := range slices.Chunk(w.batch, n) {
		if err := c.copyBlocks(blocks, *b); err != nil {
			return err
		}
	}
	now := time.Now()
	w.pace(now.Sub(w.written))
	c.left(now)
	c.tell(now)
	return nil
}

// copyBlocks reads blocks into payload, with one call for each run of them that
// follow each other in a piece, and sends them in one write.
func (c *Conn) copyBlocks(blocks []serve, payload []byte) error {
	w := &c.writer
	w.heads, w.parts = w.heads[:0], w.parts[:0]
	for rest := blocks; len(rest) > 0; {
		if m := rest[0].extended; m != nil {
			w.parts = append(w.parts, wire.Append(nil, *m))
			w.credit -= int(rest[0].length)
			rest = rest[1:]
			continue
		}
		n, bytes := run(rest)
		index, begin := rest[0].index, rest[0].begin
		if err := c.source.ReadBlock(payload[:bytes], index, begin); err != nil {
			return &Error{ReasonUnreadable, fmt.Errorf("reading %d bytes at %d of piece %d: %w", bytes, begin, index, err)}
		}
		for _, s := range rest[:n] {
			at := len(w.heads)
			w.heads = wire.Append(w.heads, s.message())
			w.parts = append(w.parts, w.heads[at:], payload[:s.length])
			payload = payload[s.length:]
			w.credit -= int(s.length)
		}
		rest = rest[n:]
	}
	return c.transmit(w.parts...)
}

// pace changes how many blocks leave at once so that they take about batchTime.
func (w *writer) pace(took time.Duration) {
	switch {
	case took > batchTime:
		w.depth = max(1, w.depth/2)
	case took < batchTime/2:
		w.depth = min(maxBatch, w.depth*2)
	}
}

// left notes for the sink that the batch has left.
func (c *Conn) left(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) == 0 {
		c.since = now
	}
	for _, s := range c.writer.batch {
		c.sent = append(c.sent, Received{Msg: s.message(), Sent: true})
	}
}

// tell wakes the reader if it waits and the sink has not been told for
// sentInterval that blocks have left. It returns after how long to do so again.
func (c *Conn) tell(now time.Time) (again time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) == 0 {
		return math.MaxInt64
	}
	if d := c.since.Add(sentInterval).Sub(now); d > 0 {
		return d
	}
	if c.blocked {
		_ = c.conn.SetReadDeadline(past) // Fails only if the connection has ended.
		c.armed, c.blocked = time.Time{}, false
	}
	return sentInterval
}

// wait waits for d, and returns true, or for something to do.
func (c *Conn) wait(d time.Duration) (elapsed bool, err error) {
	again := c.tell(time.Now())
	c.writer.timer.Reset(min(d, again))
	select {
	case <-c.writer.timer.C:
		return d <= again, nil
	case <-c.wake:
		return false, nil
	case <-c.ctx.Done():
		return false, c.ctx.Err()
	}
}

// gatherer is a connection that writes many parts at once, as TCP does for
// [net.Buffers].
type gatherer interface {
	WriteParts([][]byte) (int, error)
}

// transmit writes all parts in one go. If the connection is encrypted they are
// changed by it.
func (c *Conn) transmit(parts ...[]byte) error {
	w := &c.writer
	w.written = time.Now()
	if w.expires.Sub(w.written) < writeTimeout-deadlineSlack {
		w.expires = w.written.Add(writeTimeout)
		if err := c.conn.SetWriteDeadline(w.expires); err != nil {
			return err
		}
	}
	if c.stream != nil {
		for _, p := range parts {
			c.stream.Encrypt(p)
		}
	}
	if g, ok := c.conn.(gatherer); ok {
		_, err := g.WriteParts(parts)
		return err
	}
	w.bufs = parts
	_, err := w.bufs.WriteTo(c.conn)
	return err
}
