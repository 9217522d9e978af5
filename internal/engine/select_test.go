package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// small is a torrent of many small files, most pieces of which hold several.
func small() content {
	c := content{"README": 40, "empty": 0, "train/empty": 0}
	for i := range 60 {
		c[fmt.Sprintf("train/%02d.tar", i)] = 9_000 + 311*i
		c[fmt.Sprintf("test/%02d.tar", i)] = 1_000 + 17*i
	}
	return c
}

// there lists the files below dir but those of resume state.
func there(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if !strings.HasPrefix(rel, ".torrent-operator/") {
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// chosen are the files of a content for which ok is true, below its name.
func (c content) chosen(ok func(name string) bool) (names []string, bytes int64) {
	for name, size := range c {
		if ok(name) {
			names, bytes = append(names, "content/"+name), bytes+int64(size)
		}
	}
	slices.Sort(names)
	return names, bytes
}

// sameFiles checks that exactly these files are in dir, and that they are right.
func sameFiles(t *testing.T, root, dir string, want []string) {
	t.Helper()
	if got := there(t, dir); !slices.Equal(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
	for _, name := range want {
		a, errA := os.ReadFile(filepath.Join(filepath.Dir(root), name))
		b, errB := os.ReadFile(filepath.Join(dir, name))
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s differs: %v, %v", name, errA, errB)
		}
	}
}

// Add holds the lock of the whole engine, and one torrent's patterns may take
// minutes with its files.
func TestFilesAreChosenBehind(t *testing.T) {
	m := create(t, small().write(t, "content"), 16<<10, "")
	spec := Spec{Metainfo: m, Dir: t.TempDir(), Files: download.Files{Include: []string{"README"}}}
	tor := newTorrent(newTestEngine(t, Config{}), spec)
	if p := tor.Progress(); tor.selection != nil || p.Name != "content" || p.InfoHash != m.InfoHash.String() || p.State != download.StateChecking {
		t.Errorf("it begins with %+v, chosen: %+v", p, tor.selection)
	}
	if err := tor.choose(spec.Files); err != nil || tor.Progress().BytesTotal != 40 {
		t.Errorf("%d bytes, %v", tor.Progress().BytesTotal, err)
	}
	tor.cancel()
	if err := tor.choose(spec.Files); !errors.Is(err, context.Canceled) || tor.selection != nil {
		t.Errorf("of a torrent that is to stop: %v", err)
	}
}

// counts waits until a torrent is in a state and counts a selection.
func counts(t *testing.T, tor *Torrent, s download.State, f download.Files) *download.Progress {
	t.Helper()
	return await(t, tor, string(s), func(p *download.Progress) bool { return p.State == s && p.Selection == f.Selection() })
}

func train(name string) bool {
	return strings.HasPrefix(name, "train/") && strings.HasSuffix(name, ".tar")
}

func TestOnlySelectedFilesAreDownloaded(t *testing.T) {
	files := small()
	root := files.write(t, "content")
	m := create(t, root, 32<<10, "")
	from := seed(t, root, m)
	for name, c := range map[string]struct {
		f  download.Files
		ok func(string) bool
	}{
		"of a folder": {download.Files{Include: []string{"train/*.tar"}}, train},
		"one small file": {download.Files{Include: []string{"07.tar"}, Exclude: []string{"train"}, Sequential: true},
			func(name string) bool { return name == "test/07.tar" }},
		"all but": {download.Files{Exclude: []string{"empty", "*[1-9].tar"}},
			func(name string) bool { return name == "README" || strings.HasSuffix(name, "0.tar") }},
		"nothing but empty files": {download.Files{Include: []string{"empty"}}, func(name string) bool { return strings.HasSuffix(name, "empty") }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			want, bytes := files.chosen(c.ok)
			spec := Spec{Metainfo: m, Dir: dir, Peers: []string{from.addr()}, Files: c.f, Preallocate: true}
			for range 2 { // The second time all is there.
				tor, err := newTestEngine(t, Config{}).Add(spec)
				if err != nil {
					t.Fatal(err)
				}
				p := counts(t, tor, download.StateComplete, c.f)
				<-tor.Done()
				if p.BytesTotal != bytes || p.BytesVerified != bytes || p.Pieces.Verified != p.Pieces.Total || p.CompletedAt.IsZero() {
					t.Errorf("complete with %d of %d bytes, want %d, and %d of %d pieces", p.BytesVerified, p.BytesTotal, bytes, p.Pieces.Verified, p.Pieces.Total)
				}
				if n := len(p.Pieces.Have); n != (p.Pieces.Total+7)/8 || p.Pieces.Total >= m.Info.PieceCount() && name != "all but" {
					t.Errorf("%d of %d pieces are wanted, and the map has %d bytes", p.Pieces.Total, m.Info.PieceCount(), n)
				}
				if p.BytesDownloaded > int64(p.Pieces.Total)*m.Info.PieceLength {
					t.Errorf("%d bytes were downloaded for %d pieces", p.BytesDownloaded, p.Pieces.Total)
				}
				sameFiles(t, root, dir, want)
			}
			if err := Erase(dir, "", m); err != nil {
				t.Error(err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("erased, it leaves %v", left)
			}
		})
	}
}

func TestTheSelectionChangesWhileItRuns(t *testing.T) {
	files := small()
	root := files.write(t, "content")
	m := create(t, root, 32<<10, "")
	from := seed(t, root, m)
	dir := t.TempDir()
	tor, err := newTestEngine(t, Config{}).Add(Spec{
		Metainfo: m, Dir: dir, Peers: []string{from.addr()}, Files: download.Files{Include: []string{"test"}},
		Seeding: download.Seeding{Policy: download.SeedForever},
	})
	if err != nil {
		t.Fatal(err)
	}
	counts(t, tor, download.StateSeeding, download.Files{Include: []string{"test"}})
	var have []string
	for _, c := range []struct {
		f  download.Files
		ok func(string) bool
	}{
		{download.Files{Include: []string{"test", "train/1*"}}, func(name string) bool { return strings.HasPrefix(name, "test/") || strings.HasPrefix(name, "train/1") }},
		{download.Files{Include: []string{"README"}}, func(name string) bool { return name == "README" }},
		{download.Files{High: []string{"README"}, Low: []string{"train"}}, func(string) bool { return true }},
	} {
		if !tor.Update(Update{Peers: []string{from.addr()}, Files: c.f, Seeding: download.Seeding{Policy: download.SeedForever}}) {
			t.Fatal("it came too late")
		}
		p := counts(t, tor, download.StateSeeding, c.f)
		want, bytes := files.chosen(c.ok)
		if p.BytesTotal != bytes || p.BytesVerified != bytes {
			t.Errorf("%+v: %d of %d bytes, want %d", c.f, p.BytesVerified, p.BytesTotal, bytes)
		}
		if p.BytesDownloaded > m.Info.Length {
			t.Errorf("%+v: %d bytes were downloaded in all, of %d: some twice", c.f, p.BytesDownloaded, m.Info.Length)
		}
		test, _ := files.chosen(func(name string) bool { return strings.HasPrefix(name, "test/") })
		have = slices.Concat(have, test, want) // What was there stays.
		slices.Sort(have)
		have = slices.Compact(have)
		sameFiles(t, root, dir, have)
	}
	sameTree(t, root, filepath.Join(dir, "content"))
}

func TestASelectionThatCannotBeFailsForGood(t *testing.T) {
	files := small()
	root := files.write(t, "content")
	m := create(t, root, 32<<10, "")
	for _, c := range []struct {
		f      download.Files
		reason string
	}{
		{download.Files{Include: []string{"*.zip"}}, download.ReasonNothingSelected},
		{download.Files{Include: []string{"[a"}}, download.ReasonPatternInvalid},
	} {
		for _, running := range []bool{false, true} {
			dir := t.TempDir()
			spec := Spec{Metainfo: m, Dir: dir, Files: c.f}
			if running {
				spec.Files = download.Files{}
			}
			tor, err := newTestEngine(t, Config{}).Add(spec)
			if err != nil {
				t.Fatal(err)
			}
			if running {
				counts(t, tor, download.StateDownloading, download.Files{})
				tor.Update(Update{Files: c.f})
			}
			p := counts(t, tor, download.StateFailed, c.f)
			if p.Err == nil || p.Err.Reason != c.reason || !p.Err.Permanent {
				t.Errorf("running %v: failed with %+v, want %s", running, p.Err, c.reason)
			}
			<-tor.Done()
			if left, _ := os.ReadDir(dir); !running && len(left) > 0 {
				t.Errorf("it leaves %v", left)
			}
		}
	}
}

// TestPartialSeedsCompleteEachOther has three peers that each chose another
// part and have no seed any more: somebody who wants everything gets it of
// them, bytes on boundaries from what lies in their parts files.
func TestPartialSeedsCompleteEachOther(t *testing.T) {
	files := small()
	root := files.write(t, "content")
	m := create(t, root, 32<<10, "")
	from := newTestEngine(t, Config{})
	if _, err := from.Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Seeding: download.Seeding{Policy: download.SeedForever}}); err != nil {
		t.Fatal(err)
	}
	var peers []string
	for _, f := range []download.Files{{Include: []string{"train"}}, {Include: []string{"test", "README"}}, {Exclude: []string{"*0.tar"}}} {
		e := newTestEngine(t, Config{})
		tor, err := e.Add(Spec{
			Metainfo: m, Dir: t.TempDir(), Peers: []string{from.addr()}, Files: f, Seeding: download.Seeding{Policy: download.SeedForever},
		})
		if err != nil {
			t.Fatal(err)
		}
		counts(t, tor, download.StateSeeding, f)
		peers = append(peers, e.addr())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := from.Close(ctx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: dir, Peers: peers})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "everything", is(download.StateComplete))
	sameTree(t, root, filepath.Join(dir, "content"))
}

func TestForeignFilesThatAreNotSelectedAreLeftAlone(t *testing.T) {
	files := small()
	root := files.write(t, "content")
	m := create(t, root, 32<<10, "")
	from := seed(t, root, m)
	dir := t.TempDir()
	mine := filepath.Join(dir, "content/README")
	if err := errors.Join(os.Mkdir(filepath.Dir(mine), 0o755), os.WriteFile(mine, []byte("my own"), 0o600)); err != nil {
		t.Fatal(err)
	}
	f := download.Files{Exclude: []string{"README"}}
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: dir, Peers: []string{from.addr()}, Files: f})
	if err != nil {
		t.Fatal(err)
	}
	counts(t, tor, download.StateComplete, f)
	<-tor.Done()
	if err := Erase(dir, "", m); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(mine); string(b) != "my own" {
		t.Errorf("it is %q now, %v", b, err)
	}
	if got := there(t, dir); len(got) != 1 {
		t.Errorf("erased, it leaves %v", got)
	}
}
