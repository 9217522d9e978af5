package lifecycle

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return // cmp is slow, and only needed to show the difference.
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not as wanted (-want +got):\n%s", diff)
	}
}

// deleted marks the object as being deleted.
func (w *world) deleted() *world {
	w.td.DeletionTimestamp = &metav1.Time{Time: w.now}
	return w
}

func suspend(yes bool) func(*v1alpha1.TorrentDownloadSpec) {
	return func(s *v1alpha1.TorrentDownloadSpec) { s.Suspend = &yes }
}

func TestSuspendStopsAndResumeGoesOn(t *testing.T) {
	w := fresh(t).downloading()
	d := w.changed(suspend(true)).decide()
	if doing(d) != "stop" || reasons(d.Events) != "Suspended" {
		t.Errorf("it does %q and tells %q", doing(d), reasons(d.Events))
	}
	w.stands(status.InProgressStatus, "Suspended")
	w.condition(v1alpha1.ConditionReady, "False Suspended")
	w.condition(v1alpha1.ConditionReconciling, "")
	w.condition(v1alpha1.ConditionStalled, "")
	st := w.td.Status
	if st.Peers != nil || st.Progress.DownloadBytesPerSecond != 0 || st.Progress.Percent != 42 || st.Progress.Summary != "42% of 1.0GiB" {
		t.Errorf("a suspended download still has %+v, peers %+v", st.Progress, st.Peers)
	}
	w.restarted().decide()
	w.stands(status.InProgressStatus, "Suspended")

	if d := w.changed(suspend(false)).decide(); doing(d) != "run" || d.Run.InfoHash != hash {
		t.Errorf("resumed it does %q", doing(d))
	}
	w.stands(status.InProgressStatus, "Pending")
	w.condition(v1alpha1.ConditionReconciling, "True Pending")
	w.sees(snapshot(download.StateDownloading, 421)).decide()
	w.stands(status.InProgressStatus, "Downloading")
}

func TestSuspendedAfterCompletionStaysReady(t *testing.T) {
	w := fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Seeding.Policy = v1alpha1.SeedingForever }).completed()
	w.condition(v1alpha1.ConditionSeeding, "True Seeding")
	if d := w.changed(suspend(true)).decide(); doing(d) != "stop" {
		t.Errorf("it does %q", doing(d))
	}
	w.stands(status.CurrentStatus, "Complete")
	w.condition(v1alpha1.ConditionSeeding, "False Suspended")
	w.restarted()
	if d := w.changed(suspend(false)).decide(); doing(d) != "run" {
		t.Errorf("resumed it does %q", doing(d))
	}
	w.stands(status.CurrentStatus, "Complete")
	w.sees(snapshot(download.StateSeeding, 1000)).decide()
	w.condition(v1alpha1.ConditionSeeding, "True Seeding")
}

func TestSeedingEndsAndStaysEnded(t *testing.T) {
	ratio := func(percent int32) func(*v1alpha1.TorrentDownloadSpec) {
		return func(s *v1alpha1.TorrentDownloadSpec) {
			s.Seeding = v1alpha1.Seeding{Policy: v1alpha1.SeedingRatio, RatioPercent: percent}
		}
	}
	w := fresh(t)
	w.changed(ratio(150)).downloading()
	w.condition(v1alpha1.ConditionSeeding, "False NotSeeding")
	w.completed()
	w.condition(v1alpha1.ConditionSeeding, "True Seeding")
	d := w.sees(snapshot(download.StateComplete, 1000)).decide()
	w.condition(v1alpha1.ConditionSeeding, "False SeedingDone")
	if reasons(d.Events) != "SeedingDone" {
		t.Errorf("events %q", reasons(d.Events))
	}
	if d := w.restarted().decide(); doing(d) != "" {
		t.Errorf("it was done and after a restart it does %q", doing(d))
	}
	if d := w.changed(ratio(300)).decide(); doing(d) != "run" || d.Run.Seeding.RatioPercent != 300 {
		t.Errorf("more is wanted and it does %q", doing(d))
	}
	w.stands(status.CurrentStatus, "Complete")
}

