package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

func TestExistingFilesAreAdoptedWhereTheyVerify(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	for i, f := range s.Info.Files {
		if !f.Pad {
			m.put(f.Path, s.file(i))
		}
	}
	b := m.bytes("t/sub/c.bin")
	b[0] ^= 1 // In piece 2.
	m.put("t/sub/c.bin", b)
	m.put("t/e.bin", m.bytes("t/e.bin")[:block.Size]) // The end of piece 3; the rest is piece 4.
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	if !equal(c.Have(), pieces(5, 0, 1, 3)) || c.Durable() != 0 {
		t.Errorf("found %x, %d durable", c.Have().Bytes(), c.Durable())
	}
	c.fetchAll(t)
	if err := c.Sync(t.Context()); err != nil || c.Durable() != 5 {
		t.Errorf("%d durable, %v", c.Durable(), err)
	}
	c.mustClose(t)
	s.onDisk(t, m)
}

func TestForeignContentIsAConflictAndLeftAlone(t *testing.T) {
	s := mixed(t, 1)
	link := func(m *memFS, name string) { m.put(name, nil); m.names[name].mode = fs.ModeSymlink }
	for what, put := range map[string]func(m *memFS){
		`"t/a.bin" exists, and none`:                func(m *memFS) { m.put("t/a.bin", []byte("mine")) },
		`"t/d.bin" has 90000 bytes, more than`:      func(m *memFS) { m.put("t/d.bin", make([]byte, 90000)) },
		`"t/empty" has 1 bytes, more than the 0`:    func(m *memFS) { m.put("t/empty", []byte{0}) },
		`"t/sub/c.bin" is not a regular file`:       func(m *memFS) { m.put("t/sub/c.bin/x", nil) },
		`"t/sub/deep/b.bin" is not a regular file`:  func(m *memFS) { link(m, "t/sub/deep/b.bin") },
		`"t/sub/deep" is not a folder`:              func(m *memFS) { link(m, "t/sub/deep") },
		`"t/sub" is not a folder`:                   func(m *memFS) { m.put("t/sub", []byte("mine")) },
		`"` + stateFolder + `" is not a folder`:     func(m *memFS) { link(m, stateFolder) },
		`"t/e.bin" exists, and none of the torrent`: func(m *memFS) { m.put("t/e.bin", append(make([]byte, 60000), 1)) },
	} {
		m := newMemFS()
		put(m)
		before := m.afterKill()
		d := volume(m, 64)
		_, err := open(d, "", s)
		if !errors.Is(err, ErrConflict) || !strings.HasPrefix(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		for name, n := range before.names {
			if now := m.names[name]; now == nil || string(now.data) != string(n.data) {
				t.Errorf("%s: %q was touched", what, name)
			}
		}
		if len(m.names) != len(before.names) {
			t.Errorf("%s: something was left", what)
		}
		if m.opened != 0 {
			t.Errorf("%s: %d files are still open", what, m.opened)
		}
		d.Close()
	}
}

func TestFileOfZerosIsTakenOver(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	m.put("t/a.bin", make([]byte, 7*block.Size+123))
	m.put("t/d.bin", make([]byte, 5))
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	c.fetchAll(t)
	c.mustClose(t)
	s.onDisk(t, m)
}

func TestFileMadeBySomebodyElseMeanwhileIsAConflict(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	m.put("t/a.bin", []byte("mine"))
	if r := c.fetch(0); !errors.Is(r.Err, ErrConflict) {
		t.Errorf("got %+v", r)
	}
	if string(m.bytes("t/a.bin")) != "mine" {
		t.Error("it was overwritten")
	}
}

func TestFilesChangedBetweenRunsAreNoticed(t *testing.T) {
	s := mixed(t, 1)
	for what, c := range map[string]struct {
		change func(m *memFS)
		have   []int
	}{
		"nothing":    {func(m *memFS) {}, []int{0, 1, 2, 3, 4}},
		"removed":    {func(m *memFS) { delete(m.names, "t/a.bin") }, []int{2, 3, 4}},
		"shortened":  {func(m *memFS) { m.put("t/a.bin", m.bytes("t/a.bin")[:6*block.Size]) }, []int{0, 2, 3, 4}},
		"emptied":    {func(m *memFS) { m.put("t/sub/c.bin", nil) }, []int{0, 1, 4}},
		"rewritten":  {func(m *memFS) { m.put("t/a.bin", append([]byte{0}, m.bytes("t/a.bin")[1:]...)) }, []int{1, 2, 3, 4}},
		"only dated": {func(m *memFS) { m.put("t/a.bin", m.bytes("t/a.bin")) }, []int{0, 1, 2, 3, 4}},
	} {
		for _, crash := range []bool{false, true} {
			m := newMemFS()
			d := volume(m, 64)
			x := mustOpen(t, d, s)
			x.fetchAll(t)
			if err := x.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			after := m.afterKill()
			x.mustClose(t)
			d.Close()
			if !crash {
				after = m
			} else if what == "rewritten" {
				continue // Not to be noticed by size alone.
			}
			c.change(after)
			d = volume(after, 64)
			x = mustOpen(t, d, s)
			if !equal(x.Have(), pieces(5, c.have...)) {
				t.Errorf("%s, crash %v: found %x", what, crash, x.Have().Bytes())
			}
			if full := len(c.have) == 5; full != !x.Completed().IsZero() {
				t.Errorf("%s, crash %v: completed %v", what, crash, x.Completed())
			}
			x.fetchAll(t)
			x.mustClose(t)
			s.onDisk(t, after)
			d.Close()
		}
	}
}

func TestLockTellsWhoHasIt(t *testing.T) {
	s := mixed(t, 1)
	d, dir := newRealDisk(t)
	c := openReal(t, d, dir, s)
	d2, _ := newRealDisk(t)
	if _, err := open(d2, dir, s); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), `in use by "the first"`) {
		t.Errorf("a second one: %v", err)
	}
	if err := Erase(dir, "down/load", s.Info, s.InfoHash); !errors.Is(err, ErrLocked) {
		t.Errorf("erasing: %v", err)
	}
	c.mustClose(t)
	openReal(t, d2, dir, s).mustClose(t)
}

