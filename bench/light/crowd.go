package light

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

const (
	again  = time.Second      // Before a peer dials again that was sent away.
	remind = 60 * time.Second // Between keep-alives (BEP 3 lets peers close what was silent for two minutes).
)

// CrowdConfig says who stands around.
type CrowdConfig struct {
	Torrent string     // The .torrent file.
	Dir     string     // The folder that holds the payload under its name; not needed without slow peers.
	Repeat  int64      // As in SeedConfig.
	Address string     // The peer to dial, "host:port".
	From    netip.Addr // The address of the first peer, the next has the one after it; the system chooses if it is the zero value.

	Idle int // Peers that have some pieces and never unchoke.
	Slow int // Peers that have some pieces and serve them slowly.
	Rate int // Bytes a second of each slow peer; 1 at least if there are any.

	Out io.Writer // Gets the lines.
}

// Crowd is connected to a client with many peers until ctx ends, and returns
// nil then. Every piece is had by about half of them, and no peer wants any. It
// writes these lines:
//
//	connected <peers>  All peers have been connected once.
//	first <Unix time in nanoseconds>, lost <error>, sent <bytes>  As of Seed, by the slow peers.
func Crowd(ctx context.Context, c CrowdConfig) error {
	t, err := readTorrent(c.Torrent)
	if err != nil {
		return err
	}
	s := &source{torrent: t, lines: &lines{out: c.Out}}
	if c.Slow > 0 {
		if c.Rate < 1 {
			return fmt.Errorf("slow peers at %d bytes a second: give 1 at least", c.Rate)
		}
		if s.payload, err = mapPayload(t, c.Dir, c.Repeat); err != nil {
			return err
		}
		defer s.payload.close()
	}
	var peers sync.WaitGroup
	var here atomic.Int64
	from := c.From
	for k := range c.Idle + c.Slow {
		address := from
		peers.Go(func() {
			for first := true; ; first = false {
				socket, fast, err := s.connect(ctx, c.Address, address)
				if err != nil {
					return
				}
				if first && here.Add(1) == int64(c.Idle+c.Slow) {
					s.lines.say("connected %d", here.Load())
				}
				u := s.upload(socket, fast, half(t.info.PieceCount()))
				if k < c.Slow {
					s.serve(ctx, u, int64(c.Rate))
				} else {
					u.idle(ctx)
				}
				if sleep(ctx, again) != nil {
					return
				}
			}
		})
		if from.IsValid() {
			from = from.Next()
		}
	}
	peers.Wait()
	s.lines.say("sent %d", s.sent.Load())
	return nil
}

// half returns about half of n pieces, at random.
func half(n int) *bitfield.Bitfield {
	f := bitfield.New(n)
	for k := range n {
		if rand.IntN(2) == 0 {
			f.Set(k)
		}
	}
	return f
}

// idle is there and does nothing, until the connection or ctx ends.
func (u *upload) idle(ctx context.Context) {
	defer u.socket.close()
	if u.announce() != nil {
		return
	}
	for spoken := time.Now(); ; {
		if untilTick(ctx) != nil || u.socket.dropArrived() != nil {
			return
		}
		if time.Since(spoken) < remind {
			continue
		}
		spoken = time.Now()
		if u.socket.write(wire.Append(nil, wire.Message{ID: wire.KeepAlive}), false) != nil {
			return
		}
	}
}
