package peerconn

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/engine/limiter"
	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// Sink is what a connection delivers to. All methods are called by the
// goroutine that runs [Conn.Run], and never after it returned.
type Sink interface {
	// Claim leases the place of a block that was requested of this
	// connection and has begun to arrive: length bytes, which only the
	// connection touches until it calls Commit or Abandon with them, one of
	// them, once. Nil means that the block is not wanted any more: it is
	// thrown away, and neither follows. It may block, and nothing is read
	// meanwhile.
	Claim(index, begin, length uint32) (lease []byte)
	// ClaimAhead is Claim for a block that may come next. It does not block,
	// and returns nil too if it would have to, or if memory is short.
	ClaimAhead(index, begin, length uint32) (lease []byte)
	// Commit says that the bytes are in place. It returns whether they
	// count: false if another copy was there first.
	Commit(index, begin uint32, lease []byte) (fresh bool)
	// Abandon says that the block does not come after all, or not whole.
	Abandon(lease []byte)
	// Deliver hands over what has left and then what has arrived, each in
	// order. It may block: meanwhile nothing is read, and Run can't return.
	// The slice is the connection's again when Deliver returns. It may call
	// c's methods.
	Deliver(c *Conn, burst []Received)
}

// Source reads blocks that are to be served.
type Source interface {
	// ReadBlock fills dst with the bytes of a piece from begin on: one block,
	// or several that follow each other. It is called by a goroutine of the
	// connection and may block. An error ends the connection.
	ReadBlock(dst []byte, index, begin uint32) error
}

// Received is one thing that happened on a connection. With neither Block nor
// Sent it is the message Msg of the peer; keep-alives and messages of unknown
// ids are not reported.
type Received struct {
	Msg   wire.Message
	Block bool // The block Msg.Index/Begin/Length has arrived.
	Fresh bool // Block: what Commit returned; false if the bytes were thrown away.
	Sent  bool // The block Msg.Index/Begin/Length has left, or an extended message of that Length.
}

// Config is what a connection is made of. All fields but Source and the
// limiters are needed.
type Config struct {
	Conn   net.Conn    // After the handshake. The connection closes it.
	Stream *mse.Stream // By which all that follows is encrypted; nil in the clear.
	Sink   Sink
	Source Source // Not needed if no piece message is ever sent.
	Fast   bool   // Both sides speak the Fast extension (BEP 6).
	// Extended says that both sides speak the extension protocol (BEP 10).
	// Otherwise its messages are skipped, like those of unknown ids.
	Extended bool
	Pieces   int // How many pieces the torrent has, or [wire.UnknownPieces].
	// Down and Up limit payload, in bytes; all of a list must agree. They
	// may be shared and changed at any time; a limiter's burst should be at
	// least [wire.MaxBlock].
	Down, Up []*rate.Limiter
}

// Conn is one connection to a peer. Its methods may be called by any
// goroutine, at any time.
type Conn struct {
	conn     net.Conn
	stream   *mse.Stream // nil in the clear.
	sink     Sink
	source   Source
	fast     bool
	extended bool
	pieces   int
	bitfield int // The bytes of one at most.
	down     limiter.All
	up       limiter.All

	ctx    context.Context // Ends with the connection: for what waits.
	cancel context.CancelFunc
	wake   chan struct{} // Capacity 1: the writer has something to do.

	reader reader // Of the goroutine that runs Run.
	writer writer // Of the writing goroutine.

	mu       sync.Mutex // Guards all below.
	ended    *Error     // Why the connection ended; nil while it lasts.
	requests requests
	serves   serves
	unsent   []byte     // Small messages that wait, encoded.
	sent     []Received // Blocks that have left and that the sink does not know of.
	since    time.Time  // When the first of sent left.
	// armed is the deadline set for reading, zero if it is in the past
	// because the writer woke the reader; blocked says that the reader waits
	// for the socket.
	armed   time.Time
	blocked bool
}

// New makes a connection. Nothing is read or written before [Conn.Run], but
// messages may be sent already and wait.
func New(cfg Config) *Conn {
	c := &Conn{
		conn: cfg.Conn, stream: cfg.Stream, sink: cfg.Sink, source: cfg.Source,
		fast: cfg.Fast, extended: cfg.Extended, pieces: cfg.Pieces,
		down: cfg.Down, up: cfg.Up,
		wake: make(chan struct{}, 1),
	}
	if c.bitfield = (c.pieces + 7) / 8; c.pieces == wire.UnknownPieces {
		c.bitfield = wire.MaxBody
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.reader.socket = newSocket(cfg.Conn)
	if c.stream != nil {
		c.reader.socket = encrypted{c.reader.socket, c.stream}
	}
	c.reader.buf = make([]byte, bufferLen)
	return c
}

// Run reads and writes until the connection ends, and returns an [*Error] that
// says why. When it returns the socket is closed, what had arrived was
// delivered, and nothing of the connection runs. It is called once.
func (c *Conn) Run(ctx context.Context) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		c.end(&Error{ReasonStopped, context.Cause(ctx)})
	})
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.end(because(c.write()))
	}()
	c.end(because(c.read()))
	<-written
	if !stop() {
		<-stopped
	}
	c.flush()
	return c.ended
}

// Close ends the connection. Run returns an error with that reason, unless it
// ended for another one before. What waits to be sent is dropped. Close does
// not wait for Run to return.
func (c *Conn) Close(reason string) { c.end(&Error{reason: reason}) }

// end ends the connection for reason e, if it has not ended yet.
func (c *Conn) end(e *Error) {
	c.mu.Lock()
	first := c.ended == nil
	if first {
		c.ended = e
	}
	c.mu.Unlock()
	if first {
		c.cancel()
		c.conn.Close()
	}
}

// Send queues messages in their order and returns at once. A request also
// registers its block as outstanding, so that the peer may send it; a cancel
// lets it still arrive. A piece asks for that block (of at most
// [wire.MaxBlock] bytes) to be read and sent when its turn comes, and so does an
// extended message with a Length, which counts as that many bytes of payload:
// these keep their order among each other, all other messages overtake them,
// and when they have left a Sent is delivered, without Payload. When more
// waits than is allowed the connection ends. After the end Send does nothing.
func (c *Conn) Send(ms ...wire.Message) {
	c.mu.Lock()
	if c.ended != nil {
		c.mu.Unlock()
		return
	}
	ok := true
	for _, m := range ms {
		switch m.ID {
		case wire.Piece:
			ok = ok && c.serves.push(m)
			continue
		case wire.Extended:
			if m.Length > 0 {
				ok = ok && c.serves.push(m)
				continue
			}
		case wire.Request:
			ok = ok && c.requests.add(m)
		case wire.Cancel:
			c.requests.cancel(m)
		}
		c.unsent = wire.Append(c.unsent, m)
	}
	ok = ok && len(c.unsent) <= maxUnsent+c.bitfield
	c.mu.Unlock()
	if !ok {
		c.end(&Error{reason: ReasonOverflow})
		return
	}
	select {
	case c.wake <- struct{}{}:
	default: // The writer is awake or will be.
	}
}

// Unsend drops queued pieces, each named as it was sent, that have not begun
// to leave. For those that had, a Sent is delivered.
func (c *Conn) Unsend(ms ...wire.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range ms {
		c.serves.drop(m)
	}
}
