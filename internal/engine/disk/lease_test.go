package disk

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

func TestTheFirstCommitOfABlockCounts(t *testing.T) {
	s := mixed(t, 1)
	d := volume(newMemFS(), 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	lost := c.Claim(0, block.Size, block.Size)
	if len(lost) != block.Size {
		t.Fatalf("a lease of %d bytes", len(lost))
	}
	c.Abandon(lost)
	if len(c.pieces) != 0 || d.pool.Used() != 0 {
		t.Errorf("an abandoned block leaves %d pieces and %d bytes", len(c.pieces), d.pool.Used())
	}
	slow, fast := c.Claim(0, block.Size, block.Size), c.Claim(0, block.Size, block.Size)
	if slow == nil || fast == nil || &slow[0] == &fast[0] {
		t.Fatal("two who receive a block need a lease each")
	}
	if !c.Commit(0, block.Size, fast) || c.Commit(0, block.Size, slow) {
		t.Error("a block counts once")
	}
	if d.pool.Used() != block.Size {
		t.Errorf("a block takes %d bytes", d.pool.Used())
	}
	if c.Claim(0, block.Size, block.Size) != nil {
		t.Error("a block that was received was leased again")
	}
}

func TestALeaseThatOutlivesItsPieceDoesNotCount(t *testing.T) {
	s := mixed(t, 1)
	d := volume(newMemFS(), 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	slow := c.Claim(0, 0, block.Size)
	if r := c.fetch(0); !r.OK {
		t.Fatal(r)
	}
	if c.Commit(0, 0, slow) {
		t.Error("it counted")
	}
	if len(c.pieces) != 0 || d.pool.Used() != 0 {
		t.Errorf("it leaves %d pieces and %d bytes", len(c.pieces), d.pool.Used())
	}
}

// The swarm has to hear that a piece was bad before it hears of new blocks of
// it: it would take them for blocks of the piece that is being hashed.
func TestABadPieceIsReportedBeforeItsBlocksCountAgain(t *testing.T) {
	s := mixed(t, 1)
	d := volume(newMemFS(), 64)
	defer d.Close()
	c := &client{sample: s, results: make(chan Result, 1)}
	var err error
	c.Store, err = d.Open(t.Context(), Spec{Path: "down/load", Info: s.Info, InfoHash: s.InfoHash, Done: func(r Result) {
		if c.mu.TryLock() {
			c.mu.Unlock()
			t.Error("a block could be committed before the piece was reported")
		}
		c.results <- r
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	late := c.Claim(0, 0, block.Size)
	c.receive(0, make([]byte, s.Info.PieceSize(0)))
	c.Finish(0, false)
	if r := <-c.results; r.OK || r.Err != nil {
		t.Fatal(r)
	}
	if !c.Commit(0, 0, late) {
		t.Error("a block of a bad piece did not count")
	}
	c.mustClose(t)
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
	buf := c.Claim(last, size-tail, tail)
	if len(buf) != int(tail) {
		t.Errorf("the last block is leased with %d of %d bytes", len(buf), tail)
	}
	c.Abandon(buf)
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
	if c.Commit(0, 0, buf) {
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
		var leases [4][]byte
		for i := range uint32(4) {
			leases[i] = c.Claim(0, i*block.Size, block.Size)
		}
		began := time.Now()
		if c.Claim(1, 0, block.Size) != nil || time.Since(began) != claimWait {
			t.Errorf("with all memory leased, Claim took %v", time.Since(began))
		}
		// The moment that one of them arrives there is something to spill.
		go func() {
			time.Sleep(time.Second)
			c.Commit(0, 2*block.Size, leases[2])
		}()
		began = time.Now()
		other := c.Claim(1, 0, block.Size)
		if other == nil || time.Since(began) != time.Second {
			t.Errorf("with a block to be spilled after a second, Claim took %v", time.Since(began))
		}
		for _, i := range []int{0, 1, 3} {
			c.Abandon(leases[i])
		}
		c.Abandon(other)
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
		lease := c.Claim(1, 0, block.Size)
		if lease == nil || time.Since(began) != claimWait/2 {
			t.Errorf("Claim took %v", time.Since(began))
		}
		c.Abandon(lease)
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
	leases := [][]byte{c.Claim(0, 2*block.Size, block.Size)}
	if leases[0] == nil {
		t.Fatal("no room was made")
	}
	if b := m.bytes("t/a.bin"); len(b) < 2*block.Size || string(b[:2*block.Size]) != string(s.content[:2*block.Size]) {
		t.Errorf("the oldest piece is not in its file: %d bytes", len(b))
	}
	// Piece 0 has just been touched, so 1 is the oldest now.
	leases = append(leases, c.Claim(0, 3*block.Size, block.Size), c.Claim(0, 4*block.Size, block.Size))
	if leases[1] == nil || leases[2] == nil {
		t.Fatal("no room was made")
	}
	c.mu.Lock()
	for p, want := range map[uint32]int{1: 0, 2: 2} {
		if c.pieces[p].held != want {
			t.Errorf("piece %d has %d blocks in memory, not %d", p, c.pieces[p].held, want)
		}
	}
	c.mu.Unlock()
	for _, lease := range leases {
		c.Abandon(lease)
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
	i := uint32(0)
	receive := func() {
		c.Commit(0, i*block.Size, c.Claim(0, i*block.Size, block.Size))
		i++
	}
	receive() // Begins the piece.
	if n := testing.AllocsPerRun(50, receive); n != 0 {
		t.Errorf("%v allocations a block", n)
	}
}
