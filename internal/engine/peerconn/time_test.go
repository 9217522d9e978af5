package peerconn

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// begin starts a connection over a pipe.
func begin(t *testing.T, change func(*Config)) (w *world, c *Conn, peer net.Conn, result <-chan error) {
	t.Helper()
	ours, peer := pipePair(t)
	w = newWorld(t)
	c, result = w.run(ours, change)
	return w, c, peer, result
}

// swallow reads what is sent to a peer, such as keep-alives.
func (w *world) swallow(peer net.Conn) {
	w.aside.Go(func() { _, _ = io.Copy(io.Discard, peer) })
}

// within checks how much virtual time has passed.
func within(t *testing.T, begun time.Time, least, most time.Duration) {
	t.Helper()
	if d := time.Since(begun); d < least || d > most {
		t.Errorf("it took %v, want %v to %v", d, least, most)
	}
}

func TestSilentPeerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, peer, result := begin(t, nil)
		w.swallow(peer)
		begun := time.Now()
		expectEnd(t, result, ReasonTimeout)
		within(t, begun, idleTimeout, idleTimeout+deadlineSlack)
	})
}

// BEP 3: keep-alives go out generally once each two minutes, and a peer that
// sends them may stay.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, peer, result := begin(t, nil)
		begun := time.Now()
		for i := range 10 {
			expectNext(t, peer, wire.Message{ID: wire.KeepAlive})
			within(t, begun, time.Duration(i+1)*keepAliveInterval, time.Duration(i+1)*keepAliveInterval)
			write(t, peer, messages(wire.Message{ID: wire.KeepAlive}))
		}
		time.Sleep(keepAliveInterval / 2)
		begun = time.Now()
		c.Send(have(1))
		expectNext(t, peer, have(1))
		write(t, peer, messages(wire.Message{ID: wire.KeepAlive}))
		expectNext(t, peer, wire.Message{ID: wire.KeepAlive})
		within(t, begun, keepAliveInterval, keepAliveInterval)
		c.Close("enough")
		expectEnd(t, result, "enough")
	})
}

func TestTrickledBlockIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, peer, result := begin(t, nil)
		c.Send(request(1, 0, 16384))
		expectNext(t, peer, request(1, 0, 16384))
		block := blockBytes(1, 0, 16384)
		write(t, peer, block[:wire.PieceHeaderLen])
		begun := time.Now()
		w.aside.Go(func() {
			for _, b := range block[wire.PieceHeaderLen:] {
				time.Sleep(time.Second)
				if _, err := peer.Write([]byte{b}); err != nil {
					return
				}
			}
		})
		expectEnd(t, result, ReasonTimeout)
		within(t, begun, blockTimeout-deadlineSlack, blockTimeout+deadlineSlack)
		if len(w.abandoned) != 1 {
			t.Errorf("abandoned: %v", w.abandoned)
		}
	})
}

// A slow sink is not the peer's fault.
func TestBackPressureIsNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peers := pipePair(t)
		w := newWorld(t)
		w.hold = make(chan struct{})
		c, result := w.run(ours, nil)
		w.swallow(peers)
		written := 0
		w.aside.Go(func() { // A flood of requests.
			for i := range uint32(10_000) {
				n, err := peers.Write(messages(request(i, 0, 16384)))
				written += n
				if err != nil {
					return
				}
			}
		})
		time.Sleep(idleTimeout * 3) // Nothing may have ended in that time.
		synctest.Wait()
		if most := bufferLen + maxBurst*17; written == 0 || written > most {
			t.Errorf("%d bytes were taken from a flood while the sink was busy, want at most %d", written, most)
		}
		close(w.hold)
		for i := range uint32(10_000) {
			w.expect(Received{Msg: request(i, 0, 16384)})
		}
		c.Close("enough")
		expectEnd(t, result, "enough")
	})
}

func TestPeerThatNeverReadsIsDropped(t *testing.T) {
	for name, m := range map[string]wire.Message{"small": have(1), "block": piece(1, 0, 16384)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, peer, result := begin(t, nil)
				w.aside.Go(func() { // It is alive otherwise.
					for {
						time.Sleep(time.Minute)
						if _, err := peer.Write(messages(wire.Message{ID: wire.KeepAlive})); err != nil {
							return
						}
					}
				})
				begun := time.Now()
				c.Send(m)
				expectEnd(t, result, ReasonTimeout)
				within(t, begun, writeTimeout-deadlineSlack, writeTimeout)
			})
		})
	}
}

// limited allows that many bytes a second, and a block at once.
func limited(bytesPerSecond int) []*rate.Limiter {
	return []*rate.Limiter{
		rate.NewLimiter(rate.Inf, wire.MaxBlock),
		rate.NewLimiter(rate.Limit(bytesPerSecond), wire.MaxBlock),
	}
}