func TestNoLinkLeadsOutOfTheFolder(t *testing.T) {
	s := mixed(t, 1)
	outside := t.TempDir()
	for _, name := range []string{"down", "down/load", "down/load/t", "down/load/t/sub", "down/load/t/a.bin", "down/load/" + stateFolder} {
		d, dir := newRealDisk(t)
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if c, err := open(d, dir, s); err == nil {
			t.Errorf("%s: followed", name)
			c.Close()
		}
		if all, _ := os.ReadDir(outside); len(all) != 0 {
			t.Fatalf("%s: something was made outside", name)
		}
	}
	d, dir := newRealDisk(t)
	if _, err := d.Open(t.Context(), Spec{Dir: dir, Path: "../x", Info: s.Info, InfoHash: s.InfoHash}, nil); err == nil {
		t.Error("a path led out")
	}
	if _, err := open(d, filepath.Join(dir, "missing"), s); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}

func TestEraseRemovesTheTorrentsOwnFilesAndNothingElse(t *testing.T) {
	s := mixed(t, 1)
	other := newSample(t, 2, block.Size, part{"other", 10, ""})
	for _, opened := range []bool{false, true} {
		d, dir := newRealDisk(t)
		c, o := openReal(t, d, dir, s), openReal(t, d, dir, other)
		c.fetchAll(t)
		o.fetchAll(t)
		o.mustClose(t)
		base := filepath.Join(dir, "down/load")
		if err := os.WriteFile(filepath.Join(base, "t/sub/mine"), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
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
			left = append(left, strings.ReplaceAll(rel, other.InfoHash.String(), "OTHER"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := ". .torrent-operator .torrent-operator/OTHER .torrent-operator/OTHER/journal .torrent-operator/OTHER/lock t t/other t/sub t/sub/mine"
		if got := strings.Join(left, " "); got != want {
			t.Errorf("open %v: left %s", opened, got)
		}
		os.Remove(filepath.Join(base, "t/sub/mine"))
		if err := errors.Join(Erase(dir, "down/load", s.Info, s.InfoHash), Erase(dir, "down/load", other.Info, other.InfoHash)); err != nil {
			t.Error(err)
		}
		if all, _ := os.ReadDir(base); len(all) != 1 { // t, whose folder t/sub was not left empty by us.
			t.Errorf("open %v: left %v", opened, all)
		}
	}
}

func TestEraseWithoutAJournalRemovesNothing(t *testing.T) {
	s := mixed(t, 1)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "t"), 0o700); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "t/a.bin")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Erase(dir, "", s.Info, s.InfoHash); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(mine); err != nil {
			t.Error(err)
		}
		// A download that could not begin leaves nothing to erase either.
		d, _ := newRealDisk(t)
		if _, err := d.Open(t.Context(), Spec{Dir: dir, Info: s.Info, InfoHash: s.InfoHash}, nil); !errors.Is(err, ErrConflict) {
			t.Error(err)
		}
	}
	if err := Erase(filepath.Join(dir, "gone"), "x", s.Info, s.InfoHash); err != nil {
		t.Errorf("what is gone already: %v", err)
	}
}
