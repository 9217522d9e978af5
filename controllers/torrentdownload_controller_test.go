package controllers_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/controllers"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// TestFromCreationToCompletion goes through every transition of a download
// that has no trouble, with the one status write that each of them costs.
func TestFromCreationToCompletion(t *testing.T) {
	b := newBench(t, func(r *controllers.TorrentDownloadReconciler) { r.ProgressMinInterval = time.Hour })
	id := b.download("a", func(td *v1alpha1.TorrentDownload) { td.Spec.Seeding.Policy = v1alpha1.SeedingForever })
	td := b.stands("a", status.InProgressStatus, "Resolving")
	b.condition(td, v1alpha1.ConditionReconciling, "True Resolving")
	b.condition(td, v1alpha1.ConditionMetadataResolved, "False Resolving")
	n := b.wrote(0, 2) // Pending, Resolving

	b.fake.Set(id, snapshot(download.StateChecking, 0))
	td = b.stands("a", status.InProgressStatus, "Checking")
	b.condition(td, v1alpha1.ConditionMetadataResolved, "True Resolved")
	b.condition(td, v1alpha1.ConditionVolumeReady, "True Mounted")
	if td.Status.InfoHash.V1 != hash || td.Status.Name != "imagenet" || td.Status.Volume.Path != "a" || td.Status.StartTime == nil {
		t.Errorf("status %+v", td.Status)
	}
	n = b.wrote(n, 1)

	p := snapshot(download.StateDownloading, 420)
	p.DownloadBytesPerSecond, p.Peers, p.Pieces.InProgress = 92_274_688, download.Peers{Connected: 3, Seeds: 1, Known: 9}, 5
	b.fake.Set(id, p)
	td = b.stands("a", status.InProgressStatus, "Downloading")
	if got := td.Status.Progress; got.Percent != 42 || got.Summary != "42% of 1.0GiB, 88MiB/s, 6s left" || got.LastUpdateTime == nil {
		t.Errorf("progress %+v", got)
	}
	if td.Status.Peers.Connected != 3 || td.Status.Pieces.InProgress != 5 || td.Status.Pieces.Map == "" || td.Status.Worker.NodeName != "node-1" {
		t.Errorf("peers %+v, pieces %+v", td.Status.Peers, td.Status.Pieces)
	}
	b.condition(td, v1alpha1.ConditionComplete, "False Downloading")
	n = b.wrote(n, 1)

	b.fake.Set(id, snapshot(download.StateFinishing, 1000))
	td = b.stands("a", status.InProgressStatus, "Finishing")
	if td.Status.Progress.Percent == 100 {
		t.Error("100% before everything is durable")
	}
	n = b.wrote(n, 1)

	b.fake.Set(id, snapshot(download.StateSeeding, 1000))
	td = b.stands("a", status.CurrentStatus, "Complete")
	b.condition(td, v1alpha1.ConditionReconciling, "")
	b.condition(td, v1alpha1.ConditionComplete, "True Complete")
	b.condition(td, v1alpha1.ConditionSeeding, "True Seeding")
	if td.Status.CompletionTime == nil || td.Status.Progress.Percent != 100 || td.Status.Pieces.Map != "" {
		t.Errorf("status %+v", td.Status)
	}
	b.wrote(n, 1)

	want := map[string]int{"Resolving": 1, "Resolved": 1, "Checking": 1, "Downloading": 1, "Finishing": 1, "Complete": 1, "Seeding": 1}
	b.await("every transition was told once", func() bool { return maps.Equal(b.events("a"), want) })
}

