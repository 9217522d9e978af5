package lifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

func retries(limit int32) func(*v1alpha1.TorrentDownloadSpec) {
	return func(s *v1alpha1.TorrentDownloadSpec) { s.Retry.BackoffLimit = &limit }
}

// failsUntil lets a download fail, and be tried again, until it is not any
// more, and returns how often it was.
func (w *world) failsUntil(reason string) int {
	w.t.Helper()
	for n := range 50 {
		d := w.sees(with(snapshot(download.StateFailed, 420), failure(reason, false))).decide()
		if d.Recheck == 0 {
			return n
		}
		if d = w.after(d.Recheck).decide(); doing(d) != "run" {
			w.t.Fatalf("attempt %d does %q", n, doing(d))
		}
	}
	return 50
}

func TestBackoffLimitEndsAttemptsThatGetNowhere(t *testing.T) {
	for _, limit := range []int32{0, 1, 6} {
		w := fresh(t).changed(retries(limit)).downloading()
		if got := w.failsUntil("VolumeError"); got != int(limit) {
			t.Errorf("limit %d: tried again %d times", limit, got)
		}
		w.stands(status.FailedStatus, "BackoffLimitExceeded")
		w.condition(v1alpha1.ConditionVolumeReady, "False VolumeError")
		w.says("VolumeError: What happened", v1alpha1.AnnotationRetryRequestedAt)
		if d := w.after(time.Hour).decide(); doing(d) != "" || len(d.Events) > 0 {
			t.Errorf("limit %d: later it does %q and tells %q", limit, doing(d), reasons(d.Events))
		}
	}
	w := fresh(t).downloading()
	if got := w.failsUntil("OOMKilled"); got != v1alpha1.DefaultBackoffLimit {
		t.Errorf("without a limit it is tried again %d times", got)
	}
}

// A restart of the operator neither begins the count again nor what was given
// up.
func TestBackoffLimitSurvivesARestart(t *testing.T) {
	w := fresh(t).changed(retries(3)).downloading()
	for range 3 {
		d := w.sees(with(snapshot(download.StateFailed, 420), failure("OOMKilled", false))).decide()
		if d = w.after(d.Recheck).decide(); doing(d) != "run" {
			t.Fatalf("it does %q", doing(d))
		}
		w.restarted().decide()
		w.sees(unresolved(download.StateResolving, nil)).decide()
		w.sees(snapshot(download.StateDownloading, 420)).decide() // As far as before, and no further.
	}
	if w.failsUntil("OOMKilled") != 0 {
		t.Error("it is tried once more")
	}
	before := w.td.Status.DeepCopy()
	if d := w.restarted().decide(); doing(d) != "" {
		t.Errorf("after a restart it does %q", doing(d))
	}
	if transition(before, &w.td.Status) {
		t.Errorf("a restart changes what is told: %s", w.conditions())
	}
}

func TestWhatBeginsTheCountAgain(t *testing.T) {
	for name, change := range map[string]func(*world){
		"the annotation":       func(w *world) { w.annotated(v1alpha1.AnnotationRetryRequestedAt, "now") },
		"a change of the spec": func(w *world) { w.changed(retries(2)) },
	} {
		for _, restarted := range []bool{false, true} {
			w := fresh(t).changed(retries(2)).downloading()
			w.failsUntil("VolumeError")
			if restarted {
				w.restarted()
			}
			change(w)
			if d := w.decide(); doing(d) != "run" {
				t.Errorf("%s: it does %q", name, doing(d))
			}
			if got := w.failsUntil("VolumeError"); got < 1 || got > 2 {
				t.Errorf("%s: then it is tried again %d times", name, got)
			}
		}
	}
}

// What a download waits for is no failure of its own, and what a person repairs
// may be repaired at any time.
func TestWaitingDoesNotCountAsFailed(t *testing.T) {
	for _, reason := range []string{
		download.ReasonClaimPending, download.ReasonVolumeBusy, download.ReasonMetainfoUnavailable, download.ReasonInsufficientSpace, download.ReasonQuotaExceeded,
		"Unschedulable",
	} {
		w := fresh(t).changed(retries(1)).downloading()
		if got := w.failsUntil(reason); got != 50 {
			t.Errorf("%s: it is given up after %d attempts", reason, got)
		}
	}
}

func deadline(seconds int32) func(*v1alpha1.TorrentDownloadSpec) {
	return func(s *v1alpha1.TorrentDownloadSpec) { s.Retry.ActiveDeadlineSeconds = &seconds }
}

