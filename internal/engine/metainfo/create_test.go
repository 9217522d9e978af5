package metainfo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// content is n bytes that are known to the reference that the golden hashes
// come from: byte i is (7i + i/256 + seed) mod 256.
func content(n, seed int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8 + seed)
	}
	return b
}

// write makes a file and its folders and returns its path.
func write(t *testing.T, folder, rel string, b []byte) string {
	t.Helper()
	path := filepath.Join(folder, filepath.FromSlash(rel))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// sparse makes a file of n zeros that takes no space.
func sparse(t *testing.T, n int64) string {
	t.Helper()
	path := write(t, t.TempDir(), "f", nil)
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder makes the folder of the golden hashes.
func folder(t *testing.T) string {
	top := filepath.Join(t.TempDir(), "many")
	write(t, top, "z", content(70000, 6))
	write(t, top, "a.txt", content(1, 3))
	write(t, top, "c/d/e", content(16384, 5))
	write(t, top, "b", nil)
	write(t, top, "a/x", content(40000, 2))
	if err := os.MkdirAll(filepath.Join(top, "an empty folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	return top
}

func create(t *testing.T, path string, o CreateOptions) *Metainfo {
	t.Helper()
	m, err := Create(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestGoldenInfoHashes holds hashes that were computed by another program: a
// few lines of Python with hashlib and a bencoder of their own.
func TestGoldenInfoHashes(t *testing.T) {
	one := write(t, t.TempDir(), "one.bin", content(100_000, 1))
	executable := write(t, t.TempDir(), "one.bin", content(100_000, 1))
	if err := os.Chmod(executable, 0o755); err != nil {
		t.Fatal(err)
	}
	many := folder(t)
	for name, c := range map[string]struct {
		path string
		o    CreateOptions
		want string
	}{
		"one file": {one, CreateOptions{}, "8c722c5bd9266552acc7015e40992172358bccdf"},
		"one file, private, executable, odd pieces": {
			executable, CreateOptions{PieceLength: 30000, Private: true, Source: "S"}, "cc75fd0dddea55fd1901bbc3b53c1f28a7a0e6b7",
		},
		"a folder":         {many, CreateOptions{}, "0f313885d325d6cc1110b8922ea269a9a96bbc89"},
		"a padded folder":  {many, CreateOptions{Pad: true}, "cd1107a712accce56ac19923ad7bec8d883d54b5"},
		"what lies beside": {one, CreateOptions{Comment: "c", Announce: [][]string{{"http://t"}}}, "8c722c5bd9266552acc7015e40992172358bccdf"},
	} {
		if m := create(t, c.path, c.o); m.InfoHash.String() != c.want {
			t.Errorf("%s: %s, want %s\n%.300q", name, m.InfoHash, c.want, m.InfoBytes)
		}
	}
}

func TestWhatIsCreatedReadsBackTheSame(t *testing.T) {
	o := CreateOptions{
		Private: true, Source: "src", Comment: "c", CreatedBy: "b", CreationDate: time.Unix(1700000000, 5).UTC(),
		Announce: [][]string{{"http://a", "http://b"}, {"http://c"}}, URLList: []string{"http://w"},
		Nodes: []Node{{"h", 1}}, Pad: true,
	}
	m := create(t, folder(t), o)
	file, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, mustParse(t, file), cmp.AllowUnexported(Info{})); d != "" {
		t.Error(d)
	}
	want := &Metainfo{
		Info: m.Info, InfoBytes: m.InfoBytes, InfoHash: m.InfoHash, Announce: "http://a", AnnounceList: o.Announce,
		CreationDate: time.Unix(1700000000, 0).UTC(), Comment: "c", CreatedBy: "b", URLList: o.URLList, Nodes: o.Nodes,
	}
	if d := cmp.Diff(want, m, cmp.AllowUnexported(Info{})); d != "" {
		t.Error(d)
	}
	if !m.Info.Private || m.Info.Source != "src" {
		t.Errorf("info %+v", m.Info)
	}
	again, err := create(t, folder(t), o).Marshal()
	if err != nil || !bytes.Equal(again, file) {
		t.Errorf("made again the file differs (error %v)", err)
	}
}

func TestOneTrackerNeedsNoList(t *testing.T) {
	one := write(t, t.TempDir(), "f", content(1, 1))
	m := create(t, one, CreateOptions{Announce: [][]string{{"http://a"}}})
	if m.Announce != "http://a" || m.AnnounceList != nil {
		t.Errorf("announce %q, list %q", m.Announce, m.AnnounceList)
	}
}

func TestPaddingAlignsFilesBEP47(t *testing.T) {
	m := create(t, folder(t), CreateOptions{Pad: true, PieceLength: 16384})
	var pads, bytes int64
	for k, f := range m.Info.Files {
		if f.Pad {
			pads++
			bytes += f.Length
		} else if f.Length > 0 && f.Offset%16384 != 0 {
			t.Errorf("file %+v begins within a piece", f)
		}
		if f.Pad && k == len(m.Info.Files)-1 {
			t.Errorf("padding after the last file: %+v", f)
		}
	}
	if pads != 2 || m.Info.PayloadLength() != m.Info.Length-bytes || m.Info.PayloadLength() != 40000+1+16384+70000 {
		t.Errorf("%d pads of %d bytes, payload %d of %d", pads, bytes, m.Info.PayloadLength(), m.Info.Length)
	}
}

func TestPaddedPiecesVerifyWithZeros(t *testing.T) {
	top := folder(t)
	i := create(t, top, CreateOptions{Pad: true, PieceLength: 5000}).Info
	v := i.NewVerifier()
	for p := range i.PieceCount() {
		v.Reset(p)
		for s := range i.Spans(int64(p)*i.PieceLength, i.PieceSize(p)) {
			f := i.Files[s.File]
			b := make([]byte, s.Length)
			if !f.Pad {
				all, err := os.ReadFile(filepath.Join(filepath.Dir(top), filepath.FromSlash(f.Path)))
				if err != nil {
					t.Fatal(err)
				}
				copy(b, all[s.Offset:])
			}
			v.Write(b)
		}
		if !v.OK() {
			t.Errorf("piece %d does not verify", p)
		}
	}
}

func TestPieceLengthIsChosenForOneToTwoThousandPieces(t *testing.T) {
	for total, want := range map[int64]int64{
		0: 16 << 10, 1: 16 << 10, 32 << 20: 16 << 10, 33 << 20: 32 << 10, 1 << 30: 512 << 10, 4 << 30: 2 << 20,
		32 << 30: 16 << 20, 1 << 40: 16 << 20,
	} {
		got := chosenLength(total)
		if got != want {
			t.Errorf("%d bytes: pieces of %d, want %d", total, got, want)
		}
		if n := total / got; got > minChosenLength && got < maxChosenLength && (n < 1000 || n > 2100) {
			t.Errorf("%d bytes: %d pieces", total, n)
		}
	}
}

func TestEmptyFilesMakeATorrent(t *testing.T) {
	m := create(t, write(t, t.TempDir(), "empty", nil), CreateOptions{})
	if m.Info.Length != 0 || m.Info.PieceCount() != 0 || m.Info.Files[0].Path != "empty" {
		t.Errorf("info %+v", m.Info)
	}
}

func TestProgressGoesUpToTheEnd(t *testing.T) {
	path := sparse(t, 20<<20)
	var last, calls int64
	m := create(t, path, CreateOptions{PieceLength: 1 << 20, Progress: func(done, total int64) {
		if done <= last || total != 20<<20 {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last, calls = done, calls+1
	}})
	if last != m.Info.Length || calls < 2 {
		t.Errorf("%d bytes in %d calls", last, calls)
	}
}

func TestCreateEndsWithItsContext(t *testing.T) {
	const runs = 1024 // More than there are cores to take one each before the first is done.
	path := sparse(t, runs*hashRun)
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	m, err := Create(ctx, path, CreateOptions{PieceLength: 1 << 20, Progress: func(int64, int64) { calls++; cancel() }})
	if !errors.Is(err, context.Canceled) || m != nil {
		t.Errorf("made %v, error %v", m, err)
	}
	if calls >= runs {
		t.Errorf("all of it was hashed, in %d calls", calls)
	}
}

func TestWhatCannotBeATorrentIsNamed(t *testing.T) {
	fresh := func(fill func(top string)) string {
		top := filepath.Join(t.TempDir(), "top")
		write(t, top, "sub/file", content(10, 1))
		fill(top)
		return top
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	gone := filepath.Join(t.TempDir(), "gone")
	for name, c := range map[string]struct {
		path, want string
		o          CreateOptions
	}{
		"nothing there":  {path: gone, want: gone + ": no such file"},
		"a folder empty": {path: fresh(func(top string) { must(os.RemoveAll(top + "/sub")); must(os.Mkdir(top+"/x", 0o755)) }), want: "top: there is no file"},
		"a link":         {path: fresh(func(top string) { must(os.Symlink("file", top+"/sub/l")) }), want: "top/sub/l: a symbolic link"},
		"a pipe":         {path: fresh(func(top string) { must(unix.Mkfifo(top+"/sub/p", 0o600)) }), want: "top/sub/p: neither"},
		"a name that is reserved": {
			path: fresh(func(top string) { write(t, top, "sub/aux.c", nil) }), want: `top/sub/aux.c": this name`,
		},
		"names that differ in case": {
			path: fresh(func(top string) { write(t, top, "sub/FILE", nil) }), want: `top/sub/file": this name`,
		},
		"a name of no text":     {path: fresh(func(top string) { write(t, top, "sub/\xff", nil) }), want: `top/sub/\xff": this name`},
		"a torrent of our own":  {path: filepath.Dir(write(t, t.TempDir(), ReservedName+"/f", nil)), want: `this name`},
		"pieces of no length":   {path: fresh(func(string) {}), o: CreateOptions{PieceLength: -1}, want: "piece length of -1"},
		"pieces of a terabyte":  {path: fresh(func(string) {}), o: CreateOptions{PieceLength: 1 << 40}, want: "piece length of 1099511627776"},
		"millions of pieces":    {path: fresh(func(top string) { must(os.Truncate(top+"/sub/file", 7<<20)) }), o: CreateOptions{PieceLength: 1}, want: "choose longer pieces"},
		"more than can be true": {path: fresh(func(top string) { must(os.Truncate(top+"/sub/file", 1<<42)) }), o: CreateOptions{PieceLength: 1}, want: "choose longer pieces"},
	} {
		if m, err := Create(t.Context(), c.path, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: made %v, error %v, want one with %q", name, m, err, c.want)
		}
	}
}

func TestAnErrorNamesTheFileOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone")
	_, err := Create(t.Context(), path, CreateOptions{})
	if !errors.Is(err, fs.ErrNotExist) || strings.Count(err.Error(), "gone") != 1 {
		t.Errorf("error %v", err)
	}
}

func TestAFileThatChangesIsNamed(t *testing.T) {
	for name, size := range map[string]int64{"shorter": 5, "longer": 5 << 20} {
		top := folder(t)
		src, err := scan(top)
		if err != nil {
			t.Fatal(err)
		}
		layout, err := src.layout(CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(top, "c/d/e"), size); err != nil {
			t.Fatal(err)
		}
		_, err = hashPieces(t.Context(), src, layout, nil)
		if err == nil || !strings.Contains(err.Error(), "many/c/d/e: the file changed") {
			t.Errorf("%s: error %v", name, err)
		}
		if err := os.Remove(filepath.Join(top, "c/d/e")); err != nil {
			t.Fatal(err)
		}
		if _, err = hashPieces(t.Context(), src, layout, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "many/c/d/e") {
			t.Errorf("gone: error %v", err)
		}
		src.close()
	}
}

func TestOwnStateIsLeftOut(t *testing.T) {
	top := filepath.Join(t.TempDir(), "top")
	write(t, top, "f", content(10, 1))
	write(t, top, ReservedName+"/journal", content(10, 1))
	if m := create(t, top, CreateOptions{}); len(m.Info.Files) != 1 || m.Info.Files[0].Path != "top/f" {
		t.Errorf("files %+v", m.Info.Files)
	}
}

func TestALinkNamedByTheCallerIsFollowed(t *testing.T) {
	dir := t.TempDir()
	for name, target := range map[string]string{"link": write(t, dir, "real", content(10, 1)), "folder": filepath.Dir(write(t, dir, "deep/down/f", content(10, 1)))} {
		link := filepath.Join(dir, name)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if m := create(t, link, CreateOptions{}); m.Info.Name != name || m.Info.Length != 10 {
			t.Errorf("info %+v", m.Info)
		}
	}
}
