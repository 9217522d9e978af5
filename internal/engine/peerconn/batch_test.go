package peerconn

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// inARow are n full blocks of piece 1 that follow each other.
func inARow(n uint32) (ms []wire.Message) {
	for i := range n {
		ms = append(ms, piece(1, i*wire.MaxBlock, wire.MaxBlock))
	}
	return ms
}

func TestAFastPeerGetsMoreAndMoreBlocksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, peer, result := begin(t, nil)
		blocks := inARow(200)
		c.Send(blocks...)
		for _, m := range blocks {
			expectNext(t, peer, m)
		}
		c.Close("enough")
		expectEnd(t, result, "enough")
		var want []int
		for _, n := range []int{1, 2, 4, 8, 16, 32, 64, 64, 9} {
			want = append(want, n*wire.MaxBlock)
		}
		if !slices.Equal(w.reads, want) {
			t.Errorf("reads of %v bytes, want %v", w.reads, want)
		}
	})
}

func TestManyFastPeersGetSmallerBatches(t *testing.T) {
	for range maxLarge { // So many write large ones already.
		largeUsed <- struct{}{}
	}
	defer func() {
		for range maxLarge {
			<-largeUsed
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w, c, peer, result := begin(t, nil)
		blocks := inARow(200)
		c.Send(blocks...)
		for _, m := range blocks {
			expectNext(t, peer, m)
		}
		c.Close("enough")
		expectEnd(t, result, "enough")
		if most := slices.Max(w.reads); most != smallBatch*wire.MaxBlock {
			t.Errorf("up to %d bytes were read at once", most)
		}
	})
}

// What is more urgent than blocks never waits long for them.
func TestASlowPeerGetsOneBlockAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, peer, result := begin(t, nil)
		blocks := inARow(120)
		c.Send(blocks...)
		for i, m := range blocks[:100] {
			if i > 31 { // Until then it is fast.
				time.Sleep(2 * batchTime)
			}
			expectNext(t, peer, m)
		}
		w.mu.Lock()
		if last := w.reads[len(w.reads)-1]; last != wire.MaxBlock {
			t.Errorf("%d bytes leave at once", last)
		}
		w.mu.Unlock()
		c.Send(have(7))
		expectNext(t, peer, blocks[100]) // It has begun to leave.
		expectNext(t, peer, have(7))
		c.Close("enough")
		expectEnd(t, result, "enough")
	})
}

func TestBlocksOfAllLengthsAndPlacesLeaveInOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var blocks []wire.Message
	for len(blocks) < 600 {
		m := piece(rnd.Uint32N(3), rnd.Uint32N(1<<20), 1+rnd.Uint32N(wire.MaxBlock))
		for range 1 + rnd.IntN(20) {
			blocks = append(blocks, m)
			m.Begin += m.Length // The next follows it
			switch rnd.IntN(8) {
			case 0:
				m.Begin += 1 - rnd.Uint32N(3) // or nearly,
			case 1:
				m.Index++ // or is of another piece.
			case 2:
				m.Length = 1 + rnd.Uint32N(wire.MaxBlock)
			}
		}
	}
	for kind, pair := range sockets {
		t.Run(kind, func(t *testing.T) {
			ours, peers := pair(t)
			w := newWorld(t)
			c, _ := w.run(ours, nil)
			c.Send(blocks...)
			for _, m := range blocks {
				expectNext(t, peers, m)
			}
			for _, m := range blocks {
				w.expect(Received{Msg: m, Sent: true})
			}
			if len(w.reads) >= len(blocks)/2 {
				t.Errorf("%d reads for %d blocks, many of which follow each other", len(w.reads), len(blocks))
			}
		})
	}
}

// A connection may end in the middle of a block. Until then the peer got what
// it should, and nothing follows.
func TestTheEndInTheMiddleOfABatch(t *testing.T) {
	blocks := inARow(1000) // More than any buffer on the way takes.
	var want []byte
	for _, m := range blocks {
		want = append(want, blockBytes(m.Index, m.Begin, m.Length)...)
	}
	for kind, pair := range sockets {
		t.Run(kind, func(t *testing.T) {
			ours, peers := pair(t)
			c, result := newWorld(t).run(ours, nil)
			c.Send(blocks...)
			got := make([]byte, 40*wire.MaxBlock+100)
			if _, err := io.ReadFull(peers, got); err != nil {
				t.Fatal(err)
			}
			c.Close("enough")
			expectEnd(t, result, "enough")
			rest, _ := io.ReadAll(peers) // It may be cut off in any way.
			if got = slices.Concat(got, rest); len(got) == len(want) || !bytes.HasPrefix(want, got) {
				t.Errorf("the peer got %d bytes of %d, and not the right ones", len(got), len(want))
			}
		})
		t.Run(kind+", by the peer", func(t *testing.T) {
			ours, peers := pair(t)
			c, result := newWorld(t).run(ours, nil)
			c.Send(blocks...)
			if _, err := io.ReadFull(peers, make([]byte, 40*wire.MaxBlock+100)); err != nil {
				t.Fatal(err)
			}
			peers.Close()
			expectEnd(t, result, ReasonClosedByPeer)
		})
	}
}

func TestPeerThatStopsReadingABatchIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, peer, result := begin(t, nil)
		w.aside.Go(func() { // It is alive otherwise.
			for {
				if _, err := peer.Write(messages(wire.Message{ID: wire.KeepAlive})); err != nil {
					return
				}
				time.Sleep(time.Minute)
			}
		})
		blocks := inARow(60)
		c.Send(blocks...)
		for _, m := range blocks[:20] {
			expectNext(t, peer, m)
		}
		begun := time.Now()
		expectEnd(t, result, ReasonTimeout)
		within(t, begun, writeTimeout-deadlineSlack, writeTimeout)
	})
}

func TestUnreadableBlockInABatchEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, peer, result := begin(t, nil)
		blocks := inARow(60)
		c.Send(blocks...)
		for _, m := range blocks[:20] {
			expectNext(t, peer, m)
		}
		synctest.Wait()
		w.mu.Lock()
		w.unread = errors.New("the volume is gone")
		w.mu.Unlock()
		for i := 20; ; i++ {
			if m, err := next(peer); err != nil {
				break
			} else if !bytes.Equal(m.Payload, content(1, blocks[i].Begin, wire.MaxBlock)) {
				t.Fatalf("block %d is wrong", i)
			}
		}
		expectEnd(t, result, ReasonUnreadable)
	})
}

// Each byte is paid for before it leaves, and none waits for others to be.
func TestUploadLimitOfBatches(t *testing.T) {
	const blocks = 200
	for _, speed := range []int{20 << 10, 1 << 20, 20 << 20} {
		synctest.Test(t, func(t *testing.T) {
			burst := max(wire.MaxBlock, speed/10)
			_, c, peer, result := begin(t, func(cfg *Config) {
				cfg.Up = []*rate.Limiter{rate.NewLimiter(rate.Limit(speed), burst)}
			})
			begun := time.Now()
			c.Send(inARow(blocks)...)
			for n := 0; n < blocks*wire.MaxBlock; {
				m, err := next(peer)
				if err != nil {
					t.Fatal(err)
				}
				n += len(m.Payload)
				least := time.Duration(n-burst) * time.Second / time.Duration(speed)
				within(t, begun, max(0, least-time.Millisecond), max(0, least)+time.Second/4+time.Duration(wire.MaxBlock)*time.Second/time.Duration(speed))
				write(t, peer, messages(wire.Message{ID: wire.KeepAlive}))
			}
			c.Close("enough")
			expectEnd(t, result, "enough")
		})
	}
}

// The peer says nothing, and the next block waits for a limit.
func TestTheSinkHearsSoonOfWhatHasLeft(t *testing.T) {
	for name, up := range map[string][]*rate.Limiter{"without a limit": nil, "with a limit": limited(1)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, peer, result := begin(t, func(cfg *Config) { cfg.Up = up })
				c.Send(piece(1, 0, 16384))
				expectNext(t, peer, piece(1, 0, 16384))
				if up != nil {
					c.Send(piece(2, 0, 16384))
				}
				begun := time.Now()
				w.expect(Received{Msg: piece(1, 0, 16384), Sent: true})
				within(t, begun, sentInterval, sentInterval) // Not at once: that would wake the reader for each block.
				c.Close("enough")
				expectEnd(t, result, "enough")
			})
		})
	}
}

// So that who asks for a block for each one that arrives never seems to ask
// for more than it does.
func TestWhatHasLeftIsToldBeforeWhatArrivedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, peer, result := begin(t, nil)
		c.Send(piece(1, 0, 16384))
		expectNext(t, peer, piece(1, 0, 16384))
		synctest.Wait()
		write(t, peer, messages(request(2, 0, 16384)))
		w.expect(Received{Msg: piece(1, 0, 16384), Sent: true})
		w.expect(Received{Msg: request(2, 0, 16384)})
		c.Close("enough")
		expectEnd(t, result, "enough")
	})
}
