package lifecycle

import (
	"testing"
	"time"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

func include(patterns ...string) func(*v1alpha1.TorrentDownloadSpec) {
	return func(s *v1alpha1.TorrentDownloadSpec) { s.Files.Include = patterns }
}

// counting is a snapshot that counts only what these patterns include.
func counting(p *download.Progress, patterns ...string) *download.Progress {
	p.Selection = download.Files{Include: patterns}.Selection()
	return p
}

func TestFilesBecomeTheRequest(t *testing.T) {
	w := fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) {
		s.Files = v1alpha1.Files{
			Include: []string{"*.tar"}, Exclude: []string{"test/"}, Order: v1alpha1.OrderSequential,
			Priority: v1alpha1.FilePriority{High: []string{"index"}, Low: []string{"extras/"}},
		}
	})
	same(t, w.decide().Run.Files, download.Files{
		Include: []string{"*.tar"}, Exclude: []string{"test/"}, High: []string{"index"}, Low: []string{"extras/"}, Sequential: true,
	})
	w.changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Files = v1alpha1.Files{Order: v1alpha1.OrderRarestFirst} })
	same(t, w.decide().Run.Files, download.Files{})
}

// TestMoreIsSelectedAfterCompletion takes Complete back at once, whatever the
// executor says still of the files before.
func TestMoreIsSelectedAfterCompletion(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		w := fresh(t).changed(include("a"))
		w.decide()
		w.sees(counting(snapshot(download.StateComplete, 1000), "a")).decide()
		w.stands(status.CurrentStatus, "Complete")
		if d := w.after(time.Hour).decide(); doing(d) != "" {
			t.Fatalf("complete, it does %q", doing(d))
		}
		w.changed(include("a", "b"))
		if restarted {
			w.restarted()
		}
		for range 2 { // The executor was told and has not looked yet.
			if d := w.decide(); doing(d) != "run" || len(d.Run.Files.Include) != 2 {
				t.Errorf("restarted %v: it does %q", restarted, doing(d))
			}
			w.stands(status.InProgressStatus, "Pending")
			w.condition(v1alpha1.ConditionComplete, "False Downloading")
			if w.td.Status.CompletionTime != nil {
				t.Error("it has a time of completion")
			}
		}
		w.restarted().decide() // It is not taken for complete after a restart either.
		w.stands(status.InProgressStatus, "Pending")

		p := counting(snapshot(download.StateDownloading, 500), "a", "b")
		p.BytesTotal = 2000 << 20
		w.sees(p).decide()
		w.stands(status.InProgressStatus, "Downloading")
		if st := w.td.Status; st.Progress.Percent != 25 || st.Progress.BytesTotal != 2000<<20 {
			t.Errorf("progress %+v", st.Progress)
		}
		w.sees(counting(snapshot(download.StateComplete, 1000), "a", "b")).decide()
		w.stands(status.CurrentStatus, "Complete")
	}
}

func TestLessIsSelectedThanIsMissing(t *testing.T) {
	w := fresh(t).downloading()
	w.changed(include("a")).decide()
	w.stands(status.InProgressStatus, "Pending")
	p := counting(snapshot(download.StateComplete, 1000), "a")
	p.BytesTotal, p.BytesVerified, p.CompletedAt = 1<<20, 1<<20, w.now
	w.sees(p).decide()
	w.stands(status.CurrentStatus, "Complete")
	if st := w.td.Status; st.Progress.BytesTotal != 1<<20 || st.Selection != p.Selection || st.CompletionTime == nil {
		t.Errorf("status %+v", st)
	}
}

func TestWhatTheExecutorSaysOfOtherFilesIsNotCounted(t *testing.T) {
	w := fresh(t).downloading()
	before := w.td.Status.Progress.BytesVerified
	w.changed(include("a"))
	w.sees(snapshot(download.StateComplete, 1000)).decide()
	w.stands(status.InProgressStatus, "Pending")
	if got := w.td.Status.Progress.BytesVerified; got != before {
		t.Errorf("%d bytes verified, %d before", got, before)
	}
}

func TestSuspendedWhileMoreIsSelected(t *testing.T) {
	w := fresh(t).changed(include("a"))
	w.decide()
	w.sees(counting(snapshot(download.StateComplete, 1000), "a")).decide()
	w.changed(suspend(true)).decide()
	w.stands(status.CurrentStatus, "Complete")
	w.changed(include()).decide()
	w.stands(status.InProgressStatus, "Suspended")
	w.restarted()
	if d := w.changed(suspend(false)).decide(); doing(d) != "run" {
		t.Errorf("resumed it does %q", doing(d))
	}
	w.stands(status.InProgressStatus, "Pending")
}

func TestPriorityAndOrderTakeNothingBack(t *testing.T) {
	w := fresh(t).completed()
	w.changed(func(s *v1alpha1.TorrentDownloadSpec) {
		s.Files = v1alpha1.Files{Order: v1alpha1.OrderSequential, Priority: v1alpha1.FilePriority{High: []string{"a"}}}
	})
	if d := w.decide(); doing(d) != "" {
		t.Errorf("it does %q", doing(d))
	}
	w.stands(status.CurrentStatus, "Complete")
}

func TestNothingSelectedNeedsAPerson(t *testing.T) {
	for _, reason := range []string{download.ReasonNothingSelected, download.ReasonPatternInvalid} {
		w := fresh(t).changed(include("*.zip"))
		w.decide()
		w.sees(counting(with(snapshot(download.StateFailed, 0), failure(reason, true)), "*.zip")).decide()
		w.stands(status.FailedStatus, reason)
		w.condition(v1alpha1.ConditionMetadataResolved, "True Resolved")
		if d := w.changed(include("*.tar")).decide(); doing(d) != "run" {
			t.Errorf("%s: with other patterns it does %q", reason, doing(d))
		}
		w.stands(status.InProgressStatus, "Pending")
	}
}