func TestDownloadLimit(t *testing.T) {
	const blocks = 10
	for _, speed := range []int{1 << 10, 10 << 10, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			w, c, peer, result := begin(t, func(cfg *Config) { cfg.Down = limited(speed) })
			for i := range uint32(blocks) {
				c.Send(request(i, 0, 16384))
				expectNext(t, peer, request(i, 0, 16384))
			}
			begun := time.Now()
			w.aside.Go(func() {
				for i := range uint32(blocks) {
					if _, err := peer.Write(blockBytes(i, 0, 16384)); err != nil {
						return
					}
				}
			})
			w.swallow(peer)
			for i := range uint32(blocks) {
				w.expect(Received{Msg: piece(i, 0, 16384), Block: true, Fresh: true})
			}
			ideal := time.Duration((blocks-1)*16384) * time.Second / time.Duration(speed)
			within(t, begun, ideal-time.Millisecond, ideal+time.Second/4)
			c.Close("enough")
			expectEnd(t, result, "enough")
		})
	}
}

func TestUploadLimit(t *testing.T) {
	const blocks = 10
	for _, speed := range []int{1 << 10, 10 << 10, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			_, c, peer, result := begin(t, func(cfg *Config) { cfg.Up = limited(speed) })
			begun := time.Now()
			for i := range uint32(blocks) {
				c.Send(piece(i, 0, 16384))
			}
			for i := uint32(0); i < blocks; {
				m, err := next(peer)
				if err != nil {
					t.Fatal(err)
				}
				if m.ID == wire.Piece {
					i++
				}
				write(t, peer, messages(wire.Message{ID: wire.KeepAlive}))
			}
			ideal := time.Duration((blocks-1)*16384) * time.Second / time.Duration(speed)
			within(t, begun, ideal-time.Millisecond, ideal+time.Second/4)
			c.Close("enough")
			expectEnd(t, result, "enough")
		})
	}
}

// Requests and haves do not wait for the upload limit; and a higher limit is
// used at once by a block that waits for a lower one.
func TestUploadLimitHoldsNothingElseUpAndCanChange(t *testing.T) {
	up := limited(1 << 10)
	synctest.Test(t, func(t *testing.T) {
		_, c, peer, result := begin(t, func(cfg *Config) { cfg.Up = up })
		c.Send(piece(1, 0, 16384), piece(2, 0, 16384))
		expectNext(t, peer, piece(1, 0, 16384))
		begun := time.Now()
		for i := range uint32(5) {
			synctest.Wait() // The block waits for the limit.
			c.Send(have(i))
			expectNext(t, peer, have(i))
		}
		within(t, begun, 0, 0)
		up[1].SetLimit(rate.Inf)
		expectNext(t, peer, piece(2, 0, 16384))
		within(t, begun, 0, time.Second)
		c.Close("enough")
		expectEnd(t, result, "enough")
	})
}

func TestCloseDoesNotWaitForALimit(t *testing.T) {
	both := func(cfg *Config) { cfg.Down, cfg.Up = limited(1), limited(1) }
	synctest.Test(t, func(t *testing.T) {
		w, c, peer, result := begin(t, both)
		c.Send(request(1, 0, 16384), request(2, 0, 16384))
		expectNext(t, peer, request(1, 0, 16384))
		expectNext(t, peer, request(2, 0, 16384))
		c.Send(piece(1, 0, 16384), piece(2, 0, 16384))
		expectNext(t, peer, piece(1, 0, 16384))
		w.aside.Go(func() { _, _ = peer.Write(append(blockBytes(1, 0, 16384), blockBytes(2, 0, 16384)...)) })
		<-w.started
		<-w.started
		synctest.Wait() // Both directions wait for their limits.
		begun := time.Now()
		c.Close("enough")
		expectEnd(t, result, "enough")
		within(t, begun, 0, 0)
		if len(w.abandoned) != 1 {
			t.Errorf("abandoned: %v", w.abandoned)
		}
	})
}

// Metadata that is served (BEP 9) is payload: it waits for its turn and for the
// limits, other messages don't wait for it, and who sent it hears when it left.
func TestMetadataIsServedWithinTheUploadLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond = 4 << 10
		limit := rate.NewLimiter(perSecond, wire.MaxBlock)
		limit.AllowN(time.Now(), wire.MaxBlock)
		w, c, peer, _ := begin(t, func(cfg *Config) { cfg.Up = []*rate.Limiter{limit} })
		m := wire.Metadata{Kind: wire.MetadataData, TotalSize: 1 << 20, Data: content(1, 0, wire.MetadataPiece)}
		said := m.Message(3)
		begun := time.Now()
		c.Send(piece(1, 0, 16384), said, said, have(7))
		expectNext(t, peer, have(7))
		within(t, begun, 0, 0)
		expectNext(t, peer, piece(1, 0, 16384))
		bare := wire.Message{ID: wire.Extended, Payload: said.Payload}
		expectNext(t, peer, bare)
		expectNext(t, peer, bare)
		const seconds = (16384 + 2*wire.MetadataPiece) / perSecond
		within(t, begun, (seconds-1)*time.Second, (seconds+1)*time.Second)
		w.expect(Received{Msg: piece(1, 0, 16384), Sent: true})
		for range 2 {
			w.expect(Received{Msg: wire.Message{ID: wire.Extended, Length: wire.MetadataPiece}, Sent: true})
		}
		c.Close("enough")
	})
}
