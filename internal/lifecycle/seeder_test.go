package lifecycle

import (
	"testing"

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
