package disk

import (
	"errors"
	"syscall"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// A piece larger than an eighth of the memory leaves it as it comes, and is not
// read back for its hash.
func TestLargePiecesAreWrittenAndHashedAsTheyCome(t *testing.T) {
	const length = 8 << 20
	s := newSample(t, 1, length, part{"large", length, ""})
	m := newMemFS()
	d := volumes(4*streamBlocks, map[string]*memFS{"": m})
	defer d.Close()
	c := mustOpen(t, d, s)
	m.fault = func(op, name string) error {
		if op == "read" {
			t.Errorf("%s is read back", name)
		}
		return nil
	}
	content := s.piece(0)
	pinned := d.pool.Used()
	c.receive(0, content[:length/2])
	awaitRoom(d, pinned)
	if p := c.Partial(); len(p) != 1 || p[0].Blocks.Count() != streamBlocks {
		t.Errorf("on the volume after half of the piece: %+v", p)
	}
	if r := c.fetch(0); !r.OK {
		t.Errorf("%+v", r)
	}
}

// The hash of a large piece is right in whatever order its blocks come, and a
// bad one is found, with the digests of all of its blocks.
func TestLargePiecesInDisorder(t *testing.T) {
	const length = 8<<20 + 5
	s := newSample(t, 1, length, part{"large", length, ""})
	for name, damage := range map[string]int{"good": -1, "bad at the start": 0, "bad at the end": length - 1} {
		t.Run(name, func(t *testing.T) {
			d := volumes(4*streamBlocks, map[string]*memFS{"": newMemFS()})
			defer d.Close()
			c := mustOpen(t, d, s)
			content := append([]byte{}, s.piece(0)...)
			if damage >= 0 {
				content[damage] ^= 1
			}
			n := (length + block.Size - 1) / block.Size
			for i := range n {
				i = i * 7 % n // Each once: n is no multiple of 7.
				b := content[i*block.Size : min(length, (i+1)*block.Size)]
				lease := c.Claim(0, uint32(i*block.Size), uint32(len(b)))
				copy(lease, b)
				c.Commit(0, uint32(i*block.Size), lease)
			}
			c.Finish(0, false)
			r := <-c.results
			if r.Err != nil || r.OK != (damage < 0) || !r.OK && len(r.Digests) != n {
				t.Errorf("OK: %v, %d digests, %v", r.OK, len(r.Digests), errors.Unwrap(r.Err))
			}
		})
	}
}

// What fails on the volume can be tried again, although the first try has used
// the hash that was begun on the way; and what was spilled stays known to the
// next run until all of the piece is written.
func TestLargePieceIsFinishedAgainAfterAFailure(t *testing.T) {
	const length = 8 << 20
	s := newSample(t, 1, length, part{"large", length, ""})
	m := newMemFS()
	d := volumes(4*streamBlocks, map[string]*memFS{"": m})
	defer d.Close()
	c := mustOpen(t, d, s)
	content := s.piece(0)
	pinned := d.pool.Used()
	c.receive(0, content[:length/2])
	awaitRoom(d, pinned)
	c.receive(0, content[:length-block.Size])
	m.mu.Lock()
	m.fault = failing("write", "large", syscall.ENOSPC)
	m.mu.Unlock()
	if r := c.fetch(0); !errors.Is(r.Err, ErrNoSpace) {
		t.Fatalf("on a full volume: %+v", r)
	}
	if _, claims, err := openJournal(m, folderOf(s.InfoHash), s.Info, s.InfoHash, false); err != nil || claims.blocks[0] == nil || claims.blocks[0].IsFull() {
		t.Errorf("a run that is killed now leaves %+v, %v", claims, err)
	}
	m.mu.Lock()
	m.fault = nil
	m.mu.Unlock()
	c.Finish(0, false)
	if r := <-c.results; !r.OK {
		t.Errorf("with room again: OK: %v, %d digests, %v", r.OK, len(r.Digests), r.Err)
	}
}

// awaitRoom waits until no more than used bytes of memory are in use.
func awaitRoom(d *Disk, used int64) {
	for {
		change := d.progress.expect()
		if d.pool.Used() <= used {
			d.progress.ignore()
			return
		}
		<-change
		d.progress.ignore()
	}
}
