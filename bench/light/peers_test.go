package light

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// odd is a torrent of 13 pieces of 2 blocks, the last of one short block.
func odd(t *testing.T) (content, *torrent) {
	t.Helper()
	c := create(t, map[string]int{"": 12*32768 + 1000}, metainfo.CreateOptions{PieceLength: 32768})
	tor, err := readTorrent(c.file)
	if err != nil {
		t.Fatal(err)
	}
	return c, tor
}

func TestSeedDialsAgainUntilItIsServed(t *testing.T) {
	c, tor := odd(t)
	l := listener(t)
	seed := start(t, func(ctx context.Context, out *record) error {
		return Seed(ctx, SeedConfig{Torrent: c.file, Dir: c.dir, Dial: []string{l.Addr().String()}, From: netip.MustParseAddr("127.0.0.9"), Out: out})
	})
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close() // Before the handshake.
	accept(t, l, tor.hash, true).conn.Close()
	for _, fast := range []bool{true, false} {
		r := accept(t, l, tor.hash, fast)
		if got := r.conn.RemoteAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Addr().String(); got != "127.0.0.9" {
			t.Errorf("it comes from %s", got)
		}
		if fast {
			r.expect(wire.HaveAll)
		} else if m, _ := r.expect(wire.Bitfield); string(m.Payload) != "\xff\xf8" {
			t.Errorf("a bitfield of % x", m.Payload)
		}
		// Messages of many kinds at once, one of them long, one in two parts.
		r.say(wire.Message{ID: wire.Interested}, wire.Message{ID: wire.KeepAlive}, wire.Message{ID: wire.Bitfield, Payload: make([]byte, 100_000)},
			tor.request(3), wire.Message{ID: wire.Have}, tor.request(24))
		last := wire.Append(nil, tor.request(0))
		r.send(last[:7])
		r.expect(wire.Unchoke)
		all := c.bytes(t)
		for _, want := range []int{3, 24} {
			m, block := r.expect(wire.Piece)
			if b, ok := tor.block(m); !ok || b != want {
				t.Errorf("block %d (%v) instead of %d", b, ok, want)
			}
			same(t, "block", block, all[tor.offset(m):][:len(block)])
		}
		r.send(last[7:])
		if m, _ := r.expect(wire.Piece); m.Index != 0 || m.Begin != 0 {
			t.Errorf("a block of piece %d at %d", m.Index, m.Begin)
		}
		r.conn.Close()
	}
	if err := seed.stop(); err != nil {
		t.Error(err)
	}
	if got := seed.line(t, "sent "); got != "67536" { // Twice 16384 + 1000 + 16384.
		t.Errorf("it says that it sent %s bytes", got)
	}
}

func TestSeedKeepsALimitAndForgetsWhatIsCancelled(t *testing.T) {
	c, tor := odd(t)
	l := listener(t)
	const rate = 64 << 10
	start(t, func(ctx context.Context, out *record) error {
		return Seed(ctx, SeedConfig{Torrent: c.file, Dir: c.dir, Dial: []string{l.Addr().String()}, Limit: rate, Out: out})
	})
	r := accept(t, l, tor.hash, true)
	began := time.Now()
	drop := tor.request(2)
	drop.ID = wire.Cancel
	r.say(wire.Message{ID: wire.Interested}, tor.request(1), tor.request(2), tor.request(3), drop)
	r.expect(wire.HaveAll)
	r.expect(wire.Unchoke)
	if m, _ := r.expect(wire.Reject); m.Index != 1 || m.Begin != 0 {
		t.Errorf("piece %d at %d is refused", m.Index, m.Begin)
	}
	for _, want := range []int{1, 3} {
		m, block := r.expect(wire.Piece)
		if b, _ := tor.block(m); b != want {
			t.Errorf("block %d instead of %d", b, want)
		}
		same(t, "block", block, c.bytes(t)[tor.offset(m):][:len(block)])
	}
	// It may be late, but never early.
	if took, least := time.Since(began), time.Second*2*16384/rate-2*tick; took < least {
		t.Errorf("two blocks took %v; at that rate they need %v", took, least)
	}
}

// A peer that has only some pieces at first, chokes, and forgets (BEP 3) or
// refuses (BEP 6) what it was asked for.
func TestLeechCopesWithAPeerThatHesitates(t *testing.T) {
	for name, fast := range map[string]bool{"BEP 3": false, "BEP 6": true} {
		t.Run(name, func(t *testing.T) {
			c, tor := odd(t)
			all := c.bytes(t)
			l := listener(t)
			leech := start(t, func(ctx context.Context, out *record) error {
				return Leech(ctx, LeechConfig{Torrent: c.file, Address: l.Addr().String(), Connections: 1, Pipeline: 8, Verify: true, Out: out})
			})
			r := accept(t, l, tor.hash, fast)
			if fast {
				r.expect(wire.HaveNone)
			}
			r.expect(wire.Interested)
			some := bitfield.New(13)
			for _, k := range []int{1, 4, 5, 12} {
				some.Set(k)
			}
			r.say(wire.Message{ID: wire.Bitfield, Payload: some.Bytes()}, wire.Message{ID: wire.Port, Index: 7}, wire.Message{ID: wire.Unchoke})
			// It asks for all 7 blocks that are there, and is choked after two.
			var left []wire.Message
			for k, want := range []int{2, 3, 8, 9, 10, 11, 24} {
				m, _ := r.expect(wire.Request)
				if b, ok := tor.block(m); !ok || b != want {
					t.Fatalf("it asks for block %d (%v) instead of %d", b, ok, want)
				}
				if k < 2 {
					r.serve(m, all, tor.info)
				} else {
					left = append(left, m)
				}
			}
			r.say(wire.Message{ID: wire.Choke}, wire.Message{ID: wire.KeepAlive})
			if fast {
				for _, m := range left {
					m.ID = wire.Reject
					r.say(m)
				}
			}
			r.say(wire.Message{ID: wire.Unchoke})
			for _, want := range left {
				m, _ := r.expect(wire.Request)
				if diff := cmp.Diff(want, m); diff != "" {
					t.Fatalf("it asks for something else than before: %s", diff)
				}
				r.serve(m, all, tor.info)
			}
			for k := range 13 {
				if !some.Has(k) {
					r.say(wire.Message{ID: wire.Have, Index: uint32(k)})
				}
			}
			for range 18 {
				m, _ := r.expect(wire.Request)
				r.serve(m, all, tor.info)
			}
			if err := <-leech.result; err != nil {
				t.Error(err)
			}
			leech.result <- nil
		})
	}
}