func TestDeadlineStopsWhatTakesTooLong(t *testing.T) {
	w := fresh(t).changed(deadline(10)).downloading()
	if d := w.decide(); d.Recheck != 10*time.Second {
		t.Errorf("it looks again after %v", d.Recheck)
	}
	if d := w.after(9 * time.Second).decide(); doing(d) != "run" || d.Recheck != time.Second {
		t.Errorf("before its time it does %q and looks again after %v", doing(d), d.Recheck)
	}
	if d := w.after(time.Second).decide(); doing(d) != "stop" || reasons(d.Events) != "!DeadlineExceeded" {
		t.Errorf("at its time it does %q and tells %q", doing(d), reasons(d.Events))
	}
	w.stands(status.FailedStatus, "DeadlineExceeded")
	w.says("activeDeadlineSeconds", v1alpha1.AnnotationRetryRequestedAt)
	if d := w.sees(nil).decide(); doing(d) != "stop" {
		t.Errorf("later it does %q", doing(d))
	}

	more := *w
	more.td = w.td.DeepCopy()
	if d := more.changed(deadline(100)).decide(); doing(d) != "run" {
		t.Errorf("with more time it does %q", doing(d))
	}
	if d := w.annotated(v1alpha1.AnnotationRetryRequestedAt, "now").decide(); doing(d) != "run" {
		t.Errorf("asked again it does %q", doing(d))
	}
	if !w.td.Status.StartTime.Time.Equal(w.now) {
		t.Errorf("its time began at %v", w.td.Status.StartTime)
	}
	w.sees(snapshot(download.StateDownloading, 421)).decide()
	w.stands(status.InProgressStatus, "Downloading")
}

func TestDeadlineDoesNotHoldWhereNothingIsMissing(t *testing.T) {
	w := fresh(t).changed(deadline(100)).completed()
	if d := w.after(time.Hour).decide(); doing(d) != "" {
		t.Errorf("complete it does %q", doing(d))
	}
	w.stands(status.CurrentStatus, "Complete")
	w = fresh(t).changed(deadline(100)).downloading()
	w.after(time.Hour).sees(snapshot(download.StateFinishing, 1000)).decide()
	w.stands(status.InProgressStatus, "Finishing")
	w = fresh(t).changed(deadline(0)).downloading()
	w.after(time.Hour).decide()
	w.stands(status.InProgressStatus, "Downloading")
}

func TestTimeBeginsAgainAfterSuspend(t *testing.T) {
	yes, no := true, false
	w := fresh(t).changed(deadline(60)).downloading()
	w.changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Suspend = &yes }).decide()
	w.after(time.Hour).sees(nil).decide()
	w.stands(status.InProgressStatus, "Suspended")
	if d := w.changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Suspend = &no }).decide(); doing(d) != "run" {
		t.Errorf("it does %q", doing(d))
	}
	if !w.td.Status.StartTime.Time.Equal(w.now) {
		t.Errorf("its time began at %v", w.td.Status.StartTime)
	}
}

func TestFinishedObjectGoesAfterItsTime(t *testing.T) {
	ttl := int32(60)
	w := fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.TTLSecondsAfterFinished = &ttl }).completed()
	if d := w.after(59 * time.Second).decide(); d.Delete || d.Recheck != time.Second {
		t.Errorf("before its time: delete %t, looks again after %v", d.Delete, d.Recheck)
	}
	if d := w.after(time.Second).decide(); !d.Delete {
		t.Error("at its time it is not deleted")
	}
	if d := w.restarted().decide(); !d.Delete {
		t.Error("after a restart it is not deleted")
	}
	if d := w.annotated(v1alpha1.AnnotationVerifyRequestedAt, "now").decide(); d.Delete {
		t.Error("it is deleted while it is to be checked")
	}
	if d := fresh(t).completed().after(1000 * time.Hour).decide(); d.Delete {
		t.Error("it is deleted though nobody said so")
	}
	unfinished := fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.TTLSecondsAfterFinished = &ttl }).downloading()
	if d := unfinished.after(1000 * time.Hour).decide(); d.Delete {
		t.Error("it is deleted before it is complete")
	}
}

