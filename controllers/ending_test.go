package controllers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// errEnding is what Stop returns while a Pod runs.
var errEnding = fmt.Errorf("the Pod a-1 has not ended: %w", download.ErrEnding)

// calm checks that the operator has logged no error.
func (b *bench) calm() {
	b.Helper()
	if log := b.logged(); strings.Contains(log, `"error"`) || strings.Contains(log, "Reconciler error") {
		b.Errorf("an error was logged:\n%s", log)
	}
}

func TestWhatHasNotEndedIsAskedForAgainWithoutAnError(t *testing.T) {
	b := newBench(t)
	id := b.running()
	b.fake.Fail("Stop", errEnding)
	yes := true
	b.change("a", func(td *v1alpha1.TorrentDownload) { td.Spec.Suspend = &yes })
	b.says(b.stands("a", status.InProgressStatus, "Suspended"), "Pod a-1 has not ended")
	b.fake.Fail("Stop", nil)
	b.fake.Set(id, snapshot(download.StateDownloading, 10)) // It wakes the operator.
	b.await("nothing is waited for any more", func() bool {
		td := b.stands("a", status.InProgressStatus, "Suspended")
		return !strings.Contains(td.Status.Conditions[0].Message, "a-1")
	})
	b.stops(id)
	b.calm()
}

func TestDataIsErasedBeforeTheObjectGoesHoweverLongItTakes(t *testing.T) {
	b := newBench(t)
	id := b.running(erased)
	b.fake.Fail("Stop", errEnding)
	b.remove(b.get("a"))
	b.says(b.stands("a", status.TerminatingStatus, "Deleting"), "Pod a-1 has not ended")
	b.fake.Fail("Stop", nil)
	b.fake.Set(id, snapshot(download.StateDownloading, 10))
	if b.gone(id) != download.Erase {
		t.Error("the data was kept")
	}
	b.await("it is told", func() bool { return b.events("a")["DataErased"] == 1 })
	b.calm()
}

// Two objects of one name after each other never have their downloads run at
// once.
func TestObjectMadeAgainWaitsForTheEarlierOne(t *testing.T) {
	b := newBench(t)
	first := b.running()
	b.fake.Fail("Stop", errEnding)
	b.remove(b.get("a"))
	b.await("it is gone", func() bool { return b.get("a") == nil })
	second := b.download("a")
	b.says(b.stands("a", status.InProgressStatus, "WorkerEnding"), "earlier TorrentDownload")
	if _, running := b.fake.Request(second); running {
		t.Error("both run at once")
	}
	b.fake.Fail("Stop", nil)
	b.fake.Set(first, snapshot(download.StateDownloading, 10))
	b.runs(second, "once the first has ended", anyhow)
	b.stops(first)
	b.calm()
}

func TestNeighboursHearOfEachOther(t *testing.T) {
	b := newBench(t)
	a, c := b.download("a"), b.download("c")
	for i, id := range []download.ID{a, c} {
		b.runs(id, "at first", anyhow)
		p := snapshot(download.StateDownloading, 10)
		p.Address = []string{"10.0.0.1:6881", "10.0.0.3:6881"}[i]
		b.fake.Set(id, p)
		b.stands(id.Name, status.InProgressStatus, "Downloading")
	}
	b.runs(c, "with a", func(r download.Request) bool { return slices.Equal(r.Neighbours, []string{"10.0.0.1:6881"}) })
	p := snapshot(download.StateDownloading, 11)
	p.Address = "10.0.0.1:6881"
	b.fake.Set(a, p) // Its next word.
	b.runs(a, "with c", func(r download.Request) bool { return slices.Equal(r.Neighbours, []string{"10.0.0.3:6881"}) })

	// A newcomer who knows the hash beforehand needs no metadata for it.
	d := b.download("d", func(td *v1alpha1.TorrentDownload) { td.Spec.Verification.InfoHash = hash })
	b.runs(d, "with both", func(r download.Request) bool { return len(r.Neighbours) == 2 })

	// Nobody of another namespace does.
	other := newBench(t)
	id := other.download("d", func(td *v1alpha1.TorrentDownload) { td.Spec.Verification.InfoHash = hash })
	other.runs(id, "alone", func(r download.Request) bool { return len(r.Neighbours) == 0 })
}

func TestFinishedObjectIsDeleted(t *testing.T) {
	b := newBench(t)
	now := int32(0)
	id := b.running(func(td *v1alpha1.TorrentDownload) { td.Spec.TTLSecondsAfterFinished = &now })
	b.fake.Set(id, snapshot(download.StateComplete, 1000))
	if b.gone(id) != download.Keep {
		t.Error("the data was erased")
	}
}
