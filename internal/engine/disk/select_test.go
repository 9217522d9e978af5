package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// The files of mixed in pieces of five blocks: a.bin is in 0 and 1, b.bin in 1,
// c.bin in 2 and 3, d.bin in 3, e.bin in 3 and 4.

func mustOpenSome(t testing.TB, d *Disk, s *sample, selected string) *client {
	t.Helper()
	c, err := openSome(d, "", s, selected)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// there lists the files of m, those of the torrent's state by their last name.
func there(m *memFS) string {
	var all []string
	for name, n := range m.names {
		if n.dir {
			continue
		}
		if strings.HasPrefix(name, stateFolder) {
			name = name[strings.LastIndexByte(name, '/'):]
		}
		all = append(all, strings.TrimPrefix(name, "t/"))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// serves says whether all bytes of a piece can be read.
func (c *client) serves(piece uint32) error {
	b := make([]byte, len(c.sample.piece(piece)))
	if err := c.ReadBlock(b, piece, 0); err != nil {
		return err
	}
	if string(b) != string(c.sample.piece(piece)) {
		return fmt.Errorf("piece %d has wrong bytes", piece)
	}
	return nil
}

func TestOnlySelectedFilesAreMade(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpenSome(t, d, s, "sub/c.bin sub/also")
	if c.Claim(0, 0, block.Size) != nil {
		t.Error("a block of a piece that nobody wants was taken in")
	}
	c.fetchAll(t)
	if err := c.Sync(t.Context()); err != nil || c.Completed().IsZero() {
		t.Errorf("all that is wanted is there: completed %v, %v", c.Completed(), err)
	}
	if got, want := there(m), "/journal /lock /parts sub/c.bin"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
	if string(m.bytes("t/sub/c.bin")) != string(s.file(4)) {
		t.Error("the file is wrong")
	}
	for again := range 2 { // The second time after a restart.
		if !equal(c.Have(), pieces(5, 2, 3)) || c.Durable() != 2 || c.Hashed() != (again == 0) {
			t.Errorf("it has %x, %d durable", c.Have().Bytes(), c.Durable())
		}
		if err := errors.Join(c.serves(2), c.serves(3)); err != nil {
			t.Error(err)
		}
		if good, err := c.Check(t.Context(), nil); err != nil || !equal(good, pieces(5, 2, 3)) {
			t.Errorf("verified again: %x, %v", good.Bytes(), err)
		}
		when := c.Completed()
		c.mustClose(t)
		if c = mustOpenSome(t, d, s, "sub/c.bin"); !c.Completed().Equal(when) && when.Unix() != c.Completed().Unix() {
			t.Errorf("completed %v, and then %v", when, c.Completed())
		}
	}
}

func TestEmptyFilesThatAreSelectedAreMade(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpenSome(t, d, s, "empty")
	if err := c.Sync(t.Context()); err != nil || c.Completed().IsZero() {
		t.Errorf("nothing is to be fetched: completed %v, %v", c.Completed(), err)
	}
	c.mustClose(t)
	if got, want := there(m), "/journal /lock empty"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
}

func TestBlocksOnABoundarySurviveARestart(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpenSome(t, d, s, "d.bin")
	c.receive(3, s.piece(3)[:3*block.Size])
	c.mustClose(t)
	if got, want := there(m), "/journal /lock /parts"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
	c = mustOpenSome(t, d, s, "d.bin")
	if part := c.Partial(); len(part) != 1 || part[0].Blocks.Count() != 3 {
		t.Fatalf("found %+v", part)
	}
	c.receive(3, s.piece(3))
	c.Finish(3, false)
	if r := <-c.results; !r.OK {
		t.Fatal(r)
	}
	c.mustClose(t)
	if string(m.bytes("t/d.bin")) != string(s.file(5)) {
		t.Error("the file is wrong")
	}
}

func TestFilesSelectedLaterGetTheirBytes(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpenSome(t, d, s, "sub/c.bin")
	c.fetchAll(t)
	c.mustClose(t)
	c = mustOpenSome(t, d, s, "sub/c.bin d.bin")
	if !equal(c.Have(), pieces(5, 2, 3)) || c.Durable() != 2 || c.Completed().IsZero() {
		t.Errorf("found %x, %d durable, completed %v: nothing is missing", c.Have().Bytes(), c.Durable(), c.Completed())
	}
	if got, want := there(m), "/journal /lock /parts d.bin sub/c.bin"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
	if string(m.bytes("t/d.bin")) != string(s.file(5)) {
		t.Error("the file is wrong")
	}
	if err := c.serves(3); err != nil {
		t.Error(err)
	}
	c.mustClose(t)
	c = mustOpen(t, d, s)
	if !equal(c.Have(), pieces(5, 2, 3)) || c.Durable() != 2 || !c.Completed().IsZero() {
		t.Errorf("found %x, %d durable, completed %v", c.Have().Bytes(), c.Durable(), c.Completed())
	}
	if strings.Contains(there(m), "/parts") {
		t.Error("the parts file is of no use any more and still there")
	}
	c.fetchAll(t)
	c.mustClose(t)
	s.onDisk(t, m)
}

// A run may be killed after the journal says that every file has its place, and
// before the parts file is removed.
func TestPartsFileThatAKilledRunHasLeftIsRemoved(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	c := mustOpenSome(t, d, s, "sub/c.bin")
	c.fetchAll(t)
	c.mustClose(t)
	parts := folderOf(s.InfoHash) + partsName
	m.fault = func(op, name string) error {
		if op == "remove" && name == parts {
			return errPower
		}
		return nil
	}
	if _, err := openSome(d, "", s, ""); !errors.Is(err, errPower) {
		t.Fatalf("got %v", err)
	}
	d.Close()
	m = m.afterKill()
	if m.names[parts] == nil {
		t.Fatal("there is no parts file to be left")
	}
	d = volume(m, 64)
	defer d.Close()
	c = mustOpen(t, d, s)
	if m.names[parts] != nil {
		t.Error("the parts file is of no use any more and still there")
	}
	if !equal(c.Have(), pieces(5, 2, 3)) {
		t.Errorf("found %x", c.Have().Bytes())
	}
	c.fetchAll(t)
	c.mustClose(t)
	s.onDisk(t, m)
}

func TestFilesNotSelectedAnyMoreStay(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	if r := c.fetch(0); !r.OK { // Now a.bin is there, and the empty files.
		t.Fatal(r)
	}
	c.mustClose(t)
	c = mustOpenSome(t, d, s, "sub/c.bin")
	if !equal(c.Have(), pieces(5, 0)) {
		t.Errorf("found %x", c.Have().Bytes())
	}
	c.fetchAll(t)
	if err := errors.Join(c.serves(0), c.serves(3)); err != nil {
		t.Error(err)
	}
	c.mustClose(t)
	if got, want := there(m), "/journal /lock /parts a.bin empty sub/also empty sub/c.bin"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
	c = mustOpen(t, d, s)
	if !equal(c.Have(), pieces(5, 0, 2, 3)) {
		t.Errorf("found %x", c.Have().Bytes())
	}
	c.fetchAll(t)
	c.mustClose(t)
	s.onDisk(t, m)
}

func TestContentUnderNamesThatAreNotSelectedIsNobodysBusiness(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	m.put("t/d.bin", []byte("mine"))
	m.put("t/a.bin/x", []byte("a folder"))
	d := volume(m, 64)
	defer d.Close()
	c := mustOpenSome(t, d, s, "sub/c.bin")
	c.fetchAll(t)
	c.mustClose(t)
	if string(m.bytes("t/d.bin")) != "mine" {
		t.Error("it was overwritten")
	}
	before := there(m)
	if _, err := openSome(d, "", s, "sub/c.bin d.bin"); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), `"t/d.bin" exists, and none`) {
		t.Errorf("once it is selected: %v", err)
	}
	if after := there(m); after != before || string(m.bytes("t/d.bin")) != "mine" {
		t.Errorf("there was %s and is %s", before, after)
	}
	m.put("t/d.bin", s.file(5)) // The right content is taken over.
	c = mustOpenSome(t, d, s, "sub/c.bin d.bin")
	if !equal(c.Have(), pieces(5, 2, 3)) {
		t.Errorf("found %x", c.Have().Bytes())
	}
	c.mustClose(t)
}

func TestFileThatIsNotSelectedAnyMoreAndWasChangedIsLeftAlone(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	c.fetchAll(t)
	c.mustClose(t)
	m.put("t/d.bin", []byte("mine")) // In piece 3.
	delete(m.names, "t/e.bin")       // In pieces 3 and 4.
	c = mustOpenSome(t, d, s, "sub/c.bin")
	if !equal(c.Have(), pieces(5, 0, 1, 2)) {
		t.Errorf("found %x", c.Have().Bytes())
	}
	c.fetchAll(t)
	c.mustClose(t)
	if string(m.bytes("t/d.bin")) != "mine" || m.bytes("t/e.bin") != nil {
		t.Error("files were written that nobody wants")
	}
	c = mustOpenSome(t, d, s, "sub/c.bin")
	if err := c.serves(3); err != nil {
		t.Error(err)
	}
	c.mustClose(t)
}

func TestDamagedPartsFileIsNoticed(t *testing.T) {
	s := mixed(t, 1)
	for what, change := range map[string]func(m *memFS, name string){
		"removed":   func(m *memFS, name string) { delete(m.names, name) },
		"shortened": func(m *memFS, name string) { m.put(name, m.bytes(name)[:100]) },
		"rewritten": func(m *memFS, name string) { m.put(name, make([]byte, len(m.bytes(name)))) },
	} {
		m := newMemFS()
		d := volume(m, 64)
		c := mustOpenSome(t, d, s, "sub/c.bin")
		c.fetchAll(t)
		c.mustClose(t)
		change(m, folderOf(s.InfoHash)+partsName)
		c = mustOpenSome(t, d, s, "sub/c.bin")
		if !equal(c.Have(), pieces(5, 2)) || !c.Completed().IsZero() {
			t.Errorf("%s: found %x, completed %v", what, c.Have().Bytes(), c.Completed())
		}
		c.fetchAll(t)
		if err := c.serves(3); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		c.mustClose(t)
		d.Close()
	}
}

func TestDamagedJournalOfASelectionHasEverythingChecked(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpenSome(t, d, s, "sub/c.bin")
	c.fetchAll(t)
	c.mustClose(t)
	m.put(folderOf(s.InfoHash)+"/journal", []byte("no journal"))
	c = mustOpenSome(t, d, s, "sub/c.bin")
	if !equal(c.Have(), pieces(5, 2, 3)) || !c.Hashed() {
		t.Errorf("found %x", c.Have().Bytes())
	}
	c.mustClose(t)
}

func TestEraseOfASelectionLeavesWhatIsNotOurs(t *testing.T) {
	s := mixed(t, 1)
	for _, opened := range []bool{false, true} {
		d, dir := newRealDisk(t)
		base := filepath.Join(dir, "down/load")
		if err := os.MkdirAll(filepath.Join(base, "t"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(base, "t/d.bin"), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := openSome(d, dir, s, "sub/c.bin")
		if err != nil {
			t.Fatal(err)
		}
		c.fetchAll(t)
		if opened {
			err = c.Erase()
		} else {
			c.mustClose(t)
			err = Erase(dir, "down/load", s.Info, s.InfoHash)
		}
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		err = filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(base, path)
			left = append(left, rel)
			return err
		})
		if got := strings.Join(left, " "); err != nil || got != ". t t/d.bin" {
			t.Errorf("open %v: left %s, %v", opened, got, err)
		}
	}
}

func TestSpaceAndPreallocationCountWhatIsSelected(t *testing.T) {
	dir := tmpfs(t, "1m")
	s := newSample(t, 1, 4*block.Size, part{"a", 8 << 20, ""}, part{"b", 300_000, ""}, part{"c", 8 << 20, ""})
	d, _ := newRealDisk(t)
	if _, err := openSome(d, dir, s, "a"); !errors.Is(err, ErrNoSpace) {
		t.Errorf("what does not fit: %v", err)
	}
	store, err := d.Open(t.Context(), Spec{
		Dir: dir, Info: s.Info, InfoHash: s.InfoHash, Selected: s.files("b"), Preallocate: true, Done: func(Result) {},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "t/b"))
	if err != nil || info.Size() != 300_000 || allocated(info) < 300_000 {
		t.Errorf("%v, %v", info, err)
	}
	if all, _ := filepath.Glob(filepath.Join(dir, "t/*")); len(all) != 1 {
		t.Errorf("there is %v", all)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// walk opens a torrent with one selection after another, fetches some of what
// is wanted each time, and ends when the power goes. It returns what was
// durable, and which files had all of it selected last.
func walk(m *memFS, s *sample, seed uint64, selections ...string) (durable *bitfield.Bitfield) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	durable = bitfield.New(s.Info.PieceCount())
	d := volume(m, 7)
	d.workers = 1
	defer d.Close()
	for _, selected := range selections {
		c, err := openSome(d, "", s, selected)
		if err != nil {
			return durable
		}
		for p := range s.Info.PieceCount() {
			if c.Have().Has(p) || !c.wanted.Has(p) || rnd.IntN(4) == 0 {
				continue
			}
			if rnd.IntN(4) == 0 {
				c.receive(uint32(p), s.piece(uint32(p))[:block.Size])
				continue
			}
			if c.fetch(uint32(p)).Err != nil {
				return durable
			}
		}
		if rnd.IntN(2) == 0 && c.Sync(context.Background()) == nil {
			durable = c.Have()
		}
		now := c.Have()
		if c.Close() != nil {
			return durable
		}
		durable = now
	}
	return durable
}

// TestPowerCutWhileTheSelectionChanges lets the power go at each change of the
// volume while a torrent is opened with ever other selections. Whatever is
// selected after it, no piece that was durable is forgotten, none is claimed
// that can't be served, and all that is selected can be finished.
func TestPowerCutWhileTheSelectionChanges(t *testing.T) {
	s := mixed(t, 5)
	wider := []string{"sub/c.bin", "sub/c.bin d.bin", ""}
	around := []string{"d.bin", "sub/c.bin e.bin", "a.bin", "", "sub/deep/b.bin d.bin", "e.bin a.bin"}
	for k, selections := range [][]string{wider, around} {
		whole := newMemFS()
		walk(whole, s, uint64(k), selections...)
		for cut := 1; cut <= whole.ops; cut++ {
			m := newMemFS()
			m.cut = cut
			durable := walk(m, s, uint64(k), selections...)
			for seed := range uint64(3) {
				for _, next := range []string{"", "d.bin", "sub/c.bin"} {
					after := m.afterCut(rand.New(rand.NewPCG(seed, uint64(cut))))
					if err := resumes(after, s, next, durable); err != nil {
						t.Fatalf("walk %d, cut at change %d, seed %d, then %q: %v", k, cut, seed, next, err)
					}
				}
			}
			if err := resumes(m.afterKill(), s, "", durable); err != nil {
				t.Fatalf("walk %d, killed at change %d: %v", k, cut, err)
			}
		}
	}
}

func resumes(m *memFS, s *sample, selected string, durable *bitfield.Bitfield) error {
	d := volume(m, 7)
	defer d.Close()
	c, err := openSome(d, "", s, selected)
	if err != nil {
		return err
	}
	have := c.Have()
	if !have.Includes(durable) {
		return fmt.Errorf("it has %x, and %x was durable", have.Bytes(), durable.Bytes())
	}
	for p := range have.All() {
		if err := c.serves(uint32(p)); err != nil {
			return err
		}
	}
	for p := range have.Len() {
		if have.Has(p) || !c.wanted.Has(p) {
			continue
		}
		// Blocks left of a begun piece may be damaged; then it fails once.
		if r := c.fetch(uint32(p)); !r.OK {
			if r = c.fetch(uint32(p)); !r.OK {
				return fmt.Errorf("piece %d can't be finished: %+v", p, r)
			}
		}
	}
	if err := c.Close(); err != nil {
		return err
	}
	for i := range c.selected.All() {
		if f := &s.Info.Files[i]; !f.Pad && string(m.bytes(f.Path)) != string(s.file(i)) {
			return fmt.Errorf("%q is wrong", f.Path)
		}
	}
	return nil
}