func TestSeederGoesAfterItsSeeding(t *testing.T) {
	ttl := int32(0)
	w := fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) {
		s.TTLSecondsAfterFinished = &ttl
		s.Seeding = v1alpha1.Seeding{Policy: v1alpha1.SeedingRatio, RatioPercent: 100}
	}).completed()
	if d := w.after(time.Hour).decide(); d.Delete {
		t.Error("it is deleted while it seeds")
	}
	w.sees(snapshot(download.StateComplete, 1000)).decide()
	if d := w.decide(); !d.Delete {
		t.Errorf("it is not deleted; conditions: %s", w.conditions())
	}
}

func TestPodsReasonsBecomeConditions(t *testing.T) {
	for reason, want := range map[string]status.Status{
		download.ReasonWorkerPending: status.InProgressStatus, download.ReasonWorkerEnding: status.InProgressStatus,
		"Unschedulable": status.InProgressStatus, "ContainerCreating": status.InProgressStatus,
		download.ReasonNodeLost: status.FailedStatus, download.ReasonQuotaExceeded: status.FailedStatus, download.ReasonTooLarge: status.FailedStatus,
		"ImagePullBackOff": status.FailedStatus, "InvalidImageName": status.FailedStatus, "CreateContainerConfigError": status.FailedStatus,
	} {
		w := fresh(t).downloading()
		w.sees(with(snapshot(download.StateWaiting, 0), &download.Failure{Reason: reason})).decide()
		w.stands(want, reason)
	}
	// Two words for one state take turns.
	w := fresh(t).downloading()
	w.sees(with(snapshot(download.StateWaiting, 0), &download.Failure{Reason: "ImagePullBackOff"})).decide()
	d := w.sees(with(snapshot(download.StateWaiting, 0), &download.Failure{Reason: "ErrImagePull"})).decide()
	w.stands(status.FailedStatus, "ImagePullBackOff")
	if len(d.Events) > 0 {
		t.Errorf("it tells %q", reasons(d.Events))
	}
}

func TestWorkerIsTold(t *testing.T) {
	w := fresh(t)
	w.decide()
	p := snapshot(download.StateDownloading, 1)
	p.NodeName = "node-1"
	p.Worker = download.Worker{Owner: "imagenet-5f0a-2", Pod: "imagenet-5f0a-2-x", Restarts: 1,
		LastFailure: &download.WorkerFailure{Reason: "OOMKilled", Message: "killed at\nhttp://t/secret", ExitCode: 137, At: start}}
	w.sees(p).decide()
	want := v1alpha1.WorkerStatus{Name: "imagenet-5f0a-2", PodName: "imagenet-5f0a-2-x", NodeName: "node-1", Restarts: 1,
		LastFailure: &v1alpha1.WorkerFailure{Reason: "OOMKilled", Message: "killed at http://t/…", ExitCode: 137, Time: &metav1.Time{Time: start}}}
	same(t, w.td.Status.Worker, want)

	w.restarted().decide() // It stays until the first push.
	same(t, w.td.Status.Worker, want)
	w.sees(with(snapshot(download.StateFailed, 1), failure("Evicted", false))).decide()
	want.Name, want.PodName, want.NodeName = "", "", ""
	same(t, w.td.Status.Worker, want)
}

func TestWhatHasNotEndedIsToldAndWaitedFor(t *testing.T) {
	yes := true
	w := fresh(t).downloading().changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Suspend = &yes })
	w.in.Ending = "Pod imagenet-1 runs"
	if d := w.decide(); d.Recheck != recheckEnding {
		t.Errorf("it looks again after %v", d.Recheck)
	}
	w.says("Pod imagenet-1 runs.")

	w = fresh(t).changed(deletion(v1alpha1.DeletionDelete)).downloading().deleted()
	w.in.Ending = "Pod imagenet-1 runs"
	if d := w.decide(); d.RemoveFinalizer || d.Recheck != recheckEnding || len(d.Events) > 0 && reasons(d.Events) != "Deleting" {
		t.Errorf("it lets go: %t, looks again after %v, tells %q", d.RemoveFinalizer, d.Recheck, reasons(d.Events))
	}
	w.says("Pod imagenet-1 runs.")
	w.in.NamespaceDeleting = true
	if d := w.decide(); !d.RemoveFinalizer {
		t.Error("it hangs on a Pod of a namespace that goes")
	}

	w = fresh(t)
	w.in.Predecessor = "Pod imagenet-1 runs"
	if d := w.decide(); doing(d) != "" || d.Recheck != recheckEnding {
		t.Errorf("beside an earlier one it does %q", doing(d))
	}
	w.stands(status.InProgressStatus, "WorkerEnding")
}
