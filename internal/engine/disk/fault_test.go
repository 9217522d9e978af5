package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// failing makes operations on names with a suffix fail.
func failing(op, suffix string, err error) func(string, string) error {
	return func(o, name string) error {
		if o == op && strings.HasSuffix(name, suffix) {
			return err
		}
		return nil
	}
}

func TestFullVolumeKeepsThePieceAndGoesOnWhenThereIsRoom(t *testing.T) {
	s := mixed(t, 1)
	for _, full := range []string{"t/a.bin", "/journal"} {
		m := newMemFS()
		d := volume(m, 64)
		c := mustOpen(t, d, s)
		m.fault = failing("write", full, syscall.ENOSPC)
		r := c.fetch(0)
		if r.OK || !errors.Is(r.Err, ErrNoSpace) || !strings.Contains(r.Err.Error(), full) || c.Have().Has(0) {
			t.Errorf("%s: %+v", full, r)
		}
		m.fault = nil
		c.Finish(0, false)
		if r := <-c.results; !r.OK {
			t.Errorf("%s: with room again: %+v", full, r)
		}
		c.fetchAll(t)
		c.mustClose(t)
		s.onDisk(t, m)
		d.Close()
	}
}

func TestFullVolumeWhileClosingForgetsOnlyWhatCouldNotBeWritten(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	if r := c.fetch(0); !r.OK {
		t.Fatal(r)
	}
	c.receive(1, s.piece(1)[:2*block.Size])
	c.receive(3, s.piece(3)[:2*block.Size])
	m.fault = failing("write", "sub/c.bin", syscall.ENOSPC)
	if err := c.Close(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("closing: %v", err)
	}
	if d.pool.Used() != 0 {
		t.Errorf("%d bytes of memory were not given back", d.pool.Used())
	}
	m.fault = nil
	c = mustOpen(t, d, s)
	if part := c.Partial(); !equal(c.Have(), pieces(5, 0)) || len(part) != 1 || part[0].Index != 1 {
		t.Errorf("found %x and %+v", c.Have().Bytes(), part)
	}
	c.fetchAll(t)
	c.mustClose(t)
	s.onDisk(t, m)
}

func TestSpillingToAFullVolumeEndsTheStoreAndTellsWhy(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 3)
	defer d.Close()
	c := mustOpen(t, d, s)
	c.receive(0, s.piece(0)[:3*block.Size])
	m.fault = failing("write", "t/a.bin", syscall.ENOSPC)
	if c.Claim(0, 3*block.Size, block.Size) != nil {
		t.Error("room was made on a full volume")
	}
	if r := <-c.results; r.Index != NoPiece || !errors.Is(r.Err, ErrNoSpace) {
		t.Errorf("told %+v", r)
	}
	m.fault = nil
	c.mustClose(t)
	c = mustOpen(t, d, s)
	if part := c.Partial(); len(part) != 1 || part[0].Blocks.Count() != 3 {
		t.Errorf("the blocks were not kept: %+v", part)
	}
}

func TestFailedSyncIsNeverForgotten(t *testing.T) {
	s := mixed(t, 1)
	for _, where := range []string{"t/a.bin", "t/sub", "/journal"} {
		m := newMemFS()
		d := volume(m, 64)
		c := mustOpen(t, d, s)
		if r := c.fetch(0); !r.OK {
			t.Fatal(r)
		}
		if err := c.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for p := range uint32(2) {
			if r := c.fetch(1 + p); !r.OK {
				t.Fatal(r)
			}
		}
		c.receive(3, s.piece(3)[:block.Size])
		once := false
		m.fault = func(op, name string) error {
			if op == "sync" && strings.HasSuffix(name, where) && !once {
				once = true
				return syscall.EIO
			}
			return nil
		}
		if err := c.Sync(t.Context()); !errors.Is(err, ErrIO) || !strings.Contains(err.Error(), where) {
			t.Errorf("%s: %v", where, err)
		}
		if r := <-c.results; r.Index != NoPiece || !errors.Is(r.Err, ErrIO) {
			t.Errorf("%s: told %+v", where, r)
		}
		// The next sync would succeed; that must not make them durable.
		if err := c.Sync(t.Context()); !errors.Is(err, ErrIO) {
			t.Errorf("%s: the next sync: %v", where, err)
		}
		if !equal(c.Have(), pieces(5, 0)) || c.Claim(4, 0, block.Size) != nil {
			t.Errorf("%s: the store goes on with %x", where, c.Have().Bytes())
		}
		killed := m.afterKill()
		if err := c.Close(); !errors.Is(err, ErrIO) {
			t.Errorf("%s: closing: %v", where, err)
		}
		d.Close()
		for _, after := range []*memFS{m, killed} {
			d := volume(after, 64)
			c := mustOpen(t, d, s)
			if !equal(c.Have(), pieces(5, 0)) || len(c.Partial()) != 0 {
				t.Errorf("%s: opened again: %x and %+v", where, c.Have().Bytes(), c.Partial())
			}
			d.Close()
		}
	}
}

