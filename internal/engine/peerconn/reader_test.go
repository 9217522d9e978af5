package peerconn

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func TestBlockArrivesInItsPlace(t *testing.T) {
	for kind, pair := range sockets {
		t.Run(kind, func(t *testing.T) {
			ours, peers := pair(t)
			w := newWorld(t)
			c, _ := w.run(ours, nil)
			c.Send(request(3, 16384, 16384), request(3, 32768, 100))
			expectNext(t, peers, request(3, 16384, 16384))
			expectNext(t, peers, request(3, 32768, 100))
			write(t, peers, append(blockBytes(3, 32768, 100), blockBytes(3, 16384, 16384)...))
			w.expect(Received{Msg: piece(3, 32768, 100), Block: true, Fresh: true})
			w.expect(Received{Msg: piece(3, 16384, 16384), Block: true, Fresh: true})
			w.mu.Lock()
			defer w.mu.Unlock()
			for p, n := range map[place]int{{3, 16384}: 16384, {3, 32768}: 100} {
				if !bytes.Equal(w.done[p], content(p.index, p.begin, n)) {
					t.Errorf("the bytes of %v are not those that were sent", p)
				}
			}
		})
	}
}

// However the network cuts the stream, the same messages come out.
func TestAnyCutOfTheStream(t *testing.T) {
	stream := append(messages(wire.Message{ID: wire.Unchoke}, wire.Message{ID: wire.KeepAlive}, have(7)), blockBytes(1, 0, 1500)...)
	stream = append(stream, messages(wire.Message{ID: wire.Extended, Payload: bytes.Repeat([]byte("e"), 600)})...)
	for kind, pair := range sockets {
		t.Run(kind, func(t *testing.T) {
			for _, step := range []int{1, 2, 3, 5, 13, 100, 511, 1513, len(stream)} {
				ours, peers := pair(t)
				w := newWorld(t)
				c := connect(Config{Conn: ours, Sink: w, Extended: true, Pieces: 100})
				c.Send(request(1, 0, 1500))
				result := make(chan error)
				go func() { result <- c.Run(t.Context()) }()
				expectNext(t, peers, request(1, 0, 1500))
				for rest := stream; len(rest) > 0; {
					n := min(step, len(rest))
					write(t, peers, rest[:n])
					rest = rest[n:]
				}
				w.expect(Received{Msg: wire.Message{ID: wire.Unchoke}})
				w.expect(Received{Msg: have(7)})
				w.expect(Received{Msg: piece(1, 0, 1500), Block: true, Fresh: true})
				w.expect(Received{Msg: wire.Message{ID: wire.Extended, Payload: bytes.Repeat([]byte("e"), 600)}})
				peers.Close()
				expectEnd(t, result, ReasonClosedByPeer)
			}
		})
	}
}

func TestUnwantedBlockIsThrownAway(t *testing.T) {
	for kind, pair := range sockets {
		t.Run(kind, func(t *testing.T) {
			ours, peers := pair(t)
			w := newWorld(t)
			w.unwanted = true
			c, _ := w.run(ours, nil)
			c.Send(request(3, 0, 16384))
			expectNext(t, peers, request(3, 0, 16384))
			write(t, peers, append(blockBytes(3, 0, 16384), messages(have(9))...))
			w.expect(Received{Msg: piece(3, 0, 16384), Block: true})
			w.expect(Received{Msg: have(9)})
		})
	}
}

func TestDuplicateIsNotFresh(t *testing.T) {
	ours, peers := tcpPair(t)
	w := newWorld(t)
	w.stale = true
	c, _ := w.run(ours, nil)
	c.Send(request(3, 0, 10))
	write(t, peers, blockBytes(3, 0, 10))
	w.expect(Received{Msg: piece(3, 0, 10), Block: true})
}

// A cancelled block may be on its way: BEP 3 knows no answer to a cancel.
func TestBlockAfterItsCancelIsLegalOnce(t *testing.T) {
	ours, peers := tcpPair(t)
	w := newWorld(t)
	c, result := w.run(ours, nil)
	c.Send(request(3, 0, 10), wire.Message{ID: wire.Cancel, Index: 3, Begin: 0, Length: 10})
	expectNext(t, peers, request(3, 0, 10))
	expectNext(t, peers, wire.Message{ID: wire.Cancel, Index: 3, Begin: 0, Length: 10})
	write(t, peers, blockBytes(3, 0, 10))
	w.expect(Received{Msg: piece(3, 0, 10), Block: true, Fresh: true})
	write(t, peers, blockBytes(3, 0, 10))
	expectEnd(t, result, ReasonUnrequested)
}