// TestTelemetryIsCoalesced sends a snapshot with each of 300 pieces. What is
// not a transition is not written within the interval, however much it is; the
// transition that follows carries all of it.
func TestTelemetryIsCoalesced(t *testing.T) {
	b := newBench(t, func(r *controllers.TorrentDownloadReconciler) { r.ProgressMinInterval = time.Hour })
	id := b.download("a")
	b.fake.Set(id, snapshot(download.StateDownloading, 1))
	b.stands("a", status.InProgressStatus, "Downloading")
	n := b.written()
	for i := range 300 {
		b.fake.Set(id, snapshot(download.StateDownloading, 2+i))
	}
	b.fake.Set(id, snapshot(download.StateFinishing, 1000))
	b.stands("a", status.InProgressStatus, "Finishing")
	b.wrote(n, 1)
}

// TestTelemetryIsWritten after the interval, if a person would notice it.
func TestTelemetryIsWritten(t *testing.T) {
	b := newBench(t)
	id := b.download("a")
	b.fake.Set(id, snapshot(download.StateDownloading, 100))
	b.stands("a", status.InProgressStatus, "Downloading")
	n := b.written()
	b.fake.Set(id, snapshot(download.StateDownloading, 130))
	b.await("the status says 13%", func() bool { return b.get("a").Status.Progress.Percent == 13 })
	n = b.wrote(n, 1)
	b.fake.Set(id, snapshot(download.StateDownloading, 131)) // Nobody would notice one piece of 1,000.
	b.fake.Set(id, snapshot(download.StateFinishing, 1000))
	b.stands("a", status.InProgressStatus, "Finishing")
	b.wrote(n, 1)
}

func TestStalledGoesOnTryingAndTheFirstByteClearsIt(t *testing.T) {
	b := newBench(t)
	id := b.download("a")
	b.fake.Set(id, snapshot(download.StateStalled, 5))
	td := b.stands("a", status.FailedStatus, "NoPeers")
	b.condition(td, v1alpha1.ConditionStalled, "True NoPeers")
	b.says(td, "spec.discovery")
	b.runs(id, "although stalled", anyhow)
	b.fake.Set(id, snapshot(download.StateDownloading, 6))
	td = b.stands("a", status.InProgressStatus, "Downloading")
	b.condition(td, v1alpha1.ConditionStalled, "")
}

func TestUnreachableTracker(t *testing.T) {
	b := newBench(t)
	id := b.download("a")
	p := snapshot(download.StateDownloading, 0)
	p.Trackers = []download.Tracker{{URL: "http://tracker.example:6969", LastError: "connection refused"}}
	b.fake.Set(id, p)
	b.says(b.stands("a", status.InProgressStatus, "TrackerUnreachable"), "tracker.example", "spec.discovery")
}

// TestFailuresThatNeedAPerson: each has its reason, and the message of whoever
// noticed it.
func TestFailuresThatNeedAPerson(t *testing.T) {
	b := newBench(t)
	for _, reason := range []string{"MetainfoInvalid", "InfoHashMismatch", "PathConflict", "ClaimNotLocal", "InsufficientSpace"} {
		name := strings.ToLower(reason)
		id := b.download(name)
		b.fake.Set(id, failed(reason, "Do something about it.", true))
		td := b.stands(name, status.FailedStatus, reason)
		b.says(td, "Do something about it.")
		b.condition(td, v1alpha1.ConditionReconciling, "")
	}
}

func TestFailureIsRetriedByItself(t *testing.T) {
	b := newBench(t)
	id := b.download("a")
	b.fake.Set(id, failed("VolumeError", "It hiccuped.", false))
	b.says(b.stands("a", status.InProgressStatus, "Retrying"), "VolumeError: It hiccuped.")
	ensured := func() int {
		n := 0
		for _, c := range b.fake.Calls() {
			if c.Method == "Ensure" && c.ID == id {
				n++
			}
		}
		return n
	}
	before := ensured()
	b.await("it is tried again", func() bool { return ensured() > before })
	b.fake.Set(id, snapshot(download.StateDownloading, 1))
	b.stands("a", status.InProgressStatus, "Downloading")
}

