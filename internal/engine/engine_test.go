package engine

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/tracker"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Addr{netip.MustParseAddr("127.0.0.1")}

// newTestEngine starts an engine on a free loopback port and closes it at the
// end of the test.
func newTestEngine(t *testing.T, cfg Config) *Engine {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cfg.PortFirst, cfg.PortLast, cfg.Listen = port, port, loopback
	if cfg.ProgressInterval == 0 {
		cfg.ProgressInterval = 20 * time.Millisecond
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return e
}

func (e *Engine) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(e.Port())) }

// newTestTracker runs our tracker on loopback and returns its announce URL.
func newTestTracker(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(tracker.NewServer(time.Second, time.Now))
	t.Cleanup(s.Close)
	return s.URL + "/announce"
}

// content is what a test shares: file names and sizes, filled from a seed.
type content map[string]int

// write lays the content out below a new folder and returns it.
func (c content) write(t *testing.T, name string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), name)
	for file, size := range c {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, size)
		rng := rand.NewChaCha8([32]byte{byte(len(file)), byte(size)})
		rng.Read(b)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func create(t *testing.T, path string, pieceLength int64, announce string) *metainfo.Metainfo {
	t.Helper()
	o := metainfo.CreateOptions{PieceLength: pieceLength}
	if announce != "" {
		o.Announce = [][]string{{announce}}
	}
	m, err := metainfo.Create(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// await waits until a torrent's progress is as it should be.
func await(t *testing.T, tor *Torrent, what string, ok func(*download.Progress) bool) *download.Progress {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		p := tor.Progress()
		if ok(p) {
			return p
		}
		select {
		case <-tor.Changed():
		case <-tor.Done():
			if p := tor.Progress(); ok(p) {
				return p
			}
			t.Fatalf("waiting for %s: ended with %+v (%v)", what, tor.Progress(), tor.Progress().Err)
		case <-deadline:
			t.Fatalf("waiting for %s: still %+v (%v)", what, p, p.Err)
		}
	}
}

func is(s download.State) func(*download.Progress) bool {
	return func(p *download.Progress) bool { return p.State == s }
}

func seed(t *testing.T, root string, m *metainfo.Metainfo) *Engine {
	t.Helper()
	e := newTestEngine(t, Config{})
	tor, err := e.Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the seed to check its data", is(download.StateSeeding))
	return e
}

func sameTree(t *testing.T, want, got string) {
	t.Helper()
	err := filepath.WalkDir(want, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(want, path)
		a, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(got, rel))
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDownloadFromASeedFoundThroughATracker(t *testing.T) {
	for _, c := range []struct {
		name        string
		files       content
		pieceLength int64
	}{
		{"many files with odd ends", content{"a/one": 300_001, "a/b/two": 1, "empty": 0, "three": 2_000_000}, 64 << 10},
		{"one small piece", content{"tiny": 11}, 1 << 20},
		{"pieces larger than the content", content{"x": 100_000, "y": 100_000}, 4 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := c.files.write(t, "content")
			m := create(t, root, c.pieceLength, newTestTracker(t))
			seed(t, root, m)
			dir := t.TempDir()
			tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: dir, Path: "below/here"})
			if err != nil {
				t.Fatal(err)
			}
			p := await(t, tor, "the download", is(download.StateComplete))
			sameTree(t, root, filepath.Join(dir, "below/here/content"))
			if p.BytesVerified != m.Info.PayloadLength() || p.Pieces.Verified != m.Info.PieceCount() || p.CompletedAt.IsZero() {
				t.Errorf("complete with %+v", p)
			}
		})
	}
}

func TestLeechersServeEachOther(t *testing.T) {
	root := content{"data": 8 << 20}.write(t, "content")
	m := create(t, root, 64<<10, newTestTracker(t))
	seed(t, root, m)
	var all []*Torrent
	var dirs []string
	for range 4 {
		dir := t.TempDir()
		tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: dir, Seeding: download.Seeding{Policy: download.SeedForever}})
		if err != nil {
			t.Fatal(err)
		}
		all, dirs = append(all, tor), append(dirs, dir)
	}
	shared := int64(0)
	for i, tor := range all {
		p := await(t, tor, "a leecher", is(download.StateSeeding))
		sameTree(t, root, filepath.Join(dirs[i], "content"))
		shared += p.BytesUploaded
	}
	if shared == 0 {
		t.Error("no leecher sent a byte to another")
	}
}