func TestLeechGoesOnAfterALostConnection(t *testing.T) {
	c, tor := odd(t)
	l := listener(t)
	leech := start(t, func(ctx context.Context, out *record) error {
		return Leech(ctx, LeechConfig{Torrent: c.file, Address: l.Addr().String(), Connections: 1, Verify: true, Out: out})
	})
	for left, served := 25, 5; left > 0; left, served = left-served, left-served {
		r := accept(t, l, tor.hash, true)
		r.expect(wire.HaveNone)
		r.expect(wire.Interested)
		r.say(wire.Message{ID: wire.HaveAll}, wire.Message{ID: wire.Unchoke})
		for k := range left {
			if m, _ := r.expect(wire.Request); k < served {
				r.serve(m, c.bytes(t), tor.info)
			}
		}
		r.conn.Close()
	}
	if err := <-leech.result; err != nil {
		t.Error(err)
	}
	leech.result <- nil
	leech.line(t, "lost ")
}

func TestCrowdIsThereAndDoesLittle(t *testing.T) {
	c := create(t, map[string]int{"": 64 * 16384}, metainfo.CreateOptions{PieceLength: 16384})
	tor, err := readTorrent(c.file)
	if err != nil {
		t.Fatal(err)
	}
	l := listener(t)
	const idle, slow, rate = 5, 2, 128 << 10
	crowd := start(t, func(ctx context.Context, out *record) error {
		return Crowd(ctx, CrowdConfig{
			Torrent: c.file, Dir: c.dir, Address: l.Addr().String(), From: netip.MustParseAddr("127.0.0.2"),
			Idle: idle, Slow: slow, Rate: rate, Out: out,
		})
	})
	addresses, ids := map[string]bool{}, map[[20]byte]bool{}
	has := map[*remote]*bitfield.Bitfield{}
	for range idle + slow {
		r := accept(t, l, tor.hash, true)
		host, _, _ := net.SplitHostPort(r.conn.RemoteAddr().String())
		addresses[host], ids[r.hand.PeerID] = true, true
		m, _ := r.expect(wire.Bitfield)
		f, err := bitfield.Parse(m.Payload, tor.info.PieceCount())
		if err != nil || f.Count() == 0 || f.IsFull() {
			t.Fatalf("a bitfield of % x: %v", m.Payload, err)
		}
		has[r] = f
	}
	if len(addresses) != idle+slow || len(ids) != idle+slow {
		t.Errorf("%d peers come from %d addresses with %d ids", idle+slow, len(addresses), len(ids))
	}
	if got := crowd.line(t, "connected "); got != fmt.Sprint(idle+slow) {
		t.Errorf("connected %s", got)
	}
	// All are asked to unchoke, and wait until they do or the crowd ends.
	unchoked, ended := make(chan *remote), make(chan int)
	for r := range has {
		r.say(wire.Message{ID: wire.Interested})
		go func() {
			b := make([]byte, wire.HeaderLen)
			if n, err := io.ReadFull(r.conn, b); err != nil {
				ended <- n
			} else {
				unchoked <- r
			}
		}()
	}
	for range slow {
		r := <-unchoked
		piece := slices.Collect(has[r].All())[0]
		began := time.Now()
		r.say(tor.request(piece * tor.perPiece))
		m, block := r.expect(wire.Piece)
		same(t, "block", block, c.bytes(t)[tor.offset(m):][:len(block)])
		if took, least := time.Since(began), time.Second*time.Duration(len(block))/rate-2*tick; took < least {
			t.Errorf("a block took %v; at that rate it needs %v", took, least)
		}
		delete(has, r)
	}
	// What is told to the idle ones is more than sockets hold, unless it is read.
	for r := range has {
		if err := r.conn.(*net.TCPConn).SetWriteBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		r.send(bytes.Repeat(wire.Append(nil, wire.Message{ID: wire.Have}), 1<<20/9))
	}
	if err := crowd.stop(); err != nil {
		t.Error(err)
	}
	for range idle {
		if n := <-ended; n != 0 {
			t.Errorf("an idle peer sent %d bytes", n)
		}
	}
	crowd.line(t, "sent ")
}