func TestRetryRequestedIsHandledOnce(t *testing.T) {
	b := newBench(t)
	id := b.download("a")
	b.fake.Set(id, failed("PathConflict", "There is something else.", true))
	b.stands("a", status.FailedStatus, "PathConflict")
	b.annotate(v1alpha1.AnnotationRetryRequestedAt, "2026-03-01T12:00:00Z")
	b.runs(id, "with the token", func(r download.Request) bool { return r.RetryToken == "2026-03-01T12:00:00Z" })
	b.await("the status records it", func() bool { return b.get("a").Status.LastHandledRetryAt == "2026-03-01T12:00:00Z" })
	b.fake.Set(id, snapshot(download.StateDownloading, 1))
	b.stands("a", status.InProgressStatus, "Downloading")
}

func TestVerifyRequestedIsHandledOnce(t *testing.T) {
	b := newBench(t)
	id := b.download("a")
	b.fake.Set(id, snapshot(download.StateComplete, 1000))
	b.stands("a", status.CurrentStatus, "Complete")
	b.annotate(v1alpha1.AnnotationVerifyRequestedAt, "1")
	asked := func() (n int) {
		for _, c := range b.fake.Calls() {
			if c.Request.VerifyToken == "1" {
				n++
			}
		}
		return n
	}
	b.await("the status records it", func() bool { return b.get("a").Status.LastHandledVerifyAt == "1" })
	if asked() == 0 {
		t.Error("recorded, but the executor was not asked")
	}
	check := snapshot(download.StateChecking, 500)
	check.Checked = 0.5
	b.fake.Set(id, check)
	b.stands("a", status.InProgressStatus, "Checking")
	n := asked() // Until the cache has the record, the same token may be said again, which asks for nothing.
	b.fake.Set(id, snapshot(download.StateComplete, 1000))
	b.stands("a", status.CurrentStatus, "Complete")
	if again := asked(); again != n {
		t.Errorf("asked %d times more", again-n)
	}
}

func TestSuspendAndResume(t *testing.T) {
	b := newBench(t)
	id := b.download("a")
	p := snapshot(download.StateDownloading, 420)
	p.DownloadBytesPerSecond, p.Peers.Connected = 1000, 2
	b.fake.Set(id, p)
	b.stands("a", status.InProgressStatus, "Downloading")
	yes, no := true, false
	b.change("a", func(td *v1alpha1.TorrentDownload) { td.Spec.Suspend = &yes })
	td := b.stands("a", status.InProgressStatus, "Suspended")
	b.condition(td, v1alpha1.ConditionReconciling, "")
	b.condition(td, v1alpha1.ConditionStalled, "")
	if td.Status.Peers != nil || td.Status.Progress.DownloadBytesPerSecond != 0 || td.Status.Progress.Percent != 42 {
		t.Errorf("suspended, and %+v, peers %+v", td.Status.Progress, td.Status.Peers)
	}
	b.stops(id)
	b.change("a", func(td *v1alpha1.TorrentDownload) { td.Spec.Suspend = &no })
	b.runs(id, "again, pinned to what it was", func(r download.Request) bool { return r.InfoHash == hash })
	b.fake.Set(id, snapshot(download.StateDownloading, 421))
	b.stands("a", status.InProgressStatus, "Downloading")
}

func TestOperationalFieldsReachTheExecutorWhileItRuns(t *testing.T) {
	b := newBench(t)
	id := b.download("a")
	b.fake.Set(id, snapshot(download.StateDownloading, 1))
	b.stands("a", status.InProgressStatus, "Downloading")
	b.change("a", func(td *v1alpha1.TorrentDownload) {
		td.Spec.Limits.MaxPeers = 7
		td.Spec.Discovery.Peers = []string{"seeder.example:6881"}
	})
	b.runs(id, "with its new limits", func(r download.Request) bool { return r.Limits.MaxPeers == 7 && len(r.Peers) == 1 })
	b.stands("a", status.InProgressStatus, "Downloading")
}

