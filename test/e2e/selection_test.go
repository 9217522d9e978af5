package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

func including(patterns ...string) func(*v1alpha1.TorrentDownload) {
	return func(td *v1alpha1.TorrentDownload) { td.Spec.Files.Include = patterns }
}

// TestTheFilesThatAreWantedMayChange selects one file, then everything, and
// after that nothing that there is. Each time the status is about what is
// selected then, and Ready is not for what was.
func TestTheFilesThatAreWantedMayChange(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	o := newTorrent(t, "dataset", 3<<20)
	w.download("dataset", o.file, from(o.seed(t)), including("below/"))
	td := w.completes("dataset")
	if size := int64(3<<20) / 3; td.Status.Progress.BytesTotal != size || int64(td.Status.Pieces.Total) != size/(64<<10) || td.Status.Selection == "" {
		t.Errorf("it counts %+v, pieces %+v, selection %q", td.Status.Progress, td.Status.Pieces, td.Status.Selection)
	}
	if all, err := os.ReadDir(filepath.Join(w.folder("dataset"), "dataset")); err != nil || len(all) != 1 {
		t.Errorf("there is %v, %v", all, err)
	}

	w.change("dataset", including())
	td = w.awaitDownload("dataset", "is complete with everything", func(td *v1alpha1.TorrentDownload) bool {
		if condition(td, v1alpha1.ConditionReady) == "True Complete" && td.Status.ObservedGeneration == td.Generation && td.Status.Progress.BytesTotal != 3<<20 {
			t.Errorf("Ready, though more is selected: %+v", td.Status.Progress)
		}
		return td.Status.Selection == "" && condition(td, v1alpha1.ConditionReady) == "True Complete"
	})
	if td.Status.Progress.BytesTotal != 3<<20 {
		t.Errorf("it counts %+v", td.Status.Progress)
	}
	o.compare(t, w.folder("dataset"))

	w.change("dataset", including("*.zip"))
	td = w.stands("dataset", "False NothingSelected", "", "True NothingSelected", status.FailedStatus)
	w.says(td, `"data"`, `"below/more"`, "change the patterns")
	w.change("dataset", including("data"))
	w.completes("dataset")
}
