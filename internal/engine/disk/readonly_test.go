package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
)

// freeze makes a volume one that can't be written, and returns what was tried
// on it nevertheless.
func freeze(m *memFS) (tried *[]string) {
	tried = new([]string)
	m.fault = func(op, name string) error {
		switch op {
		case "create", "mkdir", "write", "rename", "remove":
			*tried = append(*tried, op+" "+name)
			return syscall.EROFS
		}
		return nil
	}
	return tried
}

// files returns the names on a volume, each with how often it was written and
// what it holds.
func (m *memFS) files() (all []string) {
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		n := m.names[name]
		all = append(all, fmt.Sprintf("%s %d %x", name, n.mtime, n.data))
	}
	return all
}

// openToRead is openSome where nothing is to be written.
func openToRead(d *Disk, dir string, s *sample, selected string) (*Store, error) {
	return d.Open(context.Background(), Spec{
		Dir: dir, Path: "down/load", Info: s.Info, InfoHash: s.InfoHash, Selected: s.files(selected),
		KeepInfo: s.InfoBytes, Preallocate: true, ReadOnly: true, Done: func(Result) {},
	}, nil)
}

// downloaded returns a volume with a torrent, as a run leaves it that has
// synced everything and then ends by itself, or is killed.
func downloaded(t *testing.T, s *sample, selected string, killed bool) *memFS {
	t.Helper()
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c, err := openSome(d, "", s, selected)
	if err != nil {
		t.Fatal(err)
	}
	c.fetchAll(t)
	if err := c.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := m.afterKill()
	c.mustClose(t)
	if killed {
		return after
	}
	return m
}

func TestAReadOnlyVolumeIsServedAsItIs(t *testing.T) {
	s := mixed(t, 1)
	unsynced := func() *memFS {
		m := newMemFS()
		d := volume(m, 64)
		defer d.Close()
		c := mustOpen(t, d, s)
		c.fetchAll(t)
		after := m.afterKill()
		c.mustClose(t)
		return after
	}
	changed := func(change func(m *memFS)) *memFS {
		m := downloaded(t, s, "", false)
		change(m)
		return m
	}
	journal := folderOf(s.InfoHash) + journalName
	for what, c := range map[string]struct {
		m        *memFS
		selected string
		hashed   bool
	}{
		"closed":           {m: downloaded(t, s, "", false)},
		"killed":           {m: downloaded(t, s, "", true)},
		"not synced":       {m: unsynced()},
		"fewer files":      {m: downloaded(t, s, "", false), selected: "a.bin d.bin"},
		"some files":       {m: downloaded(t, s, "a.bin empty", false), selected: "a.bin empty"},
		"other time":       {m: changed(func(m *memFS) { m.put("t/a.bin", m.bytes("t/a.bin")) })},
		"a torn journal":   {m: changed(func(m *memFS) { m.put(journal, m.bytes(journal)[:headerSize+9]) })},
		"a broken journal": {m: changed(func(m *memFS) { m.put(journal, []byte("TOR")) }), hashed: true},
		"no journal":       {m: changed(func(m *memFS) { delete(m.names, journal); delete(m.names, folderOf(s.InfoHash)+lockName) }), hashed: true},
	} {
		tried, before := freeze(c.m), c.m.files()
		d := volume(c.m, 64)
		st, err := openToRead(d, "", s, c.selected)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			d.Close()
			continue
		}
		if st.Hashed() != c.hashed {
			t.Errorf("%s: everything was hashed: %v, want %v", what, st.Hashed(), c.hashed)
		}
		for range 2 {
			if err := st.Sync(t.Context()); err != nil {
				t.Errorf("%s: syncing: %v", what, err)
			}
			if st.Completed().IsZero() || st.Durable() < st.wanted.Count() {
				t.Errorf("%s: completed %v with %d durable pieces", what, st.Completed(), st.Durable())
			}
			if _, err := st.Check(t.Context(), nil); err != nil {
				t.Errorf("%s: checking: %v", what, err)
			}
		}
		b := make([]byte, 100)
		for p := range st.wanted.All() {
			if err := st.ReadBlock(b, uint32(p), 0); err != nil || !bytes.Equal(b, s.piece(uint32(p))[:100]) {
				t.Errorf("%s: serving piece %d: %v", what, p, err)
			}
		}
		if err := st.Close(); err != nil {
			t.Errorf("%s: closing: %v", what, err)
		}
		d.Close()
		if len(*tried) > 0 || !slices.Equal(c.m.files(), before) {
			t.Errorf("%s: the volume was to be changed: %q", what, *tried)
		}
	}
}