func TestClaimIsWaitedForAndTheMetadataResolvedMeanwhile(t *testing.T) {
	b := newBench(t)
	id := b.download("a", func(td *v1alpha1.TorrentDownload) { td.Spec.Volume.ClaimName = "later" })
	b.says(b.stands("a", status.InProgressStatus, "ClaimNotFound"), "later", "Create it")
	b.runs(id, "without a volume", func(r download.Request) bool { return r.ResolveOnly })
	b.claim("later")
	b.runs(id, "with the volume", func(r download.Request) bool { return !r.ResolveOnly && r.Volume.ClaimName == "later" })
}

func TestSecondDownloadOfTheSameFilesWaitsForTheFirst(t *testing.T) {
	b := newBench(t)
	shared := func(td *v1alpha1.TorrentDownload) { td.Spec.Volume.Path = "shared" }
	first := b.download("first", shared)
	b.fake.Set(first, snapshot(download.StateDownloading, 1))
	b.stands("first", status.InProgressStatus, "Downloading")

	second := b.download("second", shared)
	b.runs(second, "to know its name", func(r download.Request) bool { return r.ResolveOnly })
	b.fake.Set(second, snapshot(download.StateWaiting, 0))
	td := b.stands("second", status.FailedStatus, "PathConflict")
	b.says(td, "first", "shared/imagenet", "spec.volume.path")
	b.stops(second)
	if td.Status.StartTime != nil {
		t.Error("it has started all the same")
	}

	b.remove(b.get("first"))
	b.stops(first)
	b.runs(second, "when the place is free", func(r download.Request) bool { return !r.ResolveOnly })

	other := b.download("other", shared)
	p := snapshot(download.StateWaiting, 0)
	p.Name = "another"
	b.fake.Set(other, p)
	b.runs(other, "beside it", func(r download.Request) bool { return !r.ResolveOnly })
}

// TestRestartOfTheOperatorChangesNothing: a new operator, whose executor knows
// nothing, goes on without a write, and nobody sees anything else happen.
func TestRestartOfTheOperatorChangesNothing(t *testing.T) {
	b := newBench(t)
	id := b.download("a")
	b.fake.Set(id, snapshot(download.StateDownloading, 420))
	before := b.stands("a", status.InProgressStatus, "Downloading")
	done := b.download("done")
	b.fake.Set(done, snapshot(download.StateComplete, 1000))
	b.stands("done", status.CurrentStatus, "Complete")

	b.stop()
	b.fake.Forget()
	n := b.written()
	b.startOperator()
	b.runs(id, "again, pinned to what it was", func(r download.Request) bool { return r.InfoHash == hash })
	b.wrote(n, 0)
	if after := b.get("a"); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("a restart changed the object from %+v\nto %+v", before.Status, after.Status)
	}
	b.fake.Set(id, snapshot(download.StateDownloading, 500))
	b.await("it goes on", func() bool { return b.get("a").Status.Progress.Percent == 50 })
	b.stands("done", status.CurrentStatus, "Complete")
	if _, running := b.fake.Request(done); running {
		t.Error("a complete download at rest was started again")
	}
}

func TestObjectMadeAgainUnderItsNameIsAnotherDownload(t *testing.T) {
	b := newBench(t)
	first := b.download("a")
	b.fake.Set(first, snapshot(download.StateDownloading, 5))
	b.stands("a", status.InProgressStatus, "Downloading")
	b.remove(b.get("a"))
	second := b.download("a")
	b.stops(first)
	b.runs(second, "anew", func(r download.Request) bool { return r.InfoHash == "" })
}

func TestExecutorThatCannotTakeARequestIsAskedAgain(t *testing.T) {
	b := newBench(t)
	b.fake.Fail("Ensure", errors.New("full: http://tracker.example/s3cret/announce"))
	id := b.download("a")
	b.await("it was logged", func() bool { return strings.Contains(b.logged(), "full:") })
	b.fake.Fail("Ensure", nil)
	b.runs(id, "at last", anyhow)
	if strings.Contains(b.logged(), "s3cret") {
		t.Error("the log tells a passkey")
	}
}

