package peerconn

import (
	"errors"
	"sync"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func TestServing(t *testing.T) {
	for kind, pair := range sockets {
		t.Run(kind, func(t *testing.T) {
			ours, peers := pair(t)
			w := newWorld(t)
			c, _ := w.run(ours, nil)
			c.Send(piece(1, 0, 16384), piece(1, 16384, 1), piece(0, 16384, 16384))
			expectNext(t, peers, piece(1, 0, 16384))
			expectNext(t, peers, piece(1, 16384, 1))
			expectNext(t, peers, piece(0, 16384, 16384))
			// The peer says nothing, and the sink hears of it nevertheless.
			w.expect(Received{Msg: piece(1, 0, 16384), Sent: true})
			w.expect(Received{Msg: piece(1, 16384, 1), Sent: true})
			w.expect(Received{Msg: piece(0, 16384, 16384), Sent: true})
			// And what the peer says later is heard, too.
			write(t, peers, messages(have(5)))
			w.expect(Received{Msg: have(5)})
			c.Send(piece(1, 0, 16384))
			expectNext(t, peers, piece(1, 0, 16384))
			w.expect(Received{Msg: piece(1, 0, 16384), Sent: true})
		})
	}
}

func TestBothDirectionsAtOnce(t *testing.T) {
	const blocks = 300
	for kind, pair := range sockets {
		t.Run(kind, func(t *testing.T) {
			a, b := pair(t)
			left, right := newWorld(t), newWorld(t)
			l, _ := left.run(a, nil)
			r, _ := right.run(b, nil)
			for i := range uint32(blocks) {
				l.Send(request(i, 0, 16384))
				r.Send(request(i, 16384, 16384))
			}
			var both sync.WaitGroup
			for _, side := range []struct {
				w *world
				c *Conn
			}{{left, l}, {right, r}} {
				both.Go(func() {
					for x := range side.w.got {
						if x.Msg.ID == wire.Request {
							side.c.Send(piece(x.Msg.Index, x.Msg.Begin, x.Msg.Length))
						} else if x.Block && x.Msg.Index == blocks-1 {
							return
						}
					}
				})
			}
			both.Wait()
			for _, w := range []*world{left, right} {
				w.mu.Lock()
				if n := len(w.done); n != blocks {
					t.Errorf("%d blocks of %d", n, blocks)
				}
				w.mu.Unlock()
			}
		})
	}
}

func TestUnsendDropsWhatHasNotBegunToLeave(t *testing.T) {
	ours, peers := pipePair(t)
	w := newWorld(t)
	c, _ := w.run(ours, nil)
	c.Send(piece(1, 0, 100))
	head := make([]byte, wire.HeaderLen) // The first block has begun to leave.
	if _, err := peers.Read(head); err != nil {
		t.Fatal(err)
	}
	c.Send(piece(2, 0, 100), piece(3, 0, 100), piece(2, 0, 100))
	c.Unsend(piece(1, 0, 100), piece(2, 0, 100), piece(9, 0, 100))
	rest := make([]byte, wire.PieceHeaderLen+100-wire.HeaderLen)
	for n := 0; n < len(rest); {
		k, err := peers.Read(rest[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	expectNext(t, peers, piece(3, 0, 100))
	expectNext(t, peers, piece(2, 0, 100)) // It was queued twice, and taken back once.
	for _, i := range []uint32{1, 3, 2} {
		w.expect(Received{Msg: piece(i, 0, 100), Sent: true})
	}
}

func TestSmallMessagesOvertakeBlocks(t *testing.T) {
	ours, peers := pipePair(t)
	w := newWorld(t)
	c := connect(Config{Conn: ours, Sink: w, Source: w, Pieces: 1})
	c.Send(piece(0, 0, 1), have(1), piece(0, 1, 1), have(2))
	result := make(chan error)
	go func() { result <- c.Run(t.Context()) }()
	for _, m := range []wire.Message{have(1), have(2), piece(0, 0, 1), piece(0, 1, 1)} {
		expectNext(t, peers, m)
	}
	c.Close("enough")
	expectEnd(t, result, "enough")
}

func TestManySmallMessagesLeaveInOneWrite(t *testing.T) {
	ours, peers := pipePair(t) // A pipe hands over one write at a time.
	w := newWorld(t)
	c := connect(Config{Conn: ours, Sink: w, Pieces: 1})
	var all []wire.Message
	for i := range uint32(200) {
		all = append(all, request(i, 0, 16384))
	}
	c.Send(all...)
	result := make(chan error)
	go func() { result <- c.Run(t.Context()) }()
	buf := make([]byte, 1<<16)
	n, err := peers.Read(buf)
	if want := messages(all...); err != nil || string(buf[:n]) != string(want) {
		t.Errorf("%d bytes in the first write, want %d; %v", n, len(want), err)
	}
	c.Close("enough")
	expectEnd(t, result, "enough")
}

func TestUnreadableBlockEndsTheConnection(t *testing.T) {
	ours, _ := tcpPair(t)
	w := newWorld(t)
	w.unread = errors.New("the volume is gone")
	c, result := w.run(ours, nil)
	c.Send(piece(1, 0, 16384))
	err := <-result
	var e *Error
	if !errors.As(err, &e) || e.Reason() != ReasonUnreadable || !errors.Is(err, w.unread) {
		t.Errorf("%v", err)
	}
}

// A peer that never reads: Send returns at once, memory does not grow, and the
// connection ends.
func TestQueuesAreBounded(t *testing.T) {
	for name, send := range map[string]struct {
		msg  func(i uint32) wire.Message
		most int // That many fit in every case, and the double in none.
	}{
		"small messages": {have, maxUnsent / 9},
		"requests":       {func(i uint32) wire.Message { return request(i, 0, 1) }, maxOutstanding},
		"blocks":         {func(i uint32) wire.Message { return piece(i, 0, 16384) }, maxServes},
	} {
		t.Run(name, func(t *testing.T) {
			ours, _ := pipePair(t)
			w := newWorld(t)
			c := connect(Config{Conn: ours, Sink: w, Source: w, Pieces: 1})
			for i := range send.most {
				c.Send(send.msg(uint32(i)))
			}
			c.mu.Lock()
			if c.ended != nil {
				t.Errorf("ended early: %v", c.ended)
			}
			c.mu.Unlock()
			for i := range send.most {
				c.Send(send.msg(uint32(send.most + i)))
			}
			if len(c.unsent) > 2*maxUnsent || len(c.serves.queue) > maxServes || len(c.requests.blocks) > maxOutstanding {
				t.Errorf("%d bytes, %d blocks, %d requests are kept", len(c.unsent), len(c.serves.queue), len(c.requests.blocks))
			}
			result := make(chan error, 1)
			result <- c.Run(t.Context())
			expectEnd(t, result, ReasonOverflow)
		})
	}
}

func TestABitfieldAlwaysFits(t *testing.T) {
	ours, peers := tcpPair(t)
	w := newWorld(t)
	const pieces = 8 * wire.MaxBody
	c, _ := w.run(ours, func(cfg *Config) { cfg.Pieces = pieces })
	m := wire.Message{ID: wire.Bitfield, Payload: make([]byte, pieces/8)}
	c.Send(m)
	expectNext(t, peers, m)
}
