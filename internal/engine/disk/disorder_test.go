package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// TestRandomOrderEndsWithTheRightBytes downloads several torrents at once with
// a budget of little more than two pieces, in a random order, with blocks
// given up, claimed twice and corrupted, writes cut short, few open files,
// syncs and restarts in between.
func TestRandomOrderEndsWithTheRightBytes(t *testing.T) {
	for seed := range uint64(8) {
		volumeOf, samples := map[string]*memFS{}, map[string]*sample{}
		for i := range uint64(3) {
			dir := fmt.Sprint("volume ", i)
			volumeOf[dir] = newMemFS()
			volumeOf[dir].short = rand.New(rand.NewPCG(seed, i))
			samples[dir] = newSample(t, seed*10+i, 5*block.Size,
				part{"x", 33 * block.Size, ""}, part{"y", 100 + int(i), ""}, part{"pad", 1000, "p"}, part{"z", 4 * block.Size, ""})
		}
		d := volumes(12, volumeOf)
		pinned := d.pool.Used()
		done := make(chan error)
		for dir, s := range samples {
			go func() {
				x := &disorder{d: d, dir: dir, s: s, rnd: rand.New(rand.NewPCG(seed, uint64(len(s.content))))}
				done <- x.run()
			}()
		}
		for range samples {
			if err := <-done; err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		d.Close()
		for dir, s := range samples {
			s.onDisk(t, volumeOf[dir])
			if n := volumeOf[dir].opened; n != 0 {
				t.Errorf("seed %d: %d files are still open", seed, n)
			}
		}
		if d.pool.Used() != pinned {
			t.Errorf("seed %d: %d bytes of memory were not given back", seed, d.pool.Used()-pinned)
		}
	}
}

// disorder downloads a torrent in disorder.
type disorder struct {
	d   *Disk
	dir string
	s   *sample
	rnd *rand.Rand

	c      *client
	have   *bitfield.Bitfield
	blocks map[uint32]*bitfield.Bitfield // Committed, of pieces that are not verified.
	leases []lease
}

type lease struct {
	piece, begin uint32
	buf          []byte
}

func (x *disorder) run() error {
	if err := x.start(); err != nil {
		return err
	}
	for steps := 0; !x.have.IsFull(); steps++ {
		if steps > 200_000 {
			return fmt.Errorf("only %d of %d pieces after %d steps", x.have.Count(), x.have.Len(), steps)
		}
		if err := x.step(); err != nil {
			return err
		}
	}
	return x.c.Close()
}

func (x *disorder) start() (err error) {
	if x.c, err = open(x.d, x.dir, x.s); err != nil {
		return err
	}
	x.have, x.blocks = x.c.Have(), map[uint32]*bitfield.Bitfield{}
	for _, p := range x.c.Partial() {
		x.blocks[p.Index] = p.Blocks
	}
	return nil
}

func (x *disorder) step() error {
	switch n := x.rnd.IntN(1000); {
	case n < 2:
		return x.restart()
	case n < 12:
		return x.c.Sync(context.Background())
	case len(x.leases) > 2 || len(x.leases) > 0 && n < 400:
		return x.settle()
	default:
		return x.claim()
	}
}

// restart stops and goes on where it was.
func (x *disorder) restart() error {
	for len(x.leases) > 0 {
		if err := x.settle(); err != nil {
			return err
		}
	}
	verified := x.c.Have()
	if err := x.c.Close(); err != nil {
		return err
	}
	if err := x.start(); err != nil {
		return err
	}
	for p := range verified.All() {
		if !x.have.Has(p) {
			return fmt.Errorf("piece %d was forgotten by a restart", p)
		}
	}
	return nil
}

// claim takes a lease of some block, of which others may have one too.
func (x *disorder) claim() error {
	p := uint32(x.rnd.IntN(x.have.Len()))
	if x.have.Has(int(p)) {
		return nil
	}
	size := x.s.Info.PieceSize(int(p))
	i := x.rnd.IntN(blockCount(size))
	begin := uint32(i * block.Size)
	buf := x.c.Claim(p, begin, uint32(min(block.Size, size-int64(begin))))
	known := x.knows(p, i)
	if known != (buf == nil) {
		return fmt.Errorf("block %d of piece %d: here already is %v, and a lease was given: %v", i, p, known, buf != nil)
	}
	if buf != nil {
		x.leases = append(x.leases, lease{p, begin, buf})
	}
	return nil
}

// knows says whether a block was received.
func (x *disorder) knows(p uint32, i int) bool {
	return x.have.Has(int(p)) || x.blocks[p] != nil && x.blocks[p].Has(i)
}

// settle ends the oldest lease in one of the possible ways.
func (x *disorder) settle() error {
	l := x.leases[0]
	x.leases = x.leases[1:]
	n := x.rnd.IntN(100)
	copy(l.buf, x.s.piece(l.piece)[l.begin:])
	if n < 2 {
		l.buf[0] ^= 1
	}
	if n > 90 {
		x.c.Abandon(l.buf)
		return nil
	}
	known := x.knows(l.piece, int(l.begin/block.Size))
	if fresh := x.c.Commit(l.piece, l.begin, l.buf); fresh == known {
		return fmt.Errorf("a leased block of piece %d counted: %v; it was here already: %v", l.piece, fresh, known)
	}
	if known {
		return nil
	}
	b := x.blocks[l.piece]
	if b == nil {
		b = bitfield.New(blockCount(x.s.Info.PieceSize(int(l.piece))))
		x.blocks[l.piece] = b
	}
	b.Set(int(l.begin / block.Size))
	if !b.IsFull() {
		return nil
	}
	delete(x.blocks, l.piece)
	x.c.Finish(l.piece, false)
	r := <-x.c.results
	if r.Err != nil {
		return r.Err
	}
	if r.OK {
		x.have.Set(int(r.Index))
	}
	return nil
}