func TestStopAndResumeFetchesNothingTwice(t *testing.T) {
	root := content{"data": 4 << 20}.write(t, "content")
	m := create(t, root, 256<<10, "")
	from := seed(t, root, m)
	dir := t.TempDir()
	spec := Spec{Metainfo: m, Dir: dir, Peers: []string{from.addr()}, Limits: download.Limits{DownloadBytesPerSecond: 2 << 20}}
	tor, err := newTestEngine(t, Config{}).Add(spec)
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "a third", func(p *download.Progress) bool { return p.BytesVerified > 1<<20 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := tor.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	first := tor.Progress()
	spec.Limits = download.Limits{}
	tor, err = newTestEngine(t, Config{}).Add(spec)
	if err != nil {
		t.Fatal(err)
	}
	second := await(t, tor, "the rest", is(download.StateComplete))
	sameTree(t, root, filepath.Join(dir, "content"))
	// Requests in flight at the stop may be sent and not used.
	if sum := first.BytesDownloaded + second.BytesDownloaded; sum > m.Info.Length+1<<20 {
		t.Errorf("%d and then %d bytes fetched for %d", first.BytesDownloaded, second.BytesDownloaded, m.Info.Length)
	}
}

func TestVerifyFindsAndMendsDamage(t *testing.T) {
	root := content{"data": 2 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	from := seed(t, root, m)
	dir := t.TempDir()
	spec := Spec{Metainfo: m, Dir: dir, Peers: []string{from.addr()}, Seeding: download.Seeding{Policy: download.SeedForever}}
	tor, err := newTestEngine(t, Config{}).Add(spec)
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateSeeding))
	f, err := os.OpenFile(filepath.Join(dir, "content/data"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), 1<<20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	tor.Verify()
	await(t, tor, "the check to begin", func(p *download.Progress) bool { return p.State != download.StateSeeding })
	await(t, tor, "the repair", is(download.StateSeeding))
	sameTree(t, root, filepath.Join(dir, "content"))
}

func TestDownloadLimitHolds(t *testing.T) {
	root := content{"data": 3 << 20}.write(t, "content")
	m := create(t, root, 256<<10, "")
	from := seed(t, root, m)
	tor, err := newTestEngine(t, Config{}).Add(Spec{
		Metainfo: m, Dir: t.TempDir(), Peers: []string{from.addr()},
		Limits: download.Limits{DownloadBytesPerSecond: 1 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	await(t, tor, "the download", is(download.StateComplete))
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("3 MiB at 1 MiB/s took only %v", took)
	}
}

func TestWhatIsWrongHasAReason(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	gone := httptest.NewServer(nil)
	gone.Close()
	quiet := create(t, root, 64<<10, "")
	for _, c := range []struct {
		name, reason string
		state        download.State
		spec         func(t *testing.T) Spec
	}{
		{"no peers", download.ReasonNoPeers, download.StateStalled, func(t *testing.T) Spec {
			return Spec{Metainfo: quiet, Dir: t.TempDir()}
		}},
		{"no peers of a private torrent", download.ReasonNoPeers, download.StateStalled, func(t *testing.T) Spec {
			private, err := metainfo.Create(t.Context(), root, metainfo.CreateOptions{Private: true})
			if err != nil {
				t.Fatal(err)
			}
			return Spec{Metainfo: private, Dir: t.TempDir()}
		}},
		{"no tracker answers", download.ReasonTrackerUnreachable, download.StateStalled, func(t *testing.T) Spec {
			return Spec{Metainfo: create(t, root, 64<<10, gone.URL+"/announce"), Dir: t.TempDir()}
		}},
		{"a UDP tracker that is denied", download.ReasonTrackerUnreachable, download.StateStalled, func(t *testing.T) Spec {
			return Spec{Metainfo: create(t, root, 64<<10, "udp://127.0.0.2:6969/announce"), Dir: t.TempDir()}
		}},
		{"peers that are denied", download.ReasonAddressDenied, download.StateStalled, func(t *testing.T) Spec {
			return Spec{Metainfo: quiet, Dir: t.TempDir(), Peers: []string{"127.0.0.2:6881"}}
		}},
		{"foreign content", download.ReasonPathConflict, download.StateFailed, func(t *testing.T) Spec {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "content"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "content/data"), []byte("something else"), 0o644); err != nil {
				t.Fatal(err)
			}
			return Spec{Metainfo: quiet, Dir: dir}
		}},
		{"no such folder", download.ReasonVolumeError, download.StateFailed, func(t *testing.T) Spec {
			return Spec{Metainfo: quiet, Dir: filepath.Join(t.TempDir(), "missing")}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := c.spec(t)
			spec.StallTimeout = 300 * time.Millisecond
			guard := &transport.Guard{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
			tor, err := newTestEngine(t, Config{Guard: guard}).Add(spec)
			if err != nil {
				t.Fatal(err)
			}
			p := await(t, tor, "the reason", func(p *download.Progress) bool {
				return p.State == c.state && p.Err != nil && p.Err.Reason == c.reason
			})
			if p.Err.Message == "" || strings.Contains(c.name, "denied") && !strings.Contains(p.Err.Message, "--allow-cidrs=127.0.0.2/32") {
				t.Errorf("the message is %q", p.Err.Message)
			}
			if private := spec.Metainfo.Info.Private; private && strings.Contains(p.Err.Message, "add trackers") { // BEP 27.
				t.Errorf("the message advises what does not help: %q", p.Err.Message)
			}
		})
	}
}

func TestFirstByteClearsAStall(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir(), StallTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the stall", is(download.StateStalled))
	from := seed(t, root, m)
	tor.Update(Update{Peers: []string{from.addr()}, StallTimeout: time.Minute})
	if p := await(t, tor, "the download", is(download.StateComplete)); p.Err != nil {
		t.Errorf("complete, and still %v", p.Err)
	}
}

func TestAddRefusesTheSameTorrentInTheSamePlace(t *testing.T) {
	root := content{"data": 1 << 16}.write(t, "content")
	m := create(t, root, 1<<14, "")
	e := newTestEngine(t, Config{})
	spec := Spec{Metainfo: m, Dir: filepath.Dir(root), Seeding: download.Seeding{Policy: download.SeedForever}}
	if _, err := e.Add(spec); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Add(spec); !errors.Is(err, ErrDuplicate) {
		t.Errorf("added twice: %v", err)
	}
	spec.Dir = t.TempDir()
	if _, err := e.Add(spec); err != nil {
		t.Errorf("the same torrent in another place: %v", err)
	}
}

func TestSeedingEndsAtItsRatio(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	e := newTestEngine(t, Config{})
	seeder, err := e.Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Seeding: download.Seeding{Policy: download.SeedRatio, RatioPercent: 100}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, seeder, "the seed", is(download.StateSeeding))
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir(), Peers: []string{e.addr()}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateComplete))
	p := await(t, seeder, "the end of seeding", is(download.StateComplete))
	if p.BytesUploaded < m.Info.Length {
		t.Errorf("stopped seeding after %d of %d bytes", p.BytesUploaded, m.Info.Length)
	}
}

func TestCloseMayBeCalledAgain(t *testing.T) {
	root := content{"data": 1 << 16}.write(t, "content")
	m := create(t, root, 1<<14, "")
	e := newTestEngine(t, Config{})
	tor, err := e.Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the seed", is(download.StateSeeding))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_ = e.Close(over) // It may be too late for it, or not.
	for range 2 {
		if err := e.Close(t.Context()); err != nil {
			t.Errorf("closing again: %v", err)
		}
	}
	if _, err := e.Add(Spec{Metainfo: m, Dir: t.TempDir()}); !errors.Is(err, ErrClosed) {
		t.Errorf("added after Close: %v", err)
	}
}