func TestLongMessages(t *testing.T) {
	for kind, pair := range sockets {
		t.Run(kind, func(t *testing.T) {
			ours, peers := pair(t)
			w := newWorld(t)
			w.run(ours, func(cfg *Config) { cfg.Pieces = 4_018_567 })
			field := wire.Message{ID: wire.Bitfield, Payload: content(1, 2, 502_321)}
			longest := wire.Message{ID: wire.Extended, Payload: content(3, 4, wire.MaxExtended)}
			write(t, peers, messages(field, longest, have(4_018_566)))
			w.expect(Received{Msg: field})
			w.expect(Received{Msg: longest})
			w.expect(Received{Msg: have(4_018_566)})
		})
	}
}

func TestUnknownMessagesAreSkipped(t *testing.T) {
	ours, peers := tcpPair(t)
	w := newWorld(t)
	w.run(ours, nil)
	unknown := append([]byte{0, 0x10, 0, 1, 21}, make([]byte, wire.MaxBody)...)
	write(t, peers, append(unknown, 0, 0, 0, 1, 10))
	write(t, peers, messages(have(1)))
	w.expect(Received{Msg: have(1)})
}

// Without BEP 10 on both sides its messages are like those of unknown ids.
func TestExtendedMessagesThatWereNotAgreedOnAreSkipped(t *testing.T) {
	ours, peers := tcpPair(t)
	w := newWorld(t)
	w.run(ours, func(cfg *Config) { cfg.Extended = false })
	write(t, peers, messages(wire.Extend(0, []byte("de")), wire.Extend(1, make([]byte, 2*bufferLen)), have(1)))
	w.expect(Received{Msg: have(1)})
}

func TestBurstsHoldLittlePayload(t *testing.T) {
	ours, peers := tcpPair(t)
	w := newWorld(t)
	w.hold = make(chan struct{})
	w.run(ours, nil)
	const length, count = 10 << 10, 12 // All of it fits the socket's buffers.
	write(t, peers, messages(have(1)))
	for range count {
		write(t, peers, messages(wire.Message{ID: wire.Extended, Payload: make([]byte, length)}))
	}
	close(w.hold)
	for range 1 + count {
		<-w.got
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.bursts {
		if (n-2)*length >= maxBurstPayload { // The first has no payload, the last fills it.
			t.Errorf("%d messages of %d bytes were delivered at once", n, length)
		}
	}
}

func TestBurstsAreBoundedAndInOrder(t *testing.T) {
	ours, peers := tcpPair(t)
	w := newWorld(t)
	_, result := w.run(ours, nil)
	var all []wire.Message
	for i := range uint32(10_000) {
		all = append(all, have(i))
	}
	write(t, peers, messages(all...))
	for _, m := range all {
		w.expect(Received{Msg: m})
	}
	peers.Close()
	expectEnd(t, result, ReasonClosedByPeer)
	for _, n := range w.bursts {
		if n > maxBurst {
			t.Errorf("a burst of %d", n)
		}
	}
}

func TestHostilePeersAreDroppedWithAReason(t *testing.T) {
	be := func(id byte, length uint32, body ...byte) []byte {
		return append([]byte{byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length), id}, body...)
	}
	for _, c := range []struct {
		name   string
		sends  []byte
		slow   bool // Without the Fast extension.
		reason string
	}{
		{name: "a block never asked for", sends: blockBytes(5, 0, 16384), reason: ReasonUnrequested},
		{name: "a block at another offset", sends: blockBytes(1, 1, 16384), reason: ReasonUnrequested},
		{name: "a shorter block", sends: blockBytes(1, 0, 16383), reason: ReasonUnrequested},
		{name: "a block twice", sends: append(blockBytes(1, 0, 16384), blockBytes(1, 0, 16384)...), reason: ReasonUnrequested},
		{name: "a block too long", sends: be(7, 9+16385), reason: ReasonBadMessage},
		{name: "a block of nothing", sends: be(7, 9, 0, 0, 0, 1, 0, 0, 0, 0), reason: ReasonBadMessage},
		{name: "a block's header cut off", sends: be(7, 5, 0, 0, 0, 1), reason: ReasonBadMessage},
		{name: "a message of 4 GiB", sends: be(20, 0xffffffff), reason: ReasonBadMessage},
		{name: "an unknown message of 4 GiB", sends: be(99, 0xffffffff), reason: ReasonBadMessage},
		{name: "an extended message beyond the limit", sends: be(20, 2+wire.MaxBody), reason: ReasonBadMessage},
		{name: "an extended message of nothing", sends: be(20, 1), reason: ReasonBadMessage},
		{name: "a have too long", sends: be(4, 6, 0, 0, 0, 0, 0), reason: ReasonBadMessage},
		{name: "a have too short", sends: be(4, 4, 0, 0, 0), reason: ReasonBadMessage},
		{name: "a bitfield too short", sends: be(5, 13), reason: ReasonBadMessage},
		{name: "a bitfield too long", sends: be(5, 15), reason: ReasonBadMessage},
		{name: "a request for 16 KiB and a byte", sends: messages(request(0, 0, 16385)), reason: ReasonBadMessage},
		{name: "a request for nothing", sends: messages(request(0, 0, 0)), reason: ReasonBadMessage},
		{name: "a choke with a body", sends: be(0, 2, 0), reason: ReasonBadMessage},
		{name: "have all without Fast", sends: messages(wire.Message{ID: wire.HaveAll}), slow: true, reason: ReasonBadMessage},
		{name: "an extended message that is too long", sends: messages(wire.Extend(0, make([]byte, wire.MaxExtended))), reason: ReasonBadMessage},
		{name: "an extended message of nothing", sends: []byte{0, 0, 0, 1, 20}, reason: ReasonBadMessage},
		{name: "reject without Fast", sends: messages(wire.Message{ID: wire.Reject, Length: 1}), slow: true, reason: ReasonBadMessage},
		{name: "hanging up", sends: nil, reason: ReasonClosedByPeer},
		{name: "hanging up in a header", sends: []byte{0, 0}, reason: ReasonClosedByPeer},
		{name: "hanging up in a message", sends: be(4, 5, 0), reason: ReasonClosedByPeer},
		{name: "hanging up in a long message", sends: be(20, wire.MaxExtended, 1, 2, 3), reason: ReasonClosedByPeer},
	} {
		t.Run(c.name, func(t *testing.T) {
			for kind, pair := range sockets {
				t.Run(kind, func(t *testing.T) {
					ours, peers := pair(t)
					w := newWorld(t)
					conn, result := w.run(ours, func(cfg *Config) { cfg.Fast = !c.slow })
					conn.Send(request(1, 0, 16384))
					expectNext(t, peers, request(1, 0, 16384))
					_, _ = peers.Write(c.sends) // May fail: the other side hangs up before it has read all.
					if c.reason == ReasonClosedByPeer {
						peers.Close()
					}
					expectEnd(t, result, c.reason)
					if len(w.leases) > 0 {
						t.Errorf("leases are left over: %v", w.leases)
					}
				})
			}
		})
	}
}

