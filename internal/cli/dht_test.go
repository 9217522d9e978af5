package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

func TestTheDHTIsOnUnlessItIsSaidOtherwise(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/cache")
	for env, on := range map[string]bool{"": true, "true": true, "1": true, "maybe": true, "false": false, "0": false} {
		t.Setenv(dhtEnv, env)
		if dhtDefault() != on {
			t.Errorf("%s=%s: %v", dhtEnv, env, !on)
		}
	}
	f := downloadFlags{dht: true, bootstrap: []string{"h:1"}}
	if d := f.discovery(); d == nil || d.File != "/cache/torrent-operator/dht" || !slices.Equal(d.Bootstrap, f.bootstrap) || d.ReadOnly {
		t.Errorf("with --dht: %+v", d)
	}
	f.dht = false
	if d := f.discovery(); d != nil {
		t.Errorf("with --dht=false: %+v", d)
	}
}

// A link without a tracker is resolved and downloaded by the DHT alone, and what
// was learned of nodes is kept for the next time.
func TestALinkWithoutATrackerIsFoundInTheDHT(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	d := newDataset(t, 200_000)
	port := freeport.For(t)
	e, err := engine.New(engine.Config{PortFirst: port, PortLast: port, DHT: &engine.DHT{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if _, err := e.Add(engine.Spec{Metainfo: d.meta, Dir: d.folder, Seeding: download.Seeding{Policy: download.SeedForever}}); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	run(t, "download", d.meta.Magnet().String(), "-o", out, "--port", strconv.Itoa(freeport.For(t)), "--dht", "--dht-bootstrap", "127.0.0.1:"+strconv.Itoa(port)).expectSuccess(t)
	d.expectIn(t, out)
	if _, err := os.Stat(filepath.Join(cache, "torrent-operator", "dht")); err != nil {
		t.Errorf("nothing was kept of the network: %v", err)
	}
}