func TestSeedingPolicyOfACompleteDownloadMayBeChanged(t *testing.T) {
	w := fresh(t).completed().sees(snapshot(download.StateComplete, 1000))
	w.condition(v1alpha1.ConditionSeeding, "False NotSeeding")
	d := w.changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Seeding.Policy = v1alpha1.SeedingForever }).decide()
	if doing(d) != "run" {
		t.Errorf("it does %q", doing(d))
	}
	w.condition(v1alpha1.ConditionSeeding, "False NotSeeding") // The snapshot is from before: nothing is done yet.
	w.sees(snapshot(download.StateSeeding, 1000)).decide()
	w.condition(v1alpha1.ConditionSeeding, "True Seeding")
	d = w.changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Seeding.Policy = v1alpha1.SeedingNone }).decide()
	if doing(d) != "run" || d.Run.Seeding.Policy != download.SeedNone {
		t.Errorf("it does %q: the executor has to be told to end", doing(d))
	}
}

func TestTroubleWithSeedingLeavesACompleteDownloadReady(t *testing.T) {
	forever := func(s *v1alpha1.TorrentDownloadSpec) { s.Seeding.Policy = v1alpha1.SeedingForever }
	w := fresh(t).changed(forever).completed().restarted()
	d := w.sees(unresolved(download.StateFailed, failure("MetainfoUnavailable", false))).decide()
	w.stands(status.CurrentStatus, "Complete")
	w.condition(v1alpha1.ConditionSeeding, "False MetainfoUnavailable")
	w.condition(v1alpha1.ConditionMetadataResolved, "True Resolved")
	if reasons(d.Events) != "!MetainfoUnavailable" {
		t.Errorf("events %q", reasons(d.Events))
	}

	w = fresh(t).changed(forever).completed().restarted()
	w.in.SourceProblem = failure(v1alpha1.ReasonSourceNotFound, false)
	w.decide()
	w.stands(status.CurrentStatus, "Complete")
	w.condition(v1alpha1.ConditionSeeding, "False SourceNotFound")
}

func TestFailureThatMayPassIsTriedAgainWithBackoff(t *testing.T) {
	limit := int32(100)
	w := fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Retry.BackoffLimit = &limit }).downloading()
	broken := func() *download.Progress {
		return with(snapshot(download.StateFailed, 420), failure("VolumeError", false))
	}
	w.sees(broken())
	for attempt, seconds := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		want := time.Duration(seconds) * time.Second
		d := w.decide()
		w.stands(status.InProgressStatus, "Retrying")
		if d.Run != nil || d.Recheck < want || d.Recheck > want+want/10 {
			t.Fatalf("before attempt %d it does %q and waits %v, want %v", attempt, doing(d), d.Recheck, want)
		}
		if d = w.after(d.Recheck - time.Millisecond).decide(); d.Run != nil {
			t.Fatalf("attempt %d comes too early", attempt)
		}
		if d = w.after(time.Millisecond).decide(); doing(d) != "run" {
			t.Fatalf("attempt %d does not come", attempt)
		}
		w.sees(broken()) // It fails at once.
	}

	// Progress resets the count, to be at work does not.
	w.sees(snapshot(download.StateDownloading, 420)).decide()
	if w.td.Status.Retries == 0 {
		t.Error("an attempt without a byte counts as progress")
	}
	p := snapshot(download.StateDownloading, 421)
	p.BytesDownloaded = 1 << 20
	w.sees(p).decide()
	if w.td.Status.Retries != 0 {
		t.Error("progress does not reset the count of attempts")
	}
}

