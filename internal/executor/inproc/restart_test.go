package inproc

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// run returns what carries a download now.
func (w *world) run(name string) *run {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Executor.mu.Lock()
	defer w.Executor.mu.Unlock()
	return w.runs[id(name)]
}

// awaitEnd waits until nothing of a download runs.
func (w *world) awaitEnd(name string) {
	w.Helper()
	select {
	case <-w.run(name).done:
	case <-time.After(patience):
		w.Fatalf("%s still runs", name)
	}
}

// seeding asks for torrent "a", to be served forever.
func (w *world) seeding() download.Request {
	r := w.request("a")
	r.Seeding.Policy = download.SeedForever
	return r
}

func TestAFailureThatMayPassIsBegunAgainByTheNextEnsure(t *testing.T) {
	w := newWorld(t)
	var answers atomic.Bool
	s := w.serve(httptest.NewServer, func(rw http.ResponseWriter, r *http.Request) {
		if !answers.Load() {
			http.Error(rw, "later", http.StatusServiceUnavailable)
			return
		}
		w.serveFile(rw, r)
	})
	r := w.from(download.URL{Address: s.URL})
	w.fails("a", r, download.ReasonMetainfoUnavailable, false, "503")
	failed := w.run("a")
	w.awaitEnd("a")
	answers.Store(true)
	if p := w.observe("a"); p.State != download.StateFailed {
		t.Errorf("tried again without an Ensure: %s", p.State)
	}
	w.ensure("a", r)
	if p := w.awaitState("a", download.StateComplete); p.Err != nil {
		t.Errorf("complete with failure %v", p.Err)
	}
	if w.run("a") == failed {
		t.Error("the run that had ended goes on")
	}
}

func TestAPermanentFailureIsBegunAgainWhenTheRequestChanges(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	r.InfoHash = "0123456789012345678901234567890123456789"
	w.fails("a", r, download.ReasonInfoHashMismatch, true)
	r.InfoHash = ""
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
}

func TestChangedLimitsReachTheRunningTorrent(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	r.Limits.DownloadBytesPerSecond = 20_000 // A million bytes take 50 s.
	w.ensure("a", r)
	w.await("a", "downloading", func(p download.Progress) bool { return p.BytesDownloaded > 0 })
	before := w.run("a")
	r.Limits.DownloadBytesPerSecond = 0
	began := time.Now()
	w.ensure("a", r)
	p := w.awaitState("a", download.StateComplete)
	if w.run("a") != before {
		t.Error("the torrent was stopped and started again")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the rest took %v, as long as with the old limit", took)
	}
	if p.BytesDownloaded > p.BytesTotal {
		t.Errorf("%d bytes were fetched of %d", p.BytesDownloaded, p.BytesTotal)
	}
}

func TestAnEmptyTokenAsksForNothingAndARetryTokenOnlyAfterAFailure(t *testing.T) {
	w := newWorld(t)
	r := w.seeding()
	r.RetryToken, r.VerifyToken = "1", "1"
	w.ensure("a", r)
	w.awaitState("a", download.StateSeeding)
	before := w.run("a")
	w.damage(r) // A check would find it.
	for _, tokens := range [][2]string{{"2", "1"}, {"", "1"}, {"1", ""}, {"", ""}, {"3", "1"}} {
		r.RetryToken, r.VerifyToken = tokens[0], tokens[1]
		w.ensure("a", r)
	}
	r.Limits.MaxPeers = 7
	w.ensure("a", r)
	r.VerifyToken = "2" // The last word, after which all before would have shown.
	if p := w.observe("a"); p.State != download.StateSeeding || w.run("a") != before {
		t.Errorf("tokens that ask for nothing changed it to %s, same run: %t", p.State, w.run("a") == before)
	}
	if _, intact := w.data("a", r); intact {
		t.Error("the data was checked without a new token")
	}
	w.ensure("a", r)
	w.await("a", "seeding the right bytes again", func(p download.Progress) bool {
		_, intact := w.data("a", r)
		return intact && p.State == download.StateSeeding
	})
	if w.run("a") != before {
		t.Error("a check took another run")
	}
}

