package disk

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

func TestInfoDictionaryIsKeptForTheNextStart(t *testing.T) {
	s := mixed(t, 1)
	info := []byte("the info dictionary")
	hash := sha1.Sum(info)
	d, dir := newRealDisk(t)
	spec := Spec{Dir: dir, Path: "down/load", Info: s.Info, InfoHash: hash, KeepInfo: info, Done: func(Result) {}}
	if b := ReadInfo(dir, "down/load", hash); b != nil {
		t.Errorf("%q before anything was kept", b)
	}
	name := filepath.Join(dir, "down/load", folderOf(hash), "info")
	for range 2 { // What was kept and is damaged is kept anew.
		store, err := d.Open(t.Context(), spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if b := ReadInfo(dir, "down/load", hash); !bytes.Equal(b, info) {
			t.Errorf("%q was kept", b)
		}
		if err := os.WriteFile(name, []byte("the info dictionarx"), 0o600); err != nil {
			t.Fatal(err)
		}
		if b := ReadInfo(dir, "down/load", hash); b != nil {
			t.Errorf("%q has another hash", b)
		}
	}
	if err := Erase(dir, "down/load", s.Info, hash); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "down/load", stateFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state was left: %v", err)
	}
}

func TestNoSpaceForTheInfoDictionaryIsSaid(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	m.fault = func(op, name string) error {
		if op == "write" && filepath.Base(name) == "info.new" {
			return syscall.ENOSPC
		}
		return nil
	}
	d := volume(m, 64)
	defer d.Close()
	_, err := d.Open(t.Context(), Spec{Info: s.Info, InfoHash: sha1.Sum([]byte("x")), KeepInfo: []byte("x"), Done: func(Result) {}}, nil)
	if !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v", err)
	}
	if got := there(m); got != "" {
		t.Errorf("left: %s", got)
	}
}

// Wherever a run ends, by a kill or for want of power, there is no journal, and
// so no file, without the dictionary that tells which files are the torrent's;
// and once it was kept, all of it stays.
func TestInfoDictionaryIsThereBeforeAnythingElse(t *testing.T) {
	s := mixed(t, 1)
	info := bytes.Repeat([]byte("info"), 5000)
	hash := sha1.Sum(info)
	for cut := 1; ; cut++ {
		m := newMemFS()
		m.cut = cut
		d := volume(m, 64)
		store, err := d.Open(t.Context(), Spec{Info: s.Info, InfoHash: hash, KeepInfo: info, Done: func(Result) {}}, nil)
		if err == nil {
			store.Close() // The power may be off.
		}
		d.Close()
		for seed := range uint64(4) {
			after := m.afterKill()
			if seed > 0 {
				after = m.afterCut(rand.New(rand.NewPCG(uint64(cut), seed)))
			}
			kept := bytes.Equal(readInfo(after, hash), info)
			if must := after.names[folderOf(hash)+journalName] != nil || m.ops <= cut; must && !kept {
				t.Fatalf("cut at change %d, seed %d: there is %s without a dictionary", cut, seed, there(after))
			}
		}
		if m.ops <= cut {
			return
		}
	}
}

func TestEraseByHashTakesWhatWasKept(t *testing.T) {
	content := "the content"
	piece := sha1.Sum([]byte(content))
	b := fmt.Appendf(nil, "d6:lengthi%de4:name1:f12:piece lengthi16384e6:pieces20:%se", len(content), piece[:])
	meta, err := metainfo.FromInfo(b)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		damage func(state string) error
		err    error
		left   bool
	}{
		"all is there":         {func(string) error { return nil }, nil, false},
		"no dictionary":        {func(state string) error { return os.Remove(state + infoName) }, ErrNoInfo, true},
		"a damaged one":        {func(state string) error { return os.WriteFile(state+infoName, []byte("x"), 0o600) }, ErrNoInfo, true},
		"no journal":           {func(state string) error { return os.Remove(state + journalName) }, nil, true},
		"no state":             {os.RemoveAll, nil, true},
		"nothing but the lock": {func(state string) error { return errors.Join(os.Remove(state+infoName), os.Remove(state+journalName)) }, nil, true},
	} {
		d, dir := newRealDisk(t)
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		store, err := d.Open(t.Context(), Spec{Dir: dir, Info: meta.Info, InfoHash: meta.InfoHash, KeepInfo: b, Done: func(Result) {}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		state := filepath.Join(dir, folderOf(meta.InfoHash))
		if err := errors.Join(store.Close(), c.damage(state)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // To try again changes nothing.
			if err := Erase(dir, "", nil, meta.InfoHash); !errors.Is(err, c.err) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "f")); (err == nil) != c.left {
			t.Errorf("%s: of the file: %v", what, err)
		}
		if _, err := os.Stat(state); (err == nil) != (c.err != nil) {
			t.Errorf("%s: of the state: %v", what, err)
		}
	}
}
