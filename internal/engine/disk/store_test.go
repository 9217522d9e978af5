package disk

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// newRealDisk makes a disk of real files.
func newRealDisk(t *testing.T) (*Disk, string) {
	d := New(Options{Pool: block.NewPool(1 << 20), Workers: 2})
	t.Cleanup(d.Close)
	return d, t.TempDir()
}

func openReal(t *testing.T, d *Disk, dir string, s *sample) *client {
	t.Helper()
	c, err := open(d, dir, s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPiecesEndUpInRealFiles(t *testing.T) {
	s := mixed(t, 1)
	d, dir := newRealDisk(t)
	c := openReal(t, d, dir, s)
	c.fetchAll(t)
	if err := c.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.Durable() != s.Info.PieceCount() || c.Completed().IsZero() {
		t.Errorf("%d pieces durable, completed %v", c.Durable(), c.Completed())
	}
	buf := make([]byte, 1000)
	if err := c.ReadBlock(buf, 1, 77); err != nil || !bytes.Equal(buf, s.piece(1)[77:1077]) {
		t.Errorf("reading a block: %v", err)
	}
	completed := c.Completed()
	c.mustClose(t)
	for i, f := range s.Info.Files {
		name := filepath.Join(dir, "down/load", f.Path)
		b, err := os.ReadFile(name)
		if f.Pad {
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("BEP 47: the padding file %q was made", f.Path)
			}
			continue
		}
		if err != nil || !bytes.Equal(b, s.file(i)) {
			t.Errorf("%q: %d bytes, %v", f.Path, len(b), err)
		}
		info, err := os.Stat(name)
		if err != nil || (info.Mode()&0o100 != 0) != f.Executable {
			t.Errorf("%q: mode %v, %v; executable is %v", f.Path, info.Mode(), err, f.Executable)
		}
	}
	c = openReal(t, d, dir, s)
	if !c.Have().IsFull() || c.Durable() != s.Info.PieceCount() || c.Completed().Unix() != completed.Unix() {
		t.Errorf("opened again: %d pieces, %d durable, completed %v", c.Have().Count(), c.Durable(), c.Completed())
	}
	c.mustClose(t)
}

func TestAllOfAPieceSurvivesAKillOnceItIsReported(t *testing.T) {
	s := mixed(t, 2)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	for p := range uint32(3) {
		if r := c.fetch(p); !r.OK {
			t.Fatal(r)
		}
	}
	after := m.afterKill()
	c.Close()

	d2 := volume(after, 64)
	defer d2.Close()
	c2 := mustOpen(t, d2, s)
	if want := pieces(s.Info.PieceCount(), 0, 1, 2); !equal(c2.Have(), want) {
		t.Errorf("after a kill there are %x, not %x", c2.Have().Bytes(), want.Bytes())
	}
	if c2.Durable() != 0 {
		t.Errorf("%d pieces are called durable that were never synced", c2.Durable())
	}
	if err := c2.Sync(t.Context()); err != nil || c2.Durable() != 3 {
		t.Errorf("after a sync %d of 3 are durable, %v", c2.Durable(), err)
	}
	c2.fetchAll(t)
	c2.mustClose(t)
	s.onDisk(t, after)
}

func TestBlocksOfBegunPiecesSurviveClose(t *testing.T) {
	s := mixed(t, 3)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	c.receive(0, s.piece(0)[:3*block.Size])
	c.mustClose(t)

	c = mustOpen(t, d, s)
	part := c.Partial()
	if len(part) != 1 || part[0].Index != 0 || !equal(part[0].Blocks, pieces(5, 0, 1, 2)) {
		t.Fatalf("found %+v", part)
	}
	if c.Claim(0, block.Size, block.Size) != nil {
		t.Error("a block that is on the volume was leased")
	}
	if r := c.fetch(0); !r.OK {
		t.Errorf("a piece begun in an earlier run: %+v", r)
	}
	c.fetchAll(t)
	c.mustClose(t)
	s.onDisk(t, m)
	if d.pool.Used() != 0 {
		t.Errorf("%d bytes of memory were not given back", d.pool.Used())
	}
}

func TestBadPieceIsForgottenAndItsDigestsTellWhichBlock(t *testing.T) {
	s := mixed(t, 4)
	for _, slots := range []int{64, 1} {
		m := newMemFS()
		d := volume(m, slots)
		c := mustOpen(t, d, s)
		bad := bytes.Clone(s.piece(0))
		bad[3*block.Size+5] ^= 1
		c.receive(0, bad)
		c.Finish(0, false)
		r1 := <-c.results
		if r1.OK || r1.Err != nil || len(r1.Digests) != 5 || c.Have().Has(0) {
			t.Fatalf("a bad piece: %+v", r1)
		}
		c.receive(0, s.piece(0))
		c.Finish(0, true)
		r2 := <-c.results
		if !r2.OK || len(r2.Digests) != 5 {
			t.Fatalf("the good one: %+v", r2)
		}
		for i := range r1.Digests {
			if (r1.Digests[i] != r2.Digests[i]) != (i == 3) {
				t.Errorf("block %d: digests %x and %x", i, r1.Digests[i], r2.Digests[i])
			}
		}
		c.mustClose(t)
		d.Close()
	}
}

func TestFinishOfAnIncompletePieceIsRefused(t *testing.T) {
	s := mixed(t, 5)
	d := volume(newMemFS(), 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	c.receive(1, s.piece(1)[:block.Size])
	c.Finish(1, false)
	if r := <-c.results; r.OK || r.Index != 1 || !errors.Is(r.Err, ErrIncomplete) {
		t.Errorf("got %+v", r)
	}
}

func TestOnlyVerifiedPiecesAreServed(t *testing.T) {
	s := mixed(t, 6)
	d := volume(newMemFS(), 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	c.receive(1, s.piece(1))
	buf := make([]byte, block.Size)
	for _, at := range [][2]uint32{{1, 0}, {99, 0}} {
		if err := c.ReadBlock(buf, at[0], at[1]); !errors.Is(err, ErrUnverified) {
			t.Errorf("block %v: %v", at, err)
		}
	}
	c.Finish(1, false)
	<-c.results
	if err := c.ReadBlock(buf, 1, 4*block.Size+1); !errors.Is(err, ErrUnverified) {
		t.Errorf("beyond the piece: %v", err)
	}
	if err := c.ReadBlock(buf, 1, 4*block.Size); err != nil || !bytes.Equal(buf, s.piece(1)[4*block.Size:]) {
		t.Errorf("the last block: %v", err)
	}
	c.mustClose(t)
	if err := c.ReadBlock(buf, 1, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestARunOfBlocksIsReadAtOnceAcrossFilesAndPadding(t *testing.T) {
	s := mixed(t, 7)
	d, dir := newRealDisk(t)
	c := openReal(t, d, dir, s)
	c.fetchAll(t)
	for p := range uint32(s.Info.PieceCount()) {
		for _, begin := range []int{0, block.Size, 2*block.Size + 1} {
			want := s.piece(p)[min(begin, len(s.piece(p))):]
			got := bytes.Repeat([]byte{0xaa}, len(want))
			if err := c.ReadBlock(got, p, uint32(begin)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("piece %d from %d on: %v", p, begin, err)
			}
		}
	}
	if err := os.Truncate(filepath.Join(dir, "down/load/t/sub/c.bin"), 4*block.Size); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for p := range uint32(s.Info.PieceCount()) {
		if err := c.ReadBlock(make([]byte, len(s.piece(p))), p, 0); errors.Is(err, ErrIO) {
			failed++
		} else if err != nil {
			t.Errorf("piece %d of a shortened file: %v", p, err)
		}
	}
	if failed != 2 {
		t.Errorf("%d pieces are said to be unreadable, want 2", failed)
	}
	c.mustClose(t)
}