// What is trusted is not read, and what nobody vouches for is.
func TestAReadOnlyOpenHashesWhatTheJournalDoesNotSay(t *testing.T) {
	s := mixed(t, 1)
	for what, change := range map[string]func(m *memFS){
		"trusted":   func(*memFS) {},
		"rewritten": func(m *memFS) { m.put("t/a.bin", make([]byte, len(m.bytes("t/a.bin")))) },
	} {
		m := downloaded(t, s, "", false)
		m.names["t/d.bin"].data[0] ^= 1 // By a volume that fails; nothing tells.
		change(m)
		d := volume(m, 64)
		st, err := openToRead(d, "", s, "")
		if trusted := what == "trusted"; trusted != (err == nil) || !trusted && !errors.Is(err, ErrMissing) {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil {
			if _, err := st.Check(t.Context(), nil); !errors.Is(err, ErrMissing) {
				t.Errorf("a check of damaged data: %v", err)
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}
		d.Close()
	}
}

func TestAReadOnlyVolumeHasToHoldAllThatIsSelected(t *testing.T) {
	s := mixed(t, 1)
	begun := newMemFS()
	d := volume(begun, 64)
	c := mustOpen(t, d, s)
	c.fetch(1)
	c.mustClose(t)
	d.Close()
	without := func(name string) *memFS {
		m := downloaded(t, s, "", false)
		delete(m.names, name)
		return m
	}
	for what, c := range map[string]struct {
		m        *memFS
		selected string
		kind     error
	}{
		"nothing":               {newMemFS(), "", ErrMissing},
		"one piece":             {begun, "", ErrMissing},
		"a file is gone":        {without("t/d.bin"), "", ErrMissing},
		"an empty file is gone": {without("t/empty"), "", ErrMissing},
		"selected later":        {downloaded(t, s, "a.bin", false), "a.bin sub/deep/b.bin", ErrMissing},
		"foreign": {func() *memFS {
			m := newMemFS()
			m.put("t/a.bin", []byte("something else"))
			return m
		}(), "", ErrConflict},
	} {
		tried, before := freeze(c.m), c.m.files()
		d := volume(c.m, 64)
		if _, err := openToRead(d, "", s, c.selected); !errors.Is(err, c.kind) {
			t.Errorf("%s: got %v, want %v", what, err, c.kind)
		}
		d.Close()
		if len(*tried) > 0 || !slices.Equal(c.m.files(), before) {
			t.Errorf("%s: the volume was to be changed: %q", what, *tried)
		}
	}
}

// The volume may be one that could be written.
func TestNothingIsWrittenWhereNothingIsToBe(t *testing.T) {
	s := mixed(t, 1)
	m := downloaded(t, s, "", false)
	d := volume(m, 64)
	defer d.Close()
	results := make(chan Result, 1)
	st, err := d.Open(t.Context(), Spec{Info: s.Info, InfoHash: s.InfoHash, ReadOnly: true, Done: func(r Result) { results <- r }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.names["t/d.bin"].data[0] ^= 1
	before := m.files()
	if _, err := st.Check(t.Context(), nil); !errors.Is(err, ErrMissing) {
		t.Fatalf("a check of damaged data: %v", err)
	}
	c := &client{Store: st, sample: s, results: results}
	for p := range st.wanted.All() {
		if st.Have().Has(p) {
			continue
		}
		if r := c.fetch(uint32(p)); !errors.Is(r.Err, ErrReadOnly) {
			t.Errorf("a piece that was fetched: %+v", r)
		}
	}
	if err := st.Close(); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a piece that can't be kept: %v", err)
	}
	if !slices.Equal(m.files(), before) {
		t.Error("the volume was changed")
	}
}

// What nobody has made durable is, before it is called complete.
func TestAReadOnlyVolumeIsSyncedBeforeItIsCalledComplete(t *testing.T) {
	s := mixed(t, 1)
	for fault, kind := range map[error]error{nil: nil, syscall.EINVAL: nil, syscall.EROFS: nil, syscall.EIO: ErrIO} {
		m := newMemFS()
		for i, f := range s.Info.Files {
			if !f.Pad {
				m.put(f.Path, s.file(i))
			}
		}
		m.fault = func(op, _ string) error {
			if op == "sync" {
				return fault
			}
			return nil
		}
		d := volume(m, 64)
		st, err := openToRead(d, "", s, "")
		if err != nil {
			t.Fatal(err)
		}
		if !st.Completed().IsZero() || st.Durable() > 0 {
			t.Error("what may be in memory alone is called durable")
		}
		if err := st.Sync(t.Context()); !errors.Is(err, kind) {
			t.Errorf("syncing says %v: %v, want %v", fault, err, kind)
		}
		if st.Completed().IsZero() != (kind != nil) {
			t.Errorf("syncing says %v: completed %v", fault, st.Completed())
		}
		if err := st.Close(); !errors.Is(err, kind) {
			t.Errorf("closing: %v", err)
		}
		d.Close()
		if fault == nil {
			for seed := range uint64(20) {
				s.onDisk(t, m.afterCut(rand.New(rand.NewPCG(seed, 1))))
			}
		}
	}
}

func TestReadersShareTheLockAndKeepWritersAway(t *testing.T) {
	s := mixed(t, 1)
	d, dir := newRealDisk(t)
	c := openReal(t, d, dir, s)
	c.fetchAll(t)
	d2, _ := newRealDisk(t)
	if _, err := openToRead(d2, dir, s, ""); !errors.Is(err, ErrLocked) {
		t.Errorf("reading what is being written: %v", err)
	}
	c.mustClose(t)
	var readers []*Store
	for range 2 {
		st, err := openToRead(d2, dir, s, "")
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, st)
	}
	if _, err := open(d, dir, s); !errors.Is(err, ErrLocked) {
		t.Errorf("writing what is being read: %v", err)
	}
	if err := Erase(dir, "down/load", s.Info, s.InfoHash); !errors.Is(err, ErrLocked) {
		t.Errorf("erasing what is being read: %v", err)
	}
	for _, st := range readers {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	openReal(t, d, dir, s).mustClose(t)
	if _, err := openToRead(d2, t.TempDir(), s, ""); !errors.Is(err, ErrMissing) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
