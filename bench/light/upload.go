package light

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// tick is how often those who serve slowly, or not at all, look at what has
// arrived, and how finely a limit is kept.
const tick = 100 * time.Millisecond

// uploadInbox is how many bytes are read at once: almost four thousand requests.
const uploadInbox = 64 << 10

// source is what uploads have in common.
type source struct {
	*torrent
	payload *payload // Nil if nobody is served.
	lines   *lines
	first   sync.Once    // Guards the line about the first request.
	sent    atomic.Int64 // Bytes of payload.
}

// upload serves one connection.
type upload struct {
	*source
	socket *socket
	fast   bool
	have   *bitfield.Bitfield // What is said to be here. Nil for everything.

	in        inbox
	out       []byte // Messages to be sent, without blocks.
	unchoked  bool
	requests  []wire.Message // To be answered, in this order.
	head      int            // Bytes that are sent of the block of requests[0].
	requested bool           // Whether there ever was a request.
}

func (s *source) upload(socket *socket, fast bool, have *bitfield.Bitfield) *upload {
	return &upload{source: s, socket: socket, fast: fast, have: have, in: newInbox(socket, uploadInbox)}
}

// announce says what is here, in the shortest way that the other side knows.
func (u *upload) announce() error {
	m := wire.Message{ID: wire.HaveAll}
	if u.have == nil && !u.fast {
		m = wire.Message{ID: wire.Bitfield, Payload: bitfield.Full(u.info.PieceCount()).Bytes()}
	}
	if u.have != nil {
		m = wire.Message{ID: wire.Bitfield, Payload: u.have.Bytes()}
	}
	return u.socket.write(wire.Append(nil, m), false)
}

// serve answers requests as fast as it goes, until the connection ends.
func (u *upload) serve() error {
	g, err := newGather(u.socket)
	if err != nil {
		return err
	}
	defer g.close()
	if err := u.announce(); err != nil {
		return err
	}
	for {
		if err := u.read(0); err != nil {
			return err
		}
		bytes := int64(0)
		for _, r := range u.requests {
			if err := u.add(g, r); err != nil {
				return err
			}
			bytes += int64(r.Length)
		}
		if err := g.flush(); err != nil {
			return err
		}
		u.requests = u.requests[:0]
		u.sent.Add(bytes)
	}
}

// add answers a request.
func (u *upload) add(g *gather, r wire.Message) error {
	block, ok := u.block(r)
	if !ok { // Bytes that are no block as everybody cuts them.
		if err := g.flush(); err != nil {
			return err
		}
		if err := u.begin(r); err != nil {
			return err
		}
		return u.copy(r, 0, int(r.Length))
	}
	if err := g.add(u.payload.header(block)); err != nil {
		return err
	}
	for part := range u.payload.parts(u.offset(r), int(r.Length)) {
		if err := g.add(part); err != nil {
			return err
		}
	}
	return nil
}

// trickle answers requests at so many bytes a second, until the connection or
// ctx ends.
func (u *upload) trickle(ctx context.Context, limit int64) error {
	if err := u.announce(); err != nil {
		return err
	}
	due := time.Now()
	for budget := int64(0); ; {
		if err := untilTick(ctx); err != nil {
			return err
		}
		if err := u.read(unix.MSG_DONTWAIT); err != nil && !errors.Is(err, unix.EAGAIN) {
			return err
		}
		// What was not used while nobody asked is lost.
		passed := time.Since(due)
		due = due.Add(passed)
		budget = min(budget, 0) + int64(float64(limit)*passed.Seconds())
		for len(u.requests) > 0 && budget > 0 {
			r := u.requests[0]
			if u.head == 0 {
				if err := u.begin(r); err != nil {
					return err
				}
			}
			n := int(min(budget, int64(r.Length)-int64(u.head)))
			if err := u.copy(r, u.head, n); err != nil {
				return err
			}
			u.sent.Add(int64(n))
			budget -= int64(n)
			if u.head += n; u.head == int(r.Length) {
				u.head, u.requests = 0, u.requests[1:]
			}
		}
	}
}

// untilTick waits for the next of the moments that all in this process share,
// so that many wake at once, which costs less than one after another.
func untilTick(ctx context.Context) error {
	return sleep(ctx, tick-time.Duration(time.Now().UnixNano()%int64(tick)))
}

// read takes in the messages that arrive next.
func (u *upload) read(flags int) error {
	if err := u.in.fill(flags); err != nil {
		return err
	}
	u.out = u.out[:0]
	for {
		m, ok, err := u.in.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := u.handle(m); err != nil {
			return err
		}
	}
	return u.socket.write(u.out, false)
}

func (u *upload) handle(m wire.Message) error {
	switch m.ID {
	case wire.Interested:
		if !u.unchoked {
			u.unchoked = true
			u.out = wire.Append(u.out, wire.Message{ID: wire.Unchoke})
		}
	case wire.Request:
		if int(m.Index) >= u.info.PieceCount() || int64(m.Begin)+int64(m.Length) > u.info.PieceSize(int(m.Index)) {
			return fmt.Errorf("a request for %d bytes from %d on of piece %d, which are not in the torrent", m.Length, m.Begin, m.Index)
		}
		u.first.Do(func() { u.lines.say("first %d", time.Now().UnixNano()) })
		u.requested = true
		u.requests = append(u.requests, m)
	case wire.Cancel:
		k := slices.IndexFunc(u.requests, func(r wire.Message) bool {
			return r.Index == m.Index && r.Begin == m.Begin && r.Length == m.Length
		})
		if k < 0 || k == 0 && u.head > 0 {
			break // It is answered, or about to be.
		}
		u.requests = slices.Delete(u.requests, k, k+1)
		if u.fast {
			m.ID = wire.Reject // BEP 6: every request is answered once.
			u.out = wire.Append(u.out, m)
		}
	}
	return nil
}

// begin sends the header of the answer to r.
func (u *upload) begin(r wire.Message) error {
	r.ID = wire.Piece
	u.out = wire.Append(u.out[:0], r)
	return u.socket.write(u.out, true)
}

// copy sends n bytes of the block that r asks for, from byte at of it on.
func (u *upload) copy(r wire.Message, at, n int) error {
	for part := range u.payload.parts(u.offset(r)+int64(at), n) {
		if err := u.socket.write(part, false); err != nil {
			return err
		}
	}
	return nil
}