// TestPasskeysStayOut of everything that others may read.
func TestPasskeysStayOut(t *testing.T) {
	b := newBench(t)
	id := b.download("a")
	b.fake.Set(id, failed("VolumeError", `Get "https://user:s3cret@tracker.example/s3cret/announce?passkey=s3cret": EOF`, false))
	td := b.stands("a", status.InProgressStatus, "Retrying")
	b.says(td, "tracker.example")
	b.await("the event is there", func() bool { return b.events("a")["Retrying"] == 1 })
	var events corev1.EventList
	if err := b.List(t.Context(), &events, client.InNamespace(b.ns)); err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		if strings.Contains(e.Message, "s3cret") {
			t.Errorf("event %q tells a passkey", e.Message)
		}
	}
	for _, c := range td.Status.Conditions {
		if strings.Contains(c.Message, "s3cret") {
			t.Errorf("condition %s tells a passkey: %q", c.Type, c.Message)
		}
	}
	if strings.Contains(b.logged(), "s3cret") {
		t.Errorf("the log tells a passkey")
	}
}

// TestBudgetOfAllDownloadsTogether: while the budget is spent, transitions
// wait for their turn and telemetry gives way.
func TestBudgetOfAllDownloadsTogether(t *testing.T) {
	b := newBench(t, func(r *controllers.TorrentDownloadReconciler) { r.StatusWriteQPS = 4 })
	start := time.Now()
	const n = 6
	var ids []download.ID
	for i := range n {
		ids = append(ids, b.download(string(rune('a'+i))))
		b.fake.Set(ids[i], snapshot(download.StateDownloading, 10))
	}
	for _, id := range ids {
		b.stands(id.Name, status.InProgressStatus, "Downloading")
	}
	for i := range 50 {
		for _, id := range ids {
			b.fake.Set(id, snapshot(download.StateDownloading, 20*(1+i)))
		}
	}
	for _, id := range ids {
		b.await(id.Name+" says how far it is", func() bool { return b.get(id.Name).Status.Progress.Percent == 99 })
	}
	if most := 4 + 4*time.Since(start).Seconds(); float64(b.written()) > most {
		t.Errorf("%d status writes, at most %.0f are in the budget", b.written(), most)
	}
}

func TestIncompleteReconcilerIsRefused(t *testing.T) {
	mgr, err := ctrl.NewManager(kube, ctrl.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	if err := (&controllers.TorrentDownloadReconciler{Client: mgr.GetClient()}).SetupWithManager(mgr); err == nil {
		t.Error("taken without Reader, Executor and Recorder")
	}
}

// TestSpecIsValidatedByTheServer spot-checks that the rules of the API are
// there; api/v1alpha1 tests them all.
func TestSpecIsValidatedByTheServer(t *testing.T) {
	b := newBench(t)
	b.download("a")
	for want, f := range map[string]func(*v1alpha1.TorrentDownload){
		"source can't be changed":    func(td *v1alpha1.TorrentDownload) { td.Spec.Source.URL.Address = "https://example.org/b.torrent" },
		"claimName can't be changed": func(td *v1alpha1.TorrentDownload) { td.Spec.Volume.ClaimName = "other" },
		"path can't be changed":      func(td *v1alpha1.TorrentDownload) { td.Spec.Volume.Path = "" },
		"needs ratioPercent":         func(td *v1alpha1.TorrentDownload) { td.Spec.Seeding = v1alpha1.Seeding{Policy: v1alpha1.SeedingRatio} },
	} {
		td := b.get("a")
		before := td.DeepCopy()
		f(td)
		if err := b.Patch(t.Context(), td, client.MergeFrom(before)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
	td := &v1alpha1.TorrentDownload{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "none"},
		Spec:       v1alpha1.TorrentDownloadSpec{Volume: v1alpha1.Volume{ClaimName: "c"}, Source: v1alpha1.Source{URL: nil}},
	}
	if err := b.Create(t.Context(), td); err == nil {
		t.Error("created without a source")
	}
}