func TestAnAttemptThatFailsAgainIsNoTransition(t *testing.T) {
	w := fresh(t).downloading()
	full := func() *download.Progress {
		return with(snapshot(download.StateFailed, 420), failure("InsufficientSpace", false))
	}
	w.sees(full())
	d := w.decide()
	for range 3 {
		w.after(d.Recheck).decide()
		for _, p := range []*download.Progress{unresolved(download.StateResolving, nil), snapshot(download.StateChecking, 0), full()} {
			d = w.sees(p).decide()
			w.stands(status.FailedStatus, "InsufficientSpace")
			if len(d.Events) > 0 {
				t.Errorf("%s is told as %q", p.State, reasons(d.Events))
			}
		}
	}
	w.after(d.Recheck).decide()
	w.sees(snapshot(download.StateDownloading, 420)).decide()
	w.stands(status.InProgressStatus, "Downloading")
}

func TestASourceThatStaysUnreachableIsNoTransition(t *testing.T) {
	w := fresh(t)
	w.decide()
	down := func() *download.Progress {
		return unresolved(download.StateFailed, failure("MetainfoUnavailable", false))
	}
	w.sees(unresolved(download.StateResolving, nil)).decide()
	d := w.sees(down()).decide()
	for range 3 {
		w.after(d.Recheck).decide()
		for _, p := range []*download.Progress{unresolved(download.StateResolving, nil), down()} {
			d = w.sees(p).decide()
			w.stands(status.InProgressStatus, "Retrying")
			if len(d.Events) > 0 {
				t.Errorf("%s is told as %q", p.State, reasons(d.Events))
			}
		}
	}
}

func TestChangedSpecIsTriedAtOnce(t *testing.T) {
	w := fresh(t).downloading()
	w.sees(with(snapshot(download.StateFailed, 420), failure("VolumeError", false))).decide()
	d := w.changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Limits.MaxPeers = 3 }).decide()
	if doing(d) != "run" {
		t.Errorf("it does %q", doing(d))
	}
}

func TestRetryAnnotationActsOnceAndAtOnce(t *testing.T) {
	for _, permanent := range []bool{true, false} {
		w := fresh(t).downloading()
		w.sees(with(snapshot(download.StateFailed, 420), failure("VolumeError", permanent))).decide()
		d := w.annotated(v1alpha1.AnnotationRetryRequestedAt, "2026-03-01T12:00:00Z").decide()
		if doing(d) != "run" || d.Run.RetryToken != "2026-03-01T12:00:00Z" {
			t.Errorf("permanent %v: it does %q", permanent, doing(d))
		}
		if w.td.Status.LastHandledRetryAt != "2026-03-01T12:00:00Z" {
			t.Errorf("handled is %q", w.td.Status.LastHandledRetryAt)
		}
		if d := w.decide(); !permanent && d.Run != nil {
			t.Errorf("it acts a second time")
		}
	}
}

func TestVerifyAnnotationActsOnce(t *testing.T) {
	for name, w := range map[string]*world{
		"complete":                 fresh(t).completed(),
		"complete, after restart":  fresh(t).completed().restarted(),
		"downloading":              fresh(t).downloading(),
		"suspended and then again": fresh(t).downloading().changed(suspend(true)),
	} {
		w.decide()
		w.annotated(v1alpha1.AnnotationVerifyRequestedAt, "now")
		if name == "suspended and then again" {
			if w.decide(); w.td.Status.LastHandledVerifyAt != "" {
				t.Errorf("%s: handled although nothing runs", name)
			}
			w.sees(nil).changed(suspend(false))
		}
		if d := w.decide(); doing(d) != "run" || d.Run.VerifyToken != "now" || w.td.Status.LastHandledVerifyAt != "now" {
			t.Errorf("%s: it does %q", name, doing(d))
		}
		if d := w.restarted().decide(); d.Run != nil && d.Run.VerifyToken != "" {
			t.Errorf("%s: asked again after a restart", name)
		}
	}
}

