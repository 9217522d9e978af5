package swarm

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// BenchmarkBlock measures a block's whole way through the swarm, in bursts of
// 64 from each of 200 seeds, with everything that follows: requests, pieces,
// haves. At 1 GiB a second there are 65,536 of them.
func BenchmarkBlock(b *testing.B) {
	for _, pieces := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("pieces=", pieces), func(b *testing.B) { benchBlock(b, pieces, 200) })
	}
}

func benchBlock(b *testing.B, pieces, peers int) {
	var s *Swarm
	var asked [][]wire.Message
	var done []Event
	now := epoch
	collect := func(fx *Effects) {
		for i := range fx.Send {
			if e := &fx.Send[i]; e.Msg.ID == wire.Request {
				asked[e.Peer] = append(asked[e.Peer], e.Msg)
			}
		}
		for _, f := range fx.Finish {
			done = append(done, Event{Kind: PieceDone, OK: true, Msg: wire.Message{Index: f.Piece}})
		}
	}
	start := func() {
		s = New(now, Config{Pieces: pieces, PieceLength: 16 * block.Size, Length: int64(pieces) * 16 * block.Size, MaxPeers: peers, Have: bitfield.New(pieces)})
		asked, done = make([][]wire.Message, peers), done[:0]
		for p := range peers {
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(p >> 8), byte(p)}), 1)
			collect(s.Handle(now, []Event{
				{Kind: Connected, Peer: Peer(p), Addr: a, Fast: true, PeerID: key(fmt.Sprint(p))},
				{Kind: Received, Peer: Peer(p), Msg: wire.Message{ID: wire.HaveAll}},
				{Kind: Received, Peer: Peer(p), Msg: wire.Message{ID: wire.Unchoke}},
			}))
		}
	}
	start()
	events := make([]Event, 0, 128)
	b.ReportAllocs()
	b.ResetTimer()
	for n, p := 0, 0; n < b.N; p = (p + 1) % peers {
		if s.have.IsFull() {
			b.StopTimer()
			start()
			b.StartTimer()
		}
		k := min(64, len(asked[p]))
		events = append(events[:0], done...)
		done = done[:0]
		for _, m := range asked[p][:k] {
			m.ID = wire.Piece
			events = append(events, Event{Kind: Block, Peer: Peer(p), Fresh: true, Msg: m})
		}
		rest := copy(asked[p], asked[p][k:])
		asked[p] = asked[p][:rest]
		now = now.Add(time.Millisecond)
		collect(s.Handle(now, events))
		n += max(k, 1)
	}
}
