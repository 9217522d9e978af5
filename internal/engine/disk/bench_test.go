package disk

import (
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// benchSize is how much a benchmark downloads in each round.
const benchSize = 256 << 20

func benchDisk(b *testing.B) (*Disk, *sample) {
	d := New(Options{Pool: block.NewPool(64 << 20)})
	b.Cleanup(d.Close)
	return d, newSample(b, 1, 1<<20, part{"a", benchSize / 2, ""}, part{"b", benchSize / 2, ""})
}

// BenchmarkAssemble receives, hashes and writes pieces: all that happens to a
// byte between the socket and the page cache but the copy out of the socket,
// for which the copy here stands.
func BenchmarkAssemble(b *testing.B) {
	d, s := benchDisk(b)
	b.SetBytes(benchSize)
	for b.Loop() {
		b.StopTimer()
		c, err := open(d, b.TempDir(), s)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		n := uint32(s.Info.PieceCount())
		for p := range n {
			c.receive(p, s.piece(p))
			c.Finish(p, false)
		}
		for range n {
			if r := <-c.results; !r.OK {
				b.Fatal(r)
			}
		}
		b.StopTimer()
		if err := c.Erase(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkCheck hashes files that are in the page cache.
func BenchmarkCheck(b *testing.B) {
	d, s := benchDisk(b)
	c, err := open(d, b.TempDir(), s)
	if err != nil {
		b.Fatal(err)
	}
	for p := range uint32(s.Info.PieceCount()) {
		if r := c.fetch(p); !r.OK {
			b.Fatal(r)
		}
	}
	b.SetBytes(benchSize)
	for b.Loop() {
		if have, err := c.Check(b.Context(), nil); err != nil || !have.IsFull() {
			b.Fatal(err)
		}
	}
}

// BenchmarkClaim leases and commits blocks from all cores at once.
func BenchmarkClaim(b *testing.B) {
	d, s := benchDisk(b)
	c, err := open(d, b.TempDir(), s)
	if err != nil {
		b.Fatal(err)
	}
	for p := range uint32(64) {
		c.Commit(p, 63*block.Size, c.Claim(p, 63*block.Size, block.Size)) // Begins the piece.
	}
	b.SetBytes(block.Size)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := uint32(0); pb.Next(); i++ {
			p, begin := i/63%64, i%63*block.Size
			if lease := c.Claim(p, begin, block.Size); lease != nil {
				c.Abandon(lease)
			}
		}
	})
}
