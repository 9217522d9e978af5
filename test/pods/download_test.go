//go:build e2e

package pods

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// download is a TorrentDownload of a torrent, by the ConfigMap that holds its
// .torrent file.
func (w *world) download(name string, t *torrent, volume v1alpha1.Volume) *v1alpha1.TorrentDownload {
	return &v1alpha1.TorrentDownload{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.ns},
		Spec: v1alpha1.TorrentDownloadSpec{
			Source: v1alpha1.Source{MetainfoFrom: &v1alpha1.MetainfoSource{
				ConfigMapKeyRef: &v1alpha1.KeyReference{Name: t.name, Key: t.name + ".torrent"},
			}},
			Volume: volume,
		},
	}
}

// is says that a condition of a download is true.
func is(condition string) func(*v1alpha1.TorrentDownload) bool {
	return func(td *v1alpha1.TorrentDownload) bool {
		return meta.IsStatusConditionTrue(td.Status.Conditions, condition)
	}
}

// readiness is a download's condition Ready, without anything if it has none.
func readiness(td *v1alpha1.TorrentDownload) metav1.Condition {
	if c := meta.FindStatusCondition(td.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// because says that a download is not ready, for a reason.
func because(reason string) func(*v1alpha1.TorrentDownload) bool {
	return func(td *v1alpha1.TorrentDownload) bool {
		c := readiness(td)
		return c.Status == metav1.ConditionFalse && c.Reason == reason
	}
}

// hasProgress says that a download runs in a Pod and has verified something.
func hasProgress(td *v1alpha1.TorrentDownload) bool {
	return td.Status.Progress != nil && td.Status.Progress.BytesVerified > 0 && td.Status.Worker.PodName != ""
}

// slowly is a download of a torrent into claim "data", within a limit, that is
// to be disturbed on its way.
func (w *world) slowly(t *torrent, limit string) *v1alpha1.TorrentDownload {
	td := w.download(t.name, t, v1alpha1.Volume{ClaimName: "data"})
	td.Spec.Limits.DownloadBytesPerSecond = quantity(limit)
	return td
}

// change changes a download as its user would.
func (w *world) change(td *v1alpha1.TorrentDownload, change func(*v1alpha1.TorrentDownloadSpec)) {
	w.Helper()
	patch := client.MergeFrom(td.DeepCopy())
	change(&td.Spec)
	if err := w.Patch(w.Context(), td, patch); err != nil {
		w.Fatal(err)
	}
}

// unlimited takes the limit off that slowly has set.
func unlimited(spec *v1alpha1.TorrentDownloadSpec) { spec.Limits.DownloadBytesPerSecond = nil }

// mustComplete waits for a download's end, and compares what it has fetched.
func (w *world) mustComplete(td *v1alpha1.TorrentDownload, claim, folder string, t *torrent) *v1alpha1.TorrentDownload {
	w.Helper()
	td = await(w, td, "complete", is(v1alpha1.ConditionReady))
	w.mustHold(claim, folder, t)
	return td
}

// mustCompleteInItsPod is [world.mustComplete] for one that slowly has begun: its
// Pod, if it is there still, is the one that it had.
func (w *world) mustCompleteInItsPod(td *v1alpha1.TorrentDownload, claim, folder string, t *torrent) {
	w.Helper()
	w.change(td, unlimited)
	before := td.Status.Worker.PodName
	td = w.mustComplete(td, claim, folder, t)
	if now := td.Status.Worker; now.Restarts != 0 || now.PodName != "" && now.PodName != before {
		w.Errorf("its Pod was %s, and is %s after %d restarts", before, now.PodName, now.Restarts)
	}
}

// mustHold compares what is in a claim with a torrent's content.
func (w *world) mustHold(claim, folder string, t *torrent) {
	w.Helper()
	reader := w.pod("reader-of-"+claim, "sum", "/data/"+folder)
	mountClaim(&reader.Spec, "/data", claim)
	w.create(reader)
	if got := w.said(reader); got != t.sums {
		w.Errorf("claim %s holds\n%swant\n%s", claim, got, t.sums)
	}
}

// podsOf are the Pods that were made for a download and are there still.
func (w *world) podsOf(td *v1alpha1.TorrentDownload) []corev1.Pod {
	w.Helper()
	var pods corev1.PodList
	if err := w.List(w.Context(), &pods, client.InNamespace(w.ns), client.MatchingLabels{"torrent-operator.io/uid": string(td.UID)}); err != nil {
		w.Fatal(err)
	}
	return pods.Items
}

func TestADownloadFillsAClaimThatExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	album := w.torrent("album", 3<<20)
	td := w.download("album", album, v1alpha1.Volume{ClaimName: "data", Path: "music"})
	w.create(w.claim("data", "64Mi"), td)
	td = w.mustComplete(td, "data", "music/album", album)
	for _, pod := range w.podsOf(td) {
		if pod.Status.Phase != corev1.PodSucceeded {
			t.Errorf("Pod %s is %s", pod.Name, pod.Status.Phase)
		}
	}
	if td.Status.Worker.Name == "" || td.Status.Progress.Percent != 100 {
		t.Errorf("the status says %+v of the worker and %+v of the progress", td.Status.Worker, td.Status.Progress)
	}
}

func TestAClaimIsMadeWhereADownloadHasATemplateForOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	album := w.torrent("album", 3<<20)
	td := w.download("album", album, v1alpha1.Volume{ClaimTemplate: &v1alpha1.ClaimTemplate{}})
	td.Spec.Source = v1alpha1.Source{Magnet: album.meta.Magnet().String()}
	w.create(td)
	w.mustComplete(td, "album", "album", album)
}

func TestACompleteDownloadSeedsTheNextOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	album := w.torrent("album", 3<<20)
	first := w.download("first", album, v1alpha1.Volume{ClaimName: "one"})
	first.Spec.Seeding.Policy = v1alpha1.SeedingForever
	w.create(w.claim("one", "64Mi"), first)
	await(w, first, "seeding", is(v1alpha1.ConditionSeeding))
	// Nobody else has the torrent now, and nobody tells of its peers.
	for _, name := range []string{"seeder", "tracker"} {
		gone := w.pod(name)
		if err := w.Delete(t.Context(), gone, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
		w.awaitGone(gone)
	}
	second := w.download("second", album, v1alpha1.Volume{ClaimName: "two"})
	w.create(w.claim("two", "64Mi"), second)
	w.mustComplete(second, "two", "album", album)
}

func TestADownloadGoesOnAfterItsPodWasKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	album := w.torrent("album", 16<<20)
	td := w.slowly(album, "1Mi")
	w.create(w.claim("data", "64Mi"), td)
	td = await(w, td, "under way", hasProgress)
	victim := td.Status.Worker.PodName
	if err := w.Delete(t.Context(), w.pod(victim), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	td = await(w, td, "in another Pod", func(td *v1alpha1.TorrentDownload) bool {
		return td.Status.Worker.PodName != "" && td.Status.Worker.PodName != victim && td.Status.Worker.Restarts > 0
	})
	w.change(td, unlimited)
	w.mustComplete(td, "data", "album", album)
}

func TestASuspendedDownloadHasNoPodAndGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	album := w.torrent("album", 16<<20)
	td := w.slowly(album, "1Mi")
	w.create(w.claim("data", "64Mi"), td)
	td = await(w, td, "under way", hasProgress)
	w.change(td, func(spec *v1alpha1.TorrentDownloadSpec) { spec.Suspend = ptr.To(true) })
	td = await(w, td, "suspended", because(v1alpha1.ReasonSuspended))
	for _, pod := range w.podsOf(td) {
		w.awaitGone(&pod)
	}
	w.change(td, func(spec *v1alpha1.TorrentDownloadSpec) {
		spec.Suspend, spec.Limits.DownloadBytesPerSecond = ptr.To(false), quantity("1Gi")
	})
	w.mustComplete(td, "data", "album", album)
}

func TestADownloadRunsWhereTheNamespaceIsRestricted(t *testing.T) {
	t.Parallel()
	outside, w := newWorld(t), newWorld(t)
	album := outside.torrent("album", 3<<20)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`))
	if err := w.Patch(t.Context(), ns, patch); err != nil {
		t.Fatal(err)
	}
	if err := w.Create(t.Context(), w.pod("root", "hold")); err == nil {
		t.Error("the namespace takes a Pod that may be root, so this test tells nothing")
	}
	td := w.download("album", album, v1alpha1.Volume{ClaimTemplate: &v1alpha1.ClaimTemplate{}})
	td.Spec.Source = v1alpha1.Source{Magnet: album.meta.Magnet().String()}
	w.create(td)
	await(w, td, "complete", is(v1alpha1.ConditionReady))
}

func TestADownloadGoesOnWithoutTheOperatorAndIsTakenUpAgain(t *testing.T) {
	w := newWorld(t)
	album := w.torrent("album", 16<<20)
	td := w.slowly(album, "1Mi")
	w.create(w.claim("data", "64Mi"), td)
	td = await(w, td, "under way", hasProgress)
	worker := td.Status.Worker.PodName
	err := w.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(system), client.MatchingLabels{"app.kubernetes.io/name": account}, client.GracePeriodSeconds(0))
	if err != nil {
		t.Fatal(err)
	}
	td = await(w, td, "complete", is(v1alpha1.ConditionReady))
	if td.Status.Worker.Restarts > 0 || td.Status.Worker.PodName != "" && td.Status.Worker.PodName != worker {
		t.Errorf("Pod %s began, and the status says %+v", worker, td.Status.Worker)
	}
	w.mustHold("data", "album", album)
}

func TestADeletedDownloadTakesItsDataAlongWhereItShould(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	album := w.torrent("album", 3<<20)
	td := w.download("album", album, v1alpha1.Volume{ClaimName: "data"})
	td.Spec.DeletionPolicy = v1alpha1.DeletionDelete
	w.create(w.claim("data", "64Mi"), td)
	td = await(w, td, "complete", is(v1alpha1.ConditionReady))
	if err := w.Delete(t.Context(), td); err != nil {
		t.Fatal(err)
	}
	w.awaitGone(td)
	w.mustHold("data", "", &torrent{})
	var jobs batchv1.JobList
	if err := w.List(t.Context(), &jobs, client.InNamespace(w.ns)); err != nil {
		t.Fatal(err)
	}
	for _, job := range jobs.Items {
		if job.DeletionTimestamp == nil {
			w.awaitGone(&job)
		}
	}
}

func quantity(s string) *resource.Quantity { return ptr.To(resource.MustParse(s)) }