func TestErrorOfASyncForAnEvictedFileIsNeverForgotten(t *testing.T) {
	var parts []part
	for _, name := range strings.Fields("a b c d e f g h") {
		parts = append(parts, part{name, block.Size, ""})
	}
	s := newSample(t, 1, block.Size, parts...)
	m := newMemFS()
	d := volume(m, 64) // Keeps three files open.
	defer d.Close()
	c := mustOpen(t, d, s)
	m.fault = failing("sync", "t/a", syscall.EIO)
	failed := false
	for p := range uint32(8) {
		r := c.fetch(p)
		failed = failed || r.Err != nil
	}
	if !failed || !errors.Is(c.Sync(t.Context()), ErrIO) || c.Have().Count() != 0 {
		t.Errorf("the error was forgotten; %d pieces are claimed", c.Have().Count())
	}
}

func TestPieceFinishedDuringASyncIsNotCalledDurable(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	if r := c.fetch(0); !r.OK {
		t.Fatal(r)
	}
	meanwhile := false
	m.fault = func(op, name string) error {
		if op == "sync" && name == "t/a.bin" && !meanwhile {
			meanwhile = true
			m.mu.Unlock()
			if r := c.fetch(3); !r.OK {
				t.Error(r)
			}
			m.mu.Lock()
		}
		return nil
	}
	if err := c.Sync(t.Context()); err != nil || c.Durable() != 1 {
		t.Errorf("%d pieces durable, %v", c.Durable(), err)
	}
	after := m.afterKill()
	d2 := volume(after, 64)
	defer d2.Close()
	c2 := mustOpen(t, d2, s)
	if c2.Durable() != 1 || !equal(c2.Have(), pieces(5, 0, 3)) {
		t.Errorf("the journal says %d are durable of %x", c2.Durable(), c2.Have().Bytes())
	}
}

func TestErrorsSayWhatTheyAre(t *testing.T) {
	for err, want := range map[error]error{
		syscall.ENOSPC: ErrNoSpace, syscall.EDQUOT: ErrNoSpace, syscall.EROFS: ErrReadOnly, syscall.EACCES: ErrReadOnly,
		syscall.EPERM: ErrReadOnly, syscall.EEXIST: ErrConflict, syscall.ENOTDIR: ErrConflict, syscall.EISDIR: ErrConflict,
		syscall.EIO: ErrIO, syscall.ENOENT: ErrIO, errors.New("anything"): ErrIO,
	} {
		got := fault("write", "some/file", &fs.PathError{Op: "writev", Path: "/secret/some/file", Err: err})
		if !errors.Is(got, want) || !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
		if again := fault("do", "other", got); !errors.Is(again, got) || again.Error() != got.Error() {
			t.Errorf("classified twice: %v", again)
		}
		if strings.Contains(got.Error(), "secret") || !strings.HasPrefix(got.Error(), `can't write "some/file": `+err.Error()) {
			t.Errorf("%v", got)
		}
	}
	if fault("write", "x", nil) != nil {
		t.Error("no error became one")
	}
}

// tmpfs mounts a volume of so many bytes.
func tmpfs(t *testing.T, size string) string {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root; the same is tested on a volume in memory")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("can't mount here (%v); the same is tested on a volume in memory", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestTooSmallAVolumeIsToldBeforeTheFirstByte(t *testing.T) {
	dir := tmpfs(t, "512k")
	s := newSample(t, 1, 4*block.Size, part{"a", 1 << 20, ""})
	d, _ := newRealDisk(t)
	_, err := open(d, dir, s)
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "needs 1048576 more bytes") {
		t.Fatalf("got %v", err)
	}
	if all, _ := filepath.Glob(filepath.Join(dir, "down/load/*")); len(all) != 0 {
		t.Errorf("it left %v", all)
	}
}

