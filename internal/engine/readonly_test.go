package engine

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// mountReadOnly returns dir as it shows where it is mounted read-only, which
// holds for root too. Only root can do that; without that right the test that
// needs it is skipped.
func mountReadOnly(t *testing.T, dir string) string {
	t.Helper()
	at := t.TempDir()
	if err := syscall.Mount(dir, at, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("root alone can mount a folder, and not everywhere: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.Mount("", at, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(at, "x"), 0o755); err == nil {
		t.Fatal("the folder can be written")
	}
	return at
}

// serves has a leecher fetch everything from a torrent in dir.
func serves(t *testing.T, root string, m *metainfo.Metainfo, s Spec) {
	t.Helper()
	s.Seeding = download.Seeding{Policy: download.SeedForever}
	e := newTestEngine(t, Config{})
	tor, err := e.Add(s)
	if err != nil {
		t.Fatal(err)
	}
	if p := await(t, tor, "the seed", is(download.StateSeeding)); p.CompletedAt.IsZero() {
		t.Error("it seeds, and was never complete")
	}
	dir := t.TempDir()
	leech, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: dir, Peers: []string{e.addr()}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, leech, "the download", is(download.StateComplete))
	sameTree(t, root, filepath.Join(dir, filepath.Base(root)))
	if err := tor.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := tor.Progress(); p.Err != nil {
		t.Errorf("it ended with %v", p.Err)
	}
}

func TestSeedingWithoutWriteAccess(t *testing.T) {
	root := content{"a": 700_000, "sub/b": 300_001, "empty": 0}.write(t, "content")
	m := create(t, root, 64<<10, "")

	t.Run("as somebody else has put it there", func(t *testing.T) {
		serves(t, root, m, Spec{Metainfo: m, Dir: mountReadOnly(t, filepath.Dir(root)), ReadOnly: true})
		if _, err := os.Lstat(filepath.Join(filepath.Dir(root), metainfo.ReservedName)); err == nil {
			t.Error("resume state was written")
		}
	})
	t.Run("as nobody has said that it can't be written", func(t *testing.T) {
		serves(t, root, m, Spec{Metainfo: m, Dir: mountReadOnly(t, filepath.Dir(root))})
	})
	t.Run("as an earlier run has left it", func(t *testing.T) {
		dir := t.TempDir()
		from := seed(t, root, m)
		link := &metainfo.Magnet{InfoHash: m.InfoHash}
		tor, err := newTestEngine(t, Config{}).Add(Spec{Magnet: link, Dir: dir, Peers: []string{from.addr()}})
		if err != nil {
			t.Fatal(err)
		}
		await(t, tor, "the download", is(download.StateComplete))
		<-tor.Done()
		serves(t, root, m, Spec{Magnet: link, Dir: mountReadOnly(t, dir), ReadOnly: true}) // Nobody else knows what the link names.
	})
}

func TestSeedingWithoutWriteAccessNeedsEverything(t *testing.T) {
	root := content{"a": 700_000, "sub/b": 300_001}.write(t, "content")
	m := create(t, root, 64<<10, "")
	spec := Spec{Metainfo: m, Dir: mountReadOnly(t, filepath.Dir(root)), ReadOnly: true, Seeding: download.Seeding{Policy: download.SeedForever}}
	e := newTestEngine(t, Config{})
	tor, err := e.Add(spec)
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the seed", is(download.StateSeeding))
	f, err := os.OpenFile(filepath.Join(root, "a"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), 100_000); err != nil {
		t.Fatal(err)
	}
	f.Close()
	missing := func(reason string) func(*download.Progress) bool {
		return func(p *download.Progress) bool {
			return p.State == download.StateFailed && p.Err.Reason == reason && !p.Err.Permanent && p.Err.Message != ""
		}
	}
	tor.Verify()
	await(t, tor, "the damage to be found", missing(download.ReasonDataMissing))

	for name, where := range map[string]string{"damaged": spec.Dir, "empty": mountReadOnly(t, t.TempDir())} {
		again := spec
		again.Dir = where
		<-tor.Done()
		if tor, err = e.Add(again); err != nil {
			t.Fatal(err)
		}
		await(t, tor, name, missing(download.ReasonDataMissing))
		<-tor.Done()
		again.ReadOnly = false // What it would have to write is what counts then.
		if tor, err = e.Add(again); err != nil {
			t.Fatal(err)
		}
		await(t, tor, name, missing(download.ReasonVolumeReadOnly))
	}
}
