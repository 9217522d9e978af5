package e2e

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// TestTwentyKillsFetchNothingTwiceThatWasWritten kills the operator with -9
// twenty times, spread over one download, and counts on the seeder's side.
func TestTwentyKillsFetchNothingTwiceThatWasWritten(t *testing.T) {
	const (
		kills  = 20
		size   = 96 << 20
		rate   = 24 << 20
		budget = 4 << 20
	)
	w := newWorld(t)
	o := newTorrent(t, "killed", size)
	s := newSeeder(t, o, rate)
	total := o.meta.Info.PayloadLength()
	w.download("killed", o.file, from(s.address()))
	written := bitfield.New(o.meta.Info.PieceCount())
	for i := range int64(kills) {
		reached := s.mark(total * (5*(kills-1) + 90*i) / (100 * (kills - 1)))
		op := startOperator(t, w.volumes, "--assembly-memory=4Mi")
		select {
		case <-reached:
		case <-op.process.Done():
			t.Fatalf("the operator ended before kill %d: %v", i+1, op.process.Err())
		case <-time.After(patience):
			t.Fatalf("no progress before kill %d:\n%s", i+1, op.logged())
		}
		op.kill()
		s.alone()
		before := written
		written = journaled(t, o, w.folder("killed"))
		verifyNew(t, o, w.folder("killed"), before, written)
		s.seal(written)
	}
	if n := written.Count(); n < written.Len()/2 {
		t.Errorf("only %d of %d pieces were written before the last kill", n, written.Len())
	}
	startOperator(t, w.volumes, "--assembly-memory=4Mi")
	w.completes("killed")
	o.compare(t, w.folder("killed"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) > 0 {
		t.Errorf("%d requests were for pieces that had been written: %v", len(s.wrong), s.wrong)
	}
	if most := total + kills*budget; s.served > most {
		t.Errorf("%d bytes were fetched, %d are the most for %d kills", s.served, most, kills)
	}
	t.Logf("%d kills: fetched %.1f%% of the size", kills, 100*float64(s.served)/float64(total))
}

// journaled reads from a torrent's resume journal which pieces it says were
// written. The process that wrote it is dead.
func journaled(t *testing.T, o *torrent, dir string) *bitfield.Bitfield {
	t.Helper()
	pieces := bitfield.New(o.meta.Info.PieceCount())
	b, err := os.ReadFile(filepath.Join(dir, ".torrent-operator", o.meta.InfoHash.String(), "journal"))
	if errors.Is(err, os.ErrNotExist) {
		return pieces
	} else if err != nil {
		t.Fatal(err)
	}
	const header, frame = 33, 9 // See the format in package disk.
	for b = b[min(header, len(b)):]; len(b) >= frame; {
		n := int(binary.BigEndian.Uint32(b[1:]))
		if len(b) < frame+n {
			break
		}
		payload := b[5 : 5+n]
		switch b[0] {
		case 'V':
			if pieces, err = bitfield.Parse(payload, pieces.Len()); err != nil {
				t.Fatal(err)
			}
		case 'w':
			pieces.Set(int(binary.BigEndian.Uint32(payload)))
		case 'l':
			pieces.Clear(int(binary.BigEndian.Uint32(payload)))
		}
		b = b[frame+n:]
	}
	return pieces
}

// verifyNew checks that a journal has forgotten no piece, and that those that
// it names for the first time are on the volume.
func verifyNew(t *testing.T, o *torrent, dir string, before, now *bitfield.Bitfield) {
	t.Helper()
	for p := range before.All() {
		if !now.Has(p) {
			t.Errorf("piece %d was written, and is not any more", p)
		}
	}
	v := o.meta.Info.NewVerifier()
	for p := range now.All() {
		if before.Has(p) {
			continue
		}
		v.Reset(p)
		for span := range o.meta.Info.Spans(int64(p)*o.meta.Info.PieceLength, o.meta.Info.PieceSize(p)) {
			f, err := os.Open(filepath.Join(dir, filepath.FromSlash(o.meta.Info.Files[span.File].Path)))
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, span.Length)
			_, err = f.ReadAt(b, span.Offset)
			f.Close()
			if err != nil {
				t.Errorf("piece %d is not on the volume: %v", p, err)
			}
			v.Write(b)
		}
		if !v.OK() {
			t.Errorf("piece %d is named as written, and the volume holds something else", p)
		}
	}
}