func TestRealVolumeThatFillsUpIsToldAndGoesOnLater(t *testing.T) {
	dir := tmpfs(t, "2m")
	s := newSample(t, 1, 4*block.Size, part{"a", 1 << 20, ""})
	d, _ := newRealDisk(t)
	c, err := open(d, dir, s)
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	if r := c.fetch(0); !errors.Is(r.Err, ErrNoSpace) {
		t.Fatalf("on a full volume: %+v", r)
	}
	c.Close()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if c, err = open(d, dir, s); err != nil {
		t.Fatal(err)
	}
	c.fetchAll(t)
	c.mustClose(t)
	b, err := os.ReadFile(filepath.Join(dir, "down/load/t/a"))
	if err != nil || string(b) != string(s.content) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// What is missing may have had room when the files were opened, and have none
// when others have written; what was preallocated needs none.
func TestTheLoadSaysWhatTheVolumeLacks(t *testing.T) {
	for _, reserved := range []bool{false, true} {
		dir := tmpfs(t, "2m")
		s := newSample(t, 1, 4*block.Size, part{"a", 1 << 20, ""})
		d, _ := newRealDisk(t)
		c := &client{sample: s, results: make(chan Result, 4096)}
		var err error
		c.Store, err = d.Open(t.Context(), Spec{
			Dir: dir, Info: s.Info, InfoHash: s.InfoHash, Preallocate: reserved, Done: func(r Result) { c.results <- r },
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.fetch(0)
		if err := c.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.lookForRoom()
		if l := c.Load(); l.Short != 0 || l.Writes < 1 || l.Syncs < 1 || l.Writing <= 0 || l.Syncing <= 0 {
			t.Errorf("reserved=%v: with room for all, %+v", reserved, l)
		}
		var v unix.Statfs_t
		if err := unix.Statfs(dir, &v); err != nil {
			t.Fatal(err)
		}
		missing, page := int64(1<<20-4*block.Size), int64(4096)
		leave := missing - 2*page
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, max(0, int64(v.Bavail)*v.Bsize-leave)), 0o600); err != nil {
			t.Fatal(err)
		}
		c.lookForRoom()
		want := 2 * page
		if reserved {
			want = 0
		}
		if l := c.Load(); l.Short != want {
			t.Errorf("reserved=%v: it lacks %d, want %d", reserved, l.Short, want)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if c.lookForRoom(); c.Load().Short != 0 {
			t.Errorf("reserved=%v: it lacks %d when the others have gone", reserved, c.Load().Short)
		}
		c.mustClose(t)
	}
}

func TestPreallocationTakesTheSpaceAtOnce(t *testing.T) {
	dir := tmpfs(t, "4m")
	s := newSample(t, 1, 4*block.Size, part{"a", 1 << 20, ""}, part{"b", 3000, ""})
	d, _ := newRealDisk(t)
	store, err := d.Open(t.Context(), Spec{Dir: dir, Info: s.Info, InfoHash: s.InfoHash, Preallocate: true, Done: func(Result) {}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "t/a"))
	if err != nil || allocated(info) != 1<<20 || info.Size() != 1<<20 {
		t.Errorf("%v, %v", info, err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	// What is allocated needs no room any more.
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 5<<19), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := open(d, dir, &sample{Metainfo: s.Metainfo})
	if err == nil {
		t.Error("another copy fits beside it")
		c.Close()
	}
	store, err = d.Open(t.Context(), Spec{Dir: dir, Info: s.Info, InfoHash: s.InfoHash, Done: func(Result) {}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReadOnlyVolumeIsToldAsSuch(t *testing.T) {
	m := newMemFS()
	m.fault = func(op, _ string) error {
		if op == "mkdir" || op == "create" {
			return syscall.EROFS
		}
		return nil
	}
	d := volume(m, 64)
	defer d.Close()
	if _, err := open(d, "", mixed(t, 1)); !errors.Is(err, ErrReadOnly) {
		t.Errorf("got %v", err)
	}
}
