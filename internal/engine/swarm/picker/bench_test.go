package picker

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// BenchmarkPick measures a block's whole way through the picker (asked for,
// got, and its share of its piece's verification) with 200 peers that each
// have a random part of the pieces. It must not depend on how many pieces there
// are: at most three times as much at 1,000,000 as at 1,000.
func BenchmarkPick(b *testing.B) {
	for _, percent := range []int{1, 50, 99} {
		for _, n := range []int{1_000, 1_000_000} {
			b.Run(fmt.Sprintf("have=%d%%/pieces=%d", percent, n), func(b *testing.B) {
				benchPick(b, n, percent, func(*Config) {})
			})
		}
	}
}

// BenchmarkPickOfASelection does the same where every tenth piece is urgent and
// every other one not wanted, and where pieces are begun in their order.
func BenchmarkPickOfASelection(b *testing.B) {
	for name, choose := range map[string]func(*Config){
		"classes": func(c *Config) {
			c.Wanted = []*bitfield.Bitfield{bitfield.New(c.Pieces), bitfield.New(c.Pieces)}
			for i := 0; i < c.Pieces; i += 2 {
				c.Wanted[min(1, i%10)].Set(i)
			}
		},
		"sequential": func(c *Config) { c.Sequential = true },
	} {
		for _, percent := range []int{1, 50, 99} {
			for _, n := range []int{1_000, 1_000_000} {
				b.Run(fmt.Sprintf("%s/have=%d%%/pieces=%d", name, percent, n), func(b *testing.B) { benchPick(b, n, percent, choose) })
			}
		}
	}
}

func benchPick(b *testing.B, n, percent int, choose func(*Config)) {
	const peers, blocks, depth = 200, 16, 64
	rng := rand.New(rand.NewPCG(1, 2))
	sets := make([]*bitfield.Bitfield, peers)
	for k := range sets {
		sets[k] = bitfield.New(n)
		for i := range n {
			if rng.IntN(100) < percent {
				sets[k].Set(i)
			}
		}
	}
	fill := func() (*Picker, []*Peer) {
		have := bitfield.New(n)
		for i := range tradable {
			have.Set(i)
		}
		c := Config{Pieces: n, Blocks: blocks, LastBlocks: blocks, Have: have, Seed: 1}
		choose(&c)
		p := New(c)
		var rs []*Peer
		for k, s := range sets {
			r := p.Join(ID(k))
			p.SetHave(r, s.Clone())
			rs = append(rs, r)
		}
		return p, rs
	}
	p, rs := fill()
	var dst []Block
	b.ReportAllocs()
	b.ResetTimer()
	dry := 0
	for done := 0; done < b.N; {
		r := rs[rng.IntN(peers)]
		dst = p.Pick(dst[:0], r, depth, true)
		if len(dst) == 0 {
			if dry++; dry > peers {
				b.StopTimer()
				p, rs = fill()
				dry = 0
				b.StartTimer()
			}
			continue
		}
		dry = 0
		for _, x := range dst {
			if whole, _ := p.Got(r.id, x); whole {
				p.Verified(x.Piece)
			}
		}
		done += len(dst)
	}
}

// BenchmarkJoin measures what a new peer's bitfield costs.
func BenchmarkJoin(b *testing.B) {
	const n = 1_000_000
	for _, percent := range []int{1, 50, 99} {
		b.Run(fmt.Sprintf("have=%d%%", percent), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			p := New(Config{Pieces: n, Blocks: 16, LastBlocks: 16, Have: bitfield.New(n), Seed: 1})
			have := bitfield.New(n)
			for i := range n {
				if rng.IntN(100) < percent {
					have.Set(i)
				}
			}
			for k := 0; b.Loop(); k++ {
				r := p.Join(ID(k))
				p.SetHave(r, have)
				p.Leave(r)
			}
		})
	}
}
