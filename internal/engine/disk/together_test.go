package disk

import (
	"sync/atomic"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// Pieces of one batch that follow each other are written with one call, and
// each of them gets the error if that fails.
func TestNeighboursAreWrittenTogether(t *testing.T) {
	const length = 16 * block.Size
	s := newSample(t, 1, block.Size, part{"file", length, ""})
	for _, full := range []bool{false, true} {
		m := newMemFS()
		d := volumes(1<<20, map[string]*memFS{"": m})
		t.Cleanup(d.Close)
		c := mustOpen(t, d, s)
		var writes atomic.Int64
		m.fault = func(op, name string) error {
			if op != "write" || name != s.Info.Files[0].Path {
				return nil
			}
			writes.Add(1)
			if full {
				return ErrNoSpace
			}
			return nil
		}
		var batch []*assembly
		for _, i := range []uint32{5, 3, 4, 9, 2} {
			c.receive(i, s.piece(i))
			c.mu.Lock()
			a := c.pieces[i]
			a.finishing = true
			c.work.Add(1)
			c.mu.Unlock()
			batch = append(batch, a)
		}
		c.finish(batch, &writer{})
		for range batch {
			c.work.Done()
			if r := <-c.results; r.OK == full || (r.Err != nil) != full {
				t.Errorf("with a full volume: %v: %+v", full, r)
			}
		}
		if n := writes.Load(); n != 2 {
			t.Errorf("2 to 5 and 9 were written with %d calls, not 2", n)
		}
	}
}

// What is spilled of a piece is as dirty as what is whole, so it hastens the
// next sync too, and that flushes it.
func TestSpilledBytesCountUntilTheyAreSynced(t *testing.T) {
	const length = 64 * block.Size
	s := newSample(t, 1, length, part{"file", length, ""})
	m := newMemFS()
	d := volumes(1<<20, map[string]*memFS{"": m})
	defer d.Close()
	c := mustOpen(t, d, s)
	c.receive(0, s.piece(0)[:length/2])
	before := d.unsynced.Load()
	c.mu.Lock()
	a := c.pieces[0]
	c.mu.Unlock()
	if !c.spill(a) {
		t.Fatal("not spilled")
	}
	if n := d.unsynced.Load() - before; n != length/2 {
		t.Errorf("%d bytes are to be synced, not %d", n, length/2)
	}
	var synced atomic.Bool
	m.fault = func(op, name string) error {
		if op == "sync" && name == s.Info.Files[0].Path {
			synced.Store(true)
		}
		return nil
	}
	if err := c.Sync(t.Context()); err != nil || !synced.Load() {
		t.Errorf("the file was synced: %v, %v", synced.Load(), err)
	}
	if r := c.fetch(0); !r.OK {
		t.Errorf("%+v", r)
	}
	if n := d.unsynced.Load() - before; n != length {
		t.Errorf("%d bytes of the whole piece are counted, not %d", n, length)
	}
}
