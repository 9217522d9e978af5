package disk

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

func TestCheckFindsWhatWentBadAndWhatCameByItself(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	for _, p := range []uint32{0, 1, 2} {
		if r := c.fetch(p); !r.OK {
			t.Fatal(r)
		}
	}
	if err := c.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.receive(3, s.piece(3)[:block.Size])
	m.mu.Lock()
	m.names["t/a.bin"].data[6*block.Size] ^= 1 // In piece 1.
	m.mu.Unlock()
	m.put("t/e.bin", s.file(7))
	c.making.Lock()
	c.exists.Set(7)
	c.making.Unlock()
	var last, calls int64
	have, err := c.Check(t.Context(), func(done, total int64) {
		if calls++; done < last || total != int64(len(s.content))-s.Info.PieceSize(3) {
			t.Errorf("progress went from %d to %d of %d", last, done, total)
		}
		last = done
	})
	if err != nil || !equal(have, pieces(5, 0, 2, 4)) || !equal(c.Have(), have) {
		t.Fatalf("found %x, %v", have.Bytes(), err)
	}
	if last != int64(len(s.content))-s.Info.PieceSize(3) || calls != 5 {
		t.Errorf("progress ended at %d after %d calls", last, calls)
	}
	if c.Durable() != 2 {
		t.Errorf("%d durable", c.Durable())
	}
	killed := m.afterKill()
	c.fetchAll(t)
	c.mustClose(t)
	s.onDisk(t, m)

	d2 := volume(killed, 64)
	defer d2.Close()
	if c := mustOpen(t, d2, s); !equal(c.Have(), have) {
		t.Errorf("after a kill: %x", c.Have().Bytes())
	}
}

func TestCheckEndsWithItsContextAndWithAnError(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	c.fetchAll(t)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.Check(ctx, func(done, total int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	m.fault = failing("read", "sub/c.bin", syscall.EIO)
	if _, err := c.Check(t.Context(), nil); !errors.Is(err, ErrIO) {
		t.Errorf("a read error: %v", err)
	}
	if !c.Have().IsFull() {
		t.Errorf("a check that failed has changed something: %x", c.Have().Bytes())
	}
	m.fault = nil
	c.mustClose(t)
	if _, err := c.Check(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	var parts []part
	for i := range 40 {
		parts = append(parts, part{string(rune('A'+i%26)) + string(rune('a'+i/26)), 5000, ""})
	}
	s := newSample(t, 1, 4*block.Size, parts...)
	m := newMemFS()
	d := volume(m, 64)
	c := mustOpen(t, d, s)
	c.fetchAll(t)
	if _, err := c.Check(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	// Three idle, one for each of two workers, the lock, the journal and its successor.
	if m.most > 3+2+3 {
		t.Errorf("%d files were open at once", m.most)
	}
	c.mustClose(t)
	d.Close()
	if m.opened != 0 {
		t.Errorf("%d files are still open", m.opened)
	}
	s.onDisk(t, m)
}