func TestCheckOfACompleteDownload(t *testing.T) {
	w := fresh(t).completed().annotated(v1alpha1.AnnotationVerifyRequestedAt, "1")
	when := *w.td.Status.CompletionTime
	w.decide()
	w.sees(unresolved(download.StateResolving, nil)).decide()
	w.stands(status.CurrentStatus, "Complete")
	checking := snapshot(download.StateChecking, 300)
	checking.Checked = 0.3
	w.sees(checking).decide()
	w.stands(status.InProgressStatus, "Checking")
	w.condition(v1alpha1.ConditionComplete, "True Complete") // Nothing is known to be missing.
	if got := w.td.Status.Progress.Summary; got != "checked 30% of 1.0GiB" {
		t.Errorf("summary %q", got)
	}
	w.after(time.Hour).sees(snapshot(download.StateComplete, 1000)).decide()
	w.stands(status.CurrentStatus, "Complete")
	if !w.td.Status.CompletionTime.Equal(&when) {
		t.Errorf("completionTime is %v, was %v", w.td.Status.CompletionTime, when)
	}

	// A piece that turns out to be bad takes the completion back.
	w.sees(snapshot(download.StateDownloading, 999)).decide()
	w.stands(status.InProgressStatus, "Downloading")
	w.condition(v1alpha1.ConditionComplete, "False Downloading")
	if w.td.Status.CompletionTime != nil || w.td.Status.Progress.Percent != 99 {
		t.Errorf("completionTime %v, %d%%", w.td.Status.CompletionTime, w.td.Status.Progress.Percent)
	}
}

func TestAnnotationLongerThanTheStatusMayHoldIsHandledOnce(t *testing.T) {
	w := fresh(t).downloading().annotated(v1alpha1.AnnotationVerifyRequestedAt, strings.Repeat("ä", 200))
	w.decide()
	if n := len(w.td.Status.LastHandledVerifyAt); n == 0 || n > 256 {
		t.Errorf("recorded %d bytes", n)
	}
	if d := w.decide(); d.Run.VerifyToken != "" {
		t.Error("asked a second time")
	}
}

func deletion(p v1alpha1.DeletionPolicy) func(*v1alpha1.TorrentDownloadSpec) {
	return func(s *v1alpha1.TorrentDownloadSpec) { s.DeletionPolicy = p }
}

func TestRetainNeedsNoFinalizer(t *testing.T) {
	w := fresh(t).changed(deletion(v1alpha1.DeletionRetain)).downloading()
	if len(w.td.Finalizers) != 0 {
		t.Errorf("finalizers %v", w.td.Finalizers)
	}
	w.td.Finalizers = []string{"somebody.else/has-one"}
	if d := w.deleted().decide(); doing(d) != "stop" || d.RemoveFinalizer || d.AddFinalizer || len(d.Events) != 0 {
		t.Errorf("it does %q: %+v", doing(d), d)
	}
}

func TestFinalizerFollowsThePolicy(t *testing.T) {
	w := fresh(t).changed(deletion(v1alpha1.DeletionDelete))
	if d := w.decide(); !d.AddFinalizer || doing(d) != "run" {
		t.Errorf("no finalizer before it runs: %+v", d)
	}
	if d := w.decide(); d.AddFinalizer || d.RemoveFinalizer {
		t.Errorf("the finalizer is there: %+v", d)
	}
	if d := w.changed(deletion(v1alpha1.DeletionRetain)).decide(); !d.RemoveFinalizer || doing(d) != "run" {
		t.Errorf("the finalizer is not needed any more: %+v", d)
	}
}