func TestWhatComesWhileATorrentEndsIsHeard(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	for range 20 {
		r.Seeding.Policy = download.SeedNone
		w.ensure("a", r)
		w.awaitState("a", download.StateComplete) // It may not have ended yet.
		r.Seeding.Policy = download.SeedForever
		w.ensure("a", r)
		w.awaitState("a", download.StateSeeding)
	}
}

func TestTheSameWordAtRestBeginsNothing(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
	w.awaitEnd("a")
	before := w.run("a")
	w.ensure("a", r)
	r.RetryToken = "now"
	w.ensure("a", r)
	if w.run("a") != before {
		t.Error("a download at rest was begun again")
	}
}

func TestADownloadThatWasToldToStopBeginsAgain(t *testing.T) {
	w := newWorld(t)
	r := w.seeding()
	w.ensure("a", r)
	w.awaitState("a", download.StateSeeding)
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Stop(now, id("a"), r, download.Keep); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	w.ensure("a", r)
	w.awaitState("a", download.StateSeeding)
	if r := w.run("a"); r.stopped {
		t.Error("what was told to stop is still what runs")
	}
}

func TestEraseRemovesTheTorrentsOwnFilesOnly(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
	mine := []string{
		filepath.Join(w.volume, "mine"), filepath.Join(w.volume, "a", "mine"),
		filepath.Join(w.volume, "a", "of-a", "below", "mine"),
	}
	for _, path := range mine {
		write(t, path, []byte("the user's own"))
	}
	if err := w.Stop(t.Context(), id("a"), r, download.Erase); err != nil {
		t.Fatal(err)
	}
	if left := filesBelow(t, w.volume); len(left) != len(mine) {
		t.Errorf("left are %v", left)
	}
	for _, path := range mine {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestEraseOfWhatCanNotBeThereIsDone(t *testing.T) {
	w := newWorld(t)
	w.bind("csi", corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{
		CSI: &corev1.CSIPersistentVolumeSource{Driver: "ebs.csi.aws.com", VolumeHandle: "vol-1"},
	}})
	for _, claim := range []string{"csi", "missing"} {
		if err := w.Stop(t.Context(), id(claim), w.into(claim), download.Erase); err != nil {
			t.Errorf("claim %s: %v", claim, err)
		}
	}
}

func TestEraseThatCanNotBeDoneIsAnError(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
	w.cfg.Volumes = Claims{Reader: w.api, NodeName: node}
	if err := w.Stop(t.Context(), id("a"), r, download.Erase); err == nil {
		t.Error("no error although the folder may not be written to any more")
	}
	if there, intact := w.data("a", r); !there || !intact {
		t.Errorf("the data is there %t, intact %t", there, intact)
	}
}

func TestTwoDownloadsOfOneTorrentInOnePlaceAreToldApart(t *testing.T) {
	w := newWorld(t)
	r := w.seeding()
	w.ensure("a", r)
	w.awaitState("a", download.StateSeeding)
	w.fails("b", r, download.ReasonPathConflict, false, "another download")
	if err := w.Stop(t.Context(), id("a"), r, download.Keep); err != nil {
		t.Fatal(err)
	}
	w.ensure("b", r)
	w.awaitState("b", download.StateSeeding)
}

func TestCloseEndsEverythingAndKeepsTheData(t *testing.T) {
	w := newWorld(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // A peer that never answers.
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	stuck := w.request("b")
	stuck.Peers = []string{silent.Addr().String()}
	w.ensure("a", w.seeding())
	w.ensure("b", stuck)
	w.awaitState("a", download.StateSeeding)
	w.awaitState("b", download.StateDownloading)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if _, err := w.Observe(t.Context(), id(name)); !errors.Is(err, download.ErrUnknown) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if _, intact := w.data("a", w.request("a")); !intact {
		t.Error("the data is not intact after Close")
	}
}
