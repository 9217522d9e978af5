package webseed

import (
	"context"
	"sync"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// Sink is what a connection delivers to. Its methods are called by several
// goroutines at once, and never after [Conn.Run] returned.
type Sink interface {
	// Wants says whether a piece is not there yet. It does not block.
	Wants(piece int) bool
	// Claim leases the place of a block that is about to arrive: length bytes,
	// which only the connection touches until it calls Commit or Abandon with
	// them, one of them, once. Nil means that the block is not wanted. It may
	// block.
	Claim(index, begin, length uint32) (lease []byte)
	// Commit says that the bytes are in place. It returns whether they count:
	// false if another copy was there first.
	Commit(index, begin uint32, lease []byte) (fresh bool)
	// Abandon says that the block does not come after all, or not whole.
	Abandon(lease []byte)
	// Deliver hands over what has arrived, in order. It may block. The slice
	// is the connection's again when it returns.
	Deliver(burst []Received)
}

// Received is one thing that a connection says: the block Msg.Index/Begin/Length
// has arrived, if Msg is a piece message, or else what a peer would say.
type Received struct {
	Msg   wire.Message
	Fresh bool // Of a block: what Commit returned; false if the bytes were thrown away.
}

// Conn is one connection to a web seed, as the swarm sees it: several requests
// over HTTP at a time, or one after another, until the first of them fails. Its
// methods may be called by any goroutine, at any time.
type Conn struct {
	seed   *Seed
	sink   Sink
	ctx    context.Context // Ends with the connection.
	cancel context.CancelFunc

	mu    sync.Mutex // Guards all below.
	news  sync.Cond  // Signalled when something below changes that is waited for.
	ended *Error     // Why the connection ended; nil while it lasts.
	queue []wire.Message
	jobs  []*job
}

// Connect makes a connection. It says nothing before [Conn.Run], but may be sent
// requests already.
func (s *Seed) Connect(sink Sink) *Conn {
	c := &Conn{seed: s, sink: sink}
	c.news.L = &c.mu
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Run says what the seed has and gets what is asked for, until the connection
// ends. It returns an [*Error] that says why; [Seed.After] says what follows from
// it. When it returns nothing of the connection runs. It is called once.
func (c *Conn) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.end(&Error{text: "stopped", kind: closed, err: context.Cause(ctx)}) })
	defer stop()
	defer c.cancel()
	if c.seed.knowsNone() {
		c.say(wire.Message{ID: wire.HaveNone}, wire.Message{ID: wire.Unchoke})
		c.end(c.seed.broken(c.readWhole()))
		return c.ended
	}
	have := wire.Message{ID: wire.HaveAll}
	if has := c.seed.has(); has != nil {
		have = wire.Message{ID: wire.Bitfield, Payload: has.Bytes()}
		again := time.AfterFunc(missingTime, func() { c.end(&Error{text: "looking again for files that were missing", kind: outdated}) })
		defer again.Stop()
	}
	c.say(have, wire.Message{ID: wire.Unchoke})
	var workers sync.WaitGroup
	for range connections {
		workers.Go(func() {
			if err := c.work(); err != nil {
				c.end(c.seed.broken(err))
			}
		})
	}
	workers.Wait()
	return c.ended
}

// say delivers what is no block.
func (c *Conn) say(ms ...wire.Message) {
	burst := make([]Received, len(ms))
	for i, m := range ms {
		burst[i].Msg = m
	}
	c.sink.Deliver(burst)
}

// Send takes requests and cancels and returns at once; other messages say
// nothing to a web server. A block that is cancelled comes all the same if it
// has begun to. When more is asked for than is allowed the connection ends. After
// the end Send does nothing.
func (c *Conn) Send(ms ...wire.Message) {
	c.mu.Lock()
	full := false
	for _, m := range ms {
		switch {
		case c.ended != nil:
		case m.ID == wire.Request && len(c.queue) == maxQueue:
			full = true
		case m.ID == wire.Request:
			c.queue = append(c.queue, m)
		case m.ID == wire.Cancel:
			c.forget(m)
		}
	}
	c.news.Broadcast()
	c.mu.Unlock()
	if full {
		c.Close("queue-overflow")
	}
}

// Unsend does nothing: nothing is ever promised to a web seed.
func (c *Conn) Unsend(...wire.Message) {}

// Close ends the connection. Run returns a [*ClosedError] with that reason,
// unless it ended for another one before. Close does not wait for Run to return.
func (c *Conn) Close(reason string) {
	c.end(&Error{text: c.seed.host + ": closed: " + reason, kind: closed, err: &ClosedError{reason}})
}

// ClosedError is wrapped by the [*Error] of a connection that was closed.
type ClosedError struct{ Reason string }

// Error returns the reason.
func (e *ClosedError) Error() string { return e.Reason }

// end ends the connection for reason e, if it has not ended yet.
func (c *Conn) end(e *Error) {
	c.mu.Lock()
	if c.ended == nil {
		c.ended = e
	}
	c.news.Broadcast()
	c.mu.Unlock()
	c.cancel()
}

// work gets one run of blocks after another until the connection ends.
func (c *Conn) work() error {
	for {
		j := c.take()
		if j == nil {
			return nil
		}
		err := c.fetch(j)
		c.done(j)
		if err != nil {
			return err
		}
	}
}
