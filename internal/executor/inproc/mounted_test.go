package inproc

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

const address = "10.1.2.3:6881"

// mount gives w an executor like that of a worker Pod, with its volume mounted.
func (w *world) mount() { w.mountAs(Config{}) }

// mountAs is mount with something else in the configuration.
func (w *world) mountAs(c Config) {
	w.Helper()
	c.Engine, c.Volumes, c.Address = w.engine(nil), Mounted(w.volume), address
	w.Executor = New(c)
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			w.Errorf("closing the executor: %v", err)
		}
	})
}

func TestAMountedVolumeIsThatOfAnyClaim(t *testing.T) {
	w := newWorld(t)
	w.mount()
	r := w.request("a")
	r.Volume.ClaimName = "nobody-looks-it-up"
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
	if _, intact := w.data("a", r); !intact {
		t.Error("the data is not on the volume")
	}
	if err := w.Stop(t.Context(), id("a"), r, download.Erase); err != nil {
		t.Fatal(err)
	}
	if left := filesBelow(t, w.volume); len(left) > 0 {
		t.Errorf("erased, and left: %v", left)
	}
}

func TestAVolumeThatIsOnlyReadIsLeftAsItIs(t *testing.T) {
	w := newWorld(t)
	w.mount()
	r := w.request("a")
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
	before := filesBelow(t, w.volume)

	w.mountAs(Config{ReadOnly: true})
	other := w.request("b")
	w.ensure("b", other)
	checkFailure(t, w.awaitState("b", download.StateFailed).Err, download.ReasonDataMissing, false)
	r.Peers, r.Seeding = nil, download.Seeding{Policy: download.SeedForever}
	w.ensure("a", r)
	w.awaitState("a", download.StateSeeding)
	if after := filesBelow(t, w.volume); !slices.Equal(after, before) {
		t.Errorf("the volume has %v, and had %v", after, before)
	}
	var damaged string
	for _, name := range before {
		if !strings.Contains(name, metainfo.ReservedName) {
			damaged = name
		}
	}
	if err := os.Truncate(filepath.Join(w.volume, damaged), 1); err != nil {
		t.Fatal(err)
	}
	r.VerifyToken = "now"
	w.ensure("a", r)
	checkFailure(t, w.awaitState("a", download.StateFailed).Err, download.ReasonDataMissing, false)
}

func TestTheAddressIsToldAsLongAsPeersAreTaken(t *testing.T) {
	w := newWorld(t)
	w.mount()
	r := w.request("a")
	r.ResolveOnly = true
	w.ensure("a", r)
	if p := w.awaitState("a", download.StateWaiting); p.Address != "" {
		t.Errorf("resolved only, and reachable at %s", p.Address)
	}
	r.ResolveOnly, r.Seeding = false, download.Seeding{Policy: download.SeedForever}
	w.ensure("a", r)
	if p := w.awaitState("a", download.StateSeeding); p.Address != address {
		t.Errorf("seeding at %q, want %s", p.Address, address)
	}
	r.Seeding = download.Seeding{}
	w.ensure("a", r)
	if p := w.awaitState("a", download.StateComplete); p.Address != "" {
		t.Errorf("at rest, and reachable at %s", p.Address)
	}
}

func TestNeighboursArePeers(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	r.Neighbours, r.Peers = r.Peers, nil
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)

	late := w.request("b")
	neighbours := late.Peers
	late.Peers = nil
	w.ensure("b", late)
	w.awaitState("b", download.StateDownloading)
	late.Neighbours = neighbours
	w.ensure("b", late)
	w.awaitState("b", download.StateComplete)
}

// BEP 27.
func TestAPrivateTorrentIsToldAsSuch(t *testing.T) {
	w := newWorld(t)
	content := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(content, random("secret", 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := metainfo.Create(t.Context(), content, metainfo.CreateOptions{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	r := w.request("a")
	w.ensure("a", r)
	if r.Source.Metainfo, err = m.Marshal(); err != nil {
		t.Fatal(err)
	}
	w.ensure("b", r)
	if p := w.awaitState("b", download.StateDownloading); !p.Private {
		t.Error("a private torrent is not told as one")
	}
	if p := w.awaitState("a", download.StateComplete); p.Private {
		t.Error("a public torrent is told as private")
	}
}