func TestHalfABlockIsAbandoned(t *testing.T) {
	for _, sent := range []int{wire.PieceHeaderLen, wire.PieceHeaderLen + 100, wire.PieceHeaderLen + 8000} {
		for reason, end := range map[string]func(*Conn, net.Conn){
			ReasonClosedByPeer: func(_ *Conn, peer net.Conn) { peer.Close() },
			"choked-too-long":  func(c *Conn, _ net.Conn) { c.Close("choked-too-long") },
		} {
			for kind, pair := range sockets {
				t.Run(kind, func(t *testing.T) {
					ours, peers := pair(t)
					w := newWorld(t)
					c, result := w.run(ours, nil)
					c.Send(request(2, 16384, 16384))
					expectNext(t, peers, request(2, 16384, 16384))
					write(t, peers, append(messages(have(1)), blockBytes(2, 16384, 16384)[:sent]...))
					<-w.started
					end(c, peers)
					expectEnd(t, result, reason)
					w.expect(Received{Msg: have(1)})
					if len(w.abandoned) != 1 || w.abandoned[0] != (place{2, 16384}) || len(w.done) != 0 {
						t.Errorf("abandoned %v, done %d", w.abandoned, len(w.done))
					}
				})
			}
		}
	}
}

// What arrived before the end is delivered even when the end comes first.
func TestNothingThatArrivedIsLost(t *testing.T) {
	ours, peers := tcpPair(t)
	w := newWorld(t)
	c := connect(Config{Conn: ours, Sink: w, Pieces: 100})
	c.Send(request(1, 0, 16384))
	write(t, peers, append(blockBytes(1, 0, 16384), messages(request(0, 0, 0))...))
	result := make(chan error, 1)
	result <- c.Run(t.Context())
	expectEnd(t, result, ReasonBadMessage)
	if len(w.got) != 1 {
		t.Fatalf("%d things delivered", len(w.got))
	}
	w.expect(Received{Msg: piece(1, 0, 16384), Block: true, Fresh: true})
}

func TestRunEndsWithItsContext(t *testing.T) {
	for kind, pair := range sockets {
		t.Run(kind, func(t *testing.T) {
			ours, peers := pair(t)
			w := newWorld(t)
			c := connect(Config{Conn: ours, Sink: w, Pieces: 1})
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error)
			go func() { result <- c.Run(ctx) }()
			write(t, peers, messages(wire.Message{ID: wire.Unchoke}))
			w.expect(Received{Msg: wire.Message{ID: wire.Unchoke}})
			cancel()
			expectEnd(t, result, ReasonStopped)
			if _, err := peers.Read(make([]byte, 1)); err == nil {
				t.Error("the socket is still open")
			}
		})
	}
}

func TestTheFirstReasonCounts(t *testing.T) {
	ours, _ := tcpPair(t)
	c := connect(Config{Conn: ours, Sink: newWorld(t), Pieces: 1})
	c.Close("banned")
	c.Close("other")
	c.Send(have(1)) // Nothing happens.
	result := make(chan error, 1)
	result <- c.Run(t.Context())
	expectEnd(t, result, "banned")
	if _, err := ours.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Error("the socket is still open")
	}
}