func TestDeleteErasesOrLetsGo(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    func(*world)
		do     string
		events string
	}{
		{"its own files", func(*world) {}, "erase", "Deleting DataErased"},
		{"skip-cleanup", func(w *world) { w.annotated(v1alpha1.AnnotationSkipCleanup, "true") }, "stop", "CleanupSkipped"},
		{"skip-cleanup not true", func(w *world) { w.annotated(v1alpha1.AnnotationSkipCleanup, "false") }, "erase", "Deleting DataErased"},
		{"the namespace goes too", func(w *world) { w.in.NamespaceDeleting = true }, "stop", "CleanupSkipped"},
		{"the claim is gone", func(w *world) { w.in.Claim = Claim{} }, "stop", "CleanupSkipped"},
		{"the claim goes too", func(w *world) { w.in.Claim.Deleting = true }, "stop", "CleanupSkipped"},
		{"it never wrote", func(w *world) { w.td.Status.StartTime = nil }, "stop", "CleanupSkipped"},
		{"its torrent was never known", func(w *world) { w.td.Status.InfoHash, w.p = v1alpha1.InfoHash{}, nil }, "stop", "CleanupSkipped"},
		{"another has the same files", func(w *world) { w.in.Rivals = []Rival{{Name: "r", Path: "imagenet", InfoHash: hash}} }, "stop", "CleanupSkipped"},
		{"another has other files", func(w *world) { w.in.Rivals = []Rival{{Name: "r", Path: "imagenet", InfoHash: "ff"}} }, "erase", "Deleting DataErased"},
		{"another has the same elsewhere", func(w *world) { w.in.Rivals = []Rival{{Name: "r", Path: "x", InfoHash: hash}} }, "erase", "Deleting DataErased"},
		{"policy changed to Retain since", func(w *world) { deletion(v1alpha1.DeletionRetain)(&w.td.Spec) }, "stop", ""},
		{"suspended", func(w *world) { suspend(true)(&w.td.Spec) }, "erase", "Deleting DataErased"},
		{"executor knows nothing", func(w *world) { w.restarted() }, "erase", "Deleting DataErased"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := fresh(t).changed(deletion(v1alpha1.DeletionDelete)).downloading().deleted()
			c.set(w)
			d := w.decide()
			if doing(d) != c.do || reasons(d.Events) != c.events || !d.RemoveFinalizer {
				t.Errorf("it does %q, tells %q, lets go: %v", doing(d), reasons(d.Events), d.RemoveFinalizer)
			}
			if d.Stop.Request.Volume.ClaimName != "datasets" || d.Stop.Request.Volume.Path != "imagenet" {
				t.Errorf("the request does not say where the data is: %+v", d.Stop.Request.Volume)
			}
			if w.kstatus() != status.TerminatingStatus {
				t.Errorf("kstatus is %s", w.kstatus())
			}
		})
	}
}

func TestDeletionThatHangsSaysTheWayOut(t *testing.T) {
	w := fresh(t).changed(deletion(v1alpha1.DeletionDelete)).downloading().deleted()
	w.in.SourceProblem = failure(v1alpha1.ReasonSourceNotFound, false)
	w.decide()
	c := ready(w.td.Status.Conditions)
	if c.Reason != v1alpha1.ReasonDeleting || !strings.Contains(c.Message, v1alpha1.AnnotationSkipCleanup) || !strings.Contains(c.Message, "about SourceNotFound") {
		t.Errorf("Ready says %s: %s", c.Reason, c.Message)
	}
}

func TestACheckThatHasOnlyBegunIsNoTransition(t *testing.T) {
	w := fresh(t).downloading().restarted()
	w.decide()
	for _, p := range []*download.Progress{unresolved(download.StateResolving, nil), snapshot(download.StateChecking, 0)} {
		d := w.sees(p).decide()
		w.stands(status.InProgressStatus, "Downloading")
		if len(d.Events) > 0 {
			t.Errorf("%s is told as %q", p.State, reasons(d.Events))
		}
	}
	p := snapshot(download.StateChecking, 0)
	p.Checked = 0.1
	w.sees(p).decide()
	w.stands(status.InProgressStatus, "Checking")
}
