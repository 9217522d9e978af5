package lifecycle

import (
	"testing"
	"time"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// A download is complete when its pieces are, whatever keeps its seeder from
// running; that is told by condition Seeding, and is not the end of seeding.
func TestCompletionDoesNotWaitForTheSeeder(t *testing.T) {
	w := fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Seeding.Policy = v1alpha1.SeedingForever }).downloading()
	for range 2 {
		d := w.sees(with(snapshot(download.StateSeeding, 1000), failure(download.ReasonWorkerPending, false))).decide()
		if doing(d) != "run" {
			t.Errorf("it does %q", doing(d))
		}
		w.stands(status.CurrentStatus, "Complete")
		w.condition(v1alpha1.ConditionComplete, "True Complete")
		w.condition(v1alpha1.ConditionSeeding, "False WorkerPending")
	}
	w.sees(snapshot(download.StateSeeding, 1000)).decide()
	w.condition(v1alpha1.ConditionSeeding, "True Seeding")
}

// A seeder that does not find what it is to serve is followed by a worker that
// looks, and finds it: without getting anywhere, they would take turns as fast
// as they can.
func TestASeederThatNeverSeedsIsTriedLessAndLessOften(t *testing.T) {
	w := fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Seeding.Policy = v1alpha1.SeedingForever }).downloading()
	w.sees(snapshot(download.StateSeeding, 1000)).decide()
	failed := func() *download.Progress {
		return with(snapshot(download.StateFailed, 1000), failure(download.ReasonDataMissing, false))
	}
	wait := w.waits(failed())
	for range 4 {
		if d := w.after(wait).decide(); doing(d) != "run" {
			t.Fatal("it is not tried again")
		}
		w.after(time.Second).sees(snapshot(download.StateFinishing, 1000)).decide()
		w.sees(with(snapshot(download.StateSeeding, 1000), failure(download.ReasonWorkerPending, false))).decide()
		wait = w.waits(failed())
	}
	if wait < 10*firstBackoff {
		t.Errorf("after four failures it is tried again after %v", wait)
	}
	w.after(wait).decide()
	w.sees(snapshot(download.StateSeeding, 1000)).decide()
	if n := w.td.Status.Retries; n != 0 {
		t.Errorf("it seeds, and %d retries are counted still", n)
	}
}
