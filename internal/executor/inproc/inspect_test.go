package inproc

import (
	"errors"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestADownloadIsLookedAtClosely(t *testing.T) {
	w := newWorld(t)
	if _, err := w.Inspect(t.Context(), id("unknown")); !errors.Is(err, download.ErrUnknown) {
		t.Errorf("one that is unknown: %v", err)
	}
	r := w.request("known")
	r.Seeding = download.Seeding{Policy: download.SeedForever}
	w.ensure("known", r)
	w.awaitState("known", download.StateSeeding)
	d, err := w.Inspect(t.Context(), id("known"))
	if err != nil || len(d.Files) != 3 || d.Progress.NodeName != node || d.Progress.State != download.StateSeeding {
		t.Errorf("it shows %+v, %v", d, err)
	}
	if err := w.Stop(t.Context(), id("known"), r, download.Keep); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Inspect(t.Context(), id("known")); !errors.Is(err, download.ErrUnknown) {
		t.Errorf("one that was stopped: %v", err)
	}

	failing := w.request("failing")
	failing.Volume.ClaimName = "missing"
	w.ensure("failing", failing)
	w.await("failing", "waiting", func(p download.Progress) bool { return p.Err != nil })
	if d, err := w.Inspect(t.Context(), id("failing")); err != nil || d.Progress.Err == nil || d.Files != nil {
		t.Errorf("one that waits shows %+v, %v", d, err)
	}
}
