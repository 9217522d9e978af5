package e2e

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/tracker"
)

// torrent is content on this machine and the .torrent file of it.
type torrent struct {
	dir  string // The folder that holds the content, under its own name.
	name string
	meta *metainfo.Metainfo
	file []byte
}

// newTorrent makes content of a few files with about size bytes, all of them
// decided by name, in pieces of 64 KiB.
func newTorrent(t *testing.T, name string, size int, announce ...string) *torrent {
	t.Helper()
	o := &torrent{dir: t.TempDir(), name: name}
	var seed [32]byte
	copy(seed[:], name)
	random := rand.NewChaCha8(seed)
	for file, n := range map[string]int{"data": size - size/3, "below/more": size / 3, "empty": 0} {
		path := filepath.Join(o.dir, name, file)
		b := make([]byte, n)
		random.Read(b)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	options := metainfo.CreateOptions{PieceLength: 64 << 10}
	if len(announce) > 0 {
		options.Announce = [][]string{announce}
	}
	var err error
	if o.meta, err = metainfo.Create(t.Context(), filepath.Join(o.dir, name), options); err != nil {
		t.Fatal(err)
	}
	if o.file, err = o.meta.Marshal(); err != nil {
		t.Fatal(err)
	}
	return o
}

// save writes the .torrent file and returns its name.
func (o *torrent) save(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), o.name+".torrent")
	if err := os.WriteFile(path, o.file, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// seed serves the content from this process until the end of the test, and
// returns the address.
func (o *torrent) seed(t *testing.T) string {
	t.Helper()
	e, err := engine.New(engine.Config{
		PortFirst: 21000, PortLast: 29999, Listen: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		ProgressInterval: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Errorf("closing the seeder: %v", err)
		}
	})
	seeding, err := e.Add(engine.Spec{Metainfo: o.meta, Dir: o.dir, Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	for seeding.Progress().State != download.StateSeeding {
		select {
		case <-seeding.Changed():
		case <-seeding.Done():
			t.Fatalf("the seeder ended: %v", seeding.Progress().Err)
		}
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(e.Port()))
}

// newTracker runs a tracker until the end of the test and returns its announce
// URL.
func newTracker(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(tracker.NewServer(time.Second, nil))
	t.Cleanup(s.Close)
	return s.URL + "/announce"
}

// compare checks that the content below dir is exactly the torrent's.
func (o *torrent) compare(t *testing.T, dir string) {
	t.Helper()
	for i := range o.meta.Info.Files {
		name := filepath.FromSlash(o.meta.Info.Files[i].Path)
		want, err := os.ReadFile(filepath.Join(o.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s differs from what the seeder has", name)
		}
	}
}
