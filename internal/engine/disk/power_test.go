package disk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// TestPowerCutAtAnyInstantMakesNoWrongClaim lets the power go at each change of
// the volume during a download, loses what was not synced in several ways,
// and opens what is left: every piece that it claims is there, every piece
// that was durable is claimed, and the download can be finished.
func TestPowerCutAtAnyInstantMakesNoWrongClaim(t *testing.T) {
	s := mixed(t, 1)
	whole := newMemFS()
	fetchTillTheEnd(whole, s)
	if whole.ops < 30 {
		t.Fatalf("only %d changes", whole.ops)
	}
	for cut := 1; cut <= whole.ops; cut++ {
		m := newMemFS()
		m.cut = cut
		durable := fetchTillTheEnd(m, s)
		for seed := range uint64(4) {
			after := m.afterCut(rand.New(rand.NewPCG(seed, uint64(cut))))
			if err := goOn(t, after, s, durable); err != nil {
				t.Fatalf("cut at change %d, seed %d: %v", cut, seed, err)
			}
		}
	}
}

// TestPowerCutDuringALaterRunMakesNoWrongClaim does the same after a first run
// that was killed with pieces not synced, and after one that was closed: what
// these have left is older than the process that syncs it.
func TestPowerCutDuringALaterRunMakesNoWrongClaim(t *testing.T) {
	s := mixed(t, 3)
	for name, end := range map[string]func(*client){
		"closed": func(c *client) { c.mustClose(t) },
		"killed": func(*client) {},
	} {
		first := newMemFS()
		d := volume(first, 7)
		c := mustOpen(t, d, s)
		kept := bitfield.New(s.Info.PieceCount())
		for p := range uint32(3) {
			if r := c.fetch(p); !r.OK {
				t.Fatal(r)
			}
			if p == 0 {
				kept.Set(0)
				if err := c.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if end(c); name == "closed" {
			kept = c.Have()
		}
		before := first.afterKill()
		d.Close()

		whole := before.afterKill()
		fetchTillTheEnd(whole, s)
		for cut := 1; cut <= whole.ops; cut++ {
			m := before.afterKill()
			m.cut = cut
			durable := fetchTillTheEnd(m, s)
			for p := range kept.All() {
				durable.Set(p)
			}
			for seed := range uint64(4) {
				after := m.afterCut(rand.New(rand.NewPCG(seed, uint64(cut))))
				if err := goOn(t, after, s, durable); err != nil {
					t.Fatalf("first run %s, cut at change %d, seed %d: %v", name, cut, seed, err)
				}
			}
		}
	}
}

// fetchTillTheEnd fetches s until it is complete or the power goes, and returns what
// was said to be durable.
func fetchTillTheEnd(m *memFS, s *sample) (durable *bitfield.Bitfield) {
	d := volume(m, 7)
	d.workers = 1
	defer d.Close()
	durable = bitfield.New(s.Info.PieceCount())
	c, err := open(d, "", s)
	if err != nil {
		return durable
	}
	defer c.Close()
	rnd := rand.New(rand.NewPCG(3, 3))
	c.receive(4, s.piece(4)[:block.Size])
	for _, p := range rnd.Perm(s.Info.PieceCount()) {
		if c.Have().Has(p) {
			continue
		}
		if c.fetch(uint32(p)).Err != nil {
			return durable
		}
		if rnd.IntN(2) == 0 {
			continue
		}
		now := c.Have()
		if c.Sync(context.Background()) != nil {
			return durable
		}
		durable = now
	}
	return durable
}

// goOn opens what a power cut has left and finishes the download.
func goOn(t *testing.T, m *memFS, s *sample, durable *bitfield.Bitfield) error {
	d := volume(m, 7)
	defer d.Close()
	c, err := open(d, "", s)
	if err != nil {
		return err
	}
	have := c.Have()
	for p := range have.Len() {
		if have.Has(p) && !s.holds(m, p) {
			return fmt.Errorf("piece %d is claimed and not there", p)
		}
		if durable.Has(p) && !have.Has(p) {
			return fmt.Errorf("piece %d was durable and is forgotten", p)
		}
	}
	for p := range have.Len() {
		// Blocks left of a begun piece may be damaged; then it fails once.
		if r := c.fetch(uint32(p)); !have.Has(p) && !r.OK {
			if r = c.fetch(uint32(p)); !r.OK {
				return fmt.Errorf("piece %d can't be finished: %+v", p, r)
			}
		}
	}
	if err := c.Close(); err != nil {
		return err
	}
	s.onDisk(t, m)
	return nil
}

func TestPiecesBecomeDurableByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemFS()
		pool, _ := budget(64)
		d := New(Options{Pool: pool, OpenFS: func(string, string, bool) (FS, error) { return m, nil }})
		defer d.Close()
		s := mixed(t, 1)
		c := mustOpen(t, d, s)
		if r := c.fetch(0); !r.OK {
			t.Fatal(r)
		}
		if synctest.Wait(); c.Durable() != 0 {
			t.Error("a sync for one small piece was not worth it")
		}
		time.Sleep(defaultSyncInterval)
		if synctest.Wait(); c.Durable() != 1 {
			t.Error("not within the interval")
		}
		if r := c.fetch(1); !r.OK {
			t.Fatal(r)
		}
		d.wrote(d.dirtyMax)
		if synctest.Wait(); c.Durable() != 2 {
			t.Error("not after much was written")
		}
		m.fault = failing("sync", "/journal", syscall.EIO)
		if r := c.fetch(3); !r.OK {
			t.Fatal(r)
		}
		time.Sleep(defaultSyncInterval)
		if r := <-c.results; r.Index != NoPiece || !errors.Is(r.Err, ErrIO) {
			t.Errorf("a failed sync told %+v", r)
		}
	})
}

// TestKillAtAnyInstantLosesNoReportedPiece kills the process at each change.
func TestKillAtAnyInstantLosesNoWrittenPiece(t *testing.T) {
	s := mixed(t, 2)
	whole := newMemFS()
	fetchTillTheEnd(whole, s)
	for cut := 1; cut <= whole.ops; cut++ {
		m := newMemFS()
		m.cut = cut
		reported := reportedUntilCut(m, s)
		after := m.afterKill()
		d := volume(after, 7)
		c, err := open(d, "", s)
		if err != nil {
			t.Fatalf("killed at change %d: %v", cut, err)
		}
		have := c.Have()
		for p := range have.Len() {
			if reported.Has(p) && !have.Has(p) {
				t.Errorf("killed at change %d: piece %d was reported and is forgotten", cut, p)
			}
			if have.Has(p) != s.holds(after, p) {
				t.Errorf("killed at change %d: piece %d is claimed: %t, whole on the volume: %t", cut, p, have.Has(p), !have.Has(p))
			}
		}
		d.Close()
	}
}

func reportedUntilCut(m *memFS, s *sample) *bitfield.Bitfield {
	d := volume(m, 7)
	defer d.Close()
	reported := bitfield.New(s.Info.PieceCount())
	c, err := open(d, "", s)
	if err != nil {
		return reported
	}
	for p := range uint32(s.Info.PieceCount()) {
		r := c.fetch(p)
		if !r.OK {
			return reported
		}
		reported.Set(int(p))
		if p == 2 {
			_ = c.Sync(context.Background())
		}
	}
	return reported
}
