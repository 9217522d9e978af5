package disk

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

func TestABlockHasOneLeaseAtATime(t *testing.T) {
	s := mixed(t, 1)
	d := volume(newMemFS(), 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	if buf := c.Claim(0, block.Size, block.Size); len(buf) != block.Size {
		t.Fatalf("a lease of %d bytes", len(buf))
	}
	if c.Claim(0, block.Size, block.Size) != nil {
		t.Error("a leased block was leased again")
	}
	c.Abandon(0, block.Size)
	if len(c.pieces) != 0 || d.pool.Used() != 0 {
		t.Errorf("an abandoned block leaves %d pieces and %d bytes", len(c.pieces), d.pool.Used())
	}
	if c.Commit(0, block.Size) {
		t.Error("an abandoned block was committed")
	}
	if c.Claim(0, block.Size, block.Size) == nil {
		t.Error("an abandoned block can't be leased")
	}
	if !c.Commit(0, block.Size) || c.Commit(0, block.Size) {
		t.Error("a block counts once")
	}
	if c.Claim(0, block.Size, block.Size) != nil {
		t.Error("a block that was received was leased again")
	}
}

func TestOnlyBlocksOfTheTorrentAreLeased(t *testing.T) {
	s := mixed(t, 1)
	d := volume(newMemFS(), 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	last := uint32(s.Info.PieceCount() - 1)
	size := uint32(s.Info.PieceSize(int(last)))
	tail := size % block.Size
	for _, at := range [][3]uint32{
		{last + 1, 0, block.Size}, {1 << 31, 0, block.Size}, {0, 5 * block.Size, block.Size}, {0, 1 << 31, block.Size},
		{0, 100, block.Size}, {0, 0, block.Size - 1}, {0, 0, block.Size + 1}, {0, 0, 0}, {last, size - tail, tail + 1}, {last, size - tail, block.Size},
	} {
		if c.Claim(at[0], at[1], at[2]) != nil {
			t.Errorf("%v was leased", at)
		}
	}
	if buf := c.Claim(last, size-tail, tail); len(buf) != int(tail) {
		t.Errorf("the last block is leased with %d of %d bytes", len(buf), tail)
	}
	c.Abandon(last, size-tail)
	if r := c.fetch(0); !r.OK {
		t.Fatal(r)
	}
	if c.Claim(0, 0, block.Size) != nil {
		t.Error("a block of a verified piece was leased")
	}
	c.mustClose(t)
	if c.Claim(1, 0, block.Size) != nil {
		t.Error("a closed store leases blocks")
	}
}

func TestALeaseThatOutlivesCloseIsGivenBackAndDoesNotCount(t *testing.T) {
	s := mixed(t, 1)
	d := volume(newMemFS(), 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	buf := c.Claim(0, 0, block.Size)
	c.mustClose(t)
	buf[0] = 1
	if c.Commit(0, 0) {
		t.Error("it counted")
	}
	if d.pool.Used() != 0 {
		t.Errorf("%d bytes of memory were not given back", d.pool.Used())
	}
}

// inBubble runs a test in which time passes only while everybody waits.
func inBubble(t *testing.T, slots int, f func(t *testing.T, m *memFS, d *Disk)) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemFS()
		d := volume(m, slots)
		defer d.Close()
		f(t, m, d)
	})
}

func TestTrickleOfLeasesDelaysOthersOnlySoLong(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, m *memFS, d *Disk) {
		c := mustOpen(t, d, mixed(t, 1))
		for i := range uint32(4) {
			c.Claim(0, i*block.Size, block.Size)
		}
		began := time.Now()
		if c.Claim(1, 0, block.Size) != nil || time.Since(began) != claimWait {
			t.Errorf("with all memory leased, Claim took %v", time.Since(began))
		}
		// The moment that one of them arrives there is something to spill.
		go func() {
			time.Sleep(time.Second)
			c.Commit(0, 2*block.Size)
		}()
		began = time.Now()
		if c.Claim(1, 0, block.Size) == nil || time.Since(began) != time.Second {
			t.Errorf("with a block to be spilled after a second, Claim took %v", time.Since(began))
		}
		for i := range uint32(4) {
			c.Abandon(0, i*block.Size)
		}
		c.Abandon(1, 0)
		c.mustClose(t)
	})
}

func TestClaimWaitsForAPieceBeingWritten(t *testing.T) {
	inBubble(t, 5, func(t *testing.T, m *memFS, d *Disk) {
		s := mixed(t, 1)
		c := mustOpen(t, d, s)
		c.receive(0, s.piece(0))
		m.fault = func(op, name string) error {
			if op == "write" && name == "t/a.bin" {
				m.mu.Unlock()
				time.Sleep(claimWait / 2)
				m.mu.Lock()
			}
			return nil
		}
		began := time.Now()
		c.Finish(0, false)
		if c.Claim(1, 0, block.Size) == nil || time.Since(began) != claimWait/2 {
			t.Errorf("Claim took %v", time.Since(began))
		}
		c.Abandon(1, 0)
		if r := <-c.results; !r.OK {
			t.Error(r)
		}
		c.mustClose(t)
	})
}

func TestThePieceTouchedLongestAgoIsSpilled(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 6)
	defer d.Close()
	c := mustOpen(t, d, s)
	for _, p := range []uint32{0, 1, 2} {
		c.receive(p, s.piece(p)[:2*block.Size])
	}
	if c.Claim(0, 2*block.Size, block.Size) == nil {
		t.Fatal("no room was made")
	}
	if b := m.bytes("t/a.bin"); len(b) < 2*block.Size || string(b[:2*block.Size]) != string(s.content[:2*block.Size]) {
		t.Errorf("the oldest piece is not in its file: %d bytes", len(b))
	}
	// Piece 0 has just been touched, so 1 is the oldest now.
	if c.Claim(0, 3*block.Size, block.Size) == nil || c.Claim(0, 4*block.Size, block.Size) == nil {
		t.Fatal("no room was made")
	}
	c.mu.Lock()
	for p, want := range map[uint32]int{1: 0, 2: 2} {
		if c.pieces[p].held != want {
			t.Errorf("piece %d has %d blocks in memory, not %d", p, c.pieces[p].held, want)
		}
	}
	c.mu.Unlock()
	for _, i := range []uint32{2, 3, 4} {
		c.Abandon(0, i*block.Size)
	}
	c.fetchAll(t)
	c.mustClose(t)
	s.onDisk(t, m)
}

func TestAPieceLargerThanTheBudgetIsAssembled(t *testing.T) {
	s := newSample(t, 1, 40*block.Size, part{"a", 95 * block.Size, ""}, part{"b", 17, ""})
	m := newMemFS()
	d := volume(m, 3)
	defer d.Close()
	c := mustOpen(t, d, s)
	c.fetchAll(t)
	c.mustClose(t)
	s.onDisk(t, m)
}

func TestClaimAndCommitDoNotAllocate(t *testing.T) {
	s := newSample(t, 1, 64*block.Size, part{"a", 64 * block.Size, ""})
	d := volume(newMemFS(), 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	c.Claim(0, 0, block.Size) // Begins the piece.
	i := uint32(1)
	if n := testing.AllocsPerRun(50, func() {
		c.Claim(0, i*block.Size, block.Size)
		c.Commit(0, i*block.Size)
		i++
	}); n != 0 {
		t.Errorf("%v allocations a block", n)
	}
	c.Commit(0, 0)
}
