//go:build e2e

package pods

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// mostSilence bounds the time in which no replica works for the downloads after
// the one that did was killed.
const mostSilence = 30 * time.Second

// deployment is the operator's.
func deployment() *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: system}}
}

// redeploy changes the operator's container, by a patch of it, and waits until
// all replicas run so.
func (w *world) redeploy(container string) {
	w.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"manager",%s}]}}}}`, container)
	if err := w.Patch(w.Context(), deployment(), client.RawPatch(types.StrategicMergePatchType, []byte(patch))); err != nil {
		w.Fatal(err)
	}
	if err := rolledOut(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// another writes the operator's image again, under another tag. Nodes that start
// later look for the archive, so it stays.
func another(t *testing.T, tag string) (name, archive string) {
	t.Helper()
	repository, _, _ := strings.Cut(operatorImage, ":")
	name, archive = repository+":"+tag, filepath.Join(overlay, tag+".tar")
	if err := writeOperator(t.Context(), archive, name); err != nil {
		t.Fatal(err)
	}
	return name, archive
}

// makeKnown makes an image known to the cluster.
func makeKnown(t *testing.T, archive string) {
	t.Helper()
	err := load(t.Context(), []string{archive})
	if own != nil {
		err = own.Load(t.Context(), archive)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// imageOf is the image of the Pod in which a download runs.
func (w *world) imageOf(td *v1alpha1.TorrentDownload) string {
	w.Helper()
	pod := w.pod(td.Status.Worker.PodName)
	if err := w.Get(w.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
		w.Fatal(err)
	}
	return pod.Spec.Containers[0].Image
}

func TestADownloadSaysThatItsImageCanNotBePulledAndGoesOnWhenItCan(t *testing.T) {
	w := newWorld(t)
	album := w.torrent("album", 3<<20)
	late, archive := another(t, "late")
	const wrong = "localhost/misspelled:e2e"
	t.Cleanup(w.reinstall)
	w.redeploy(`"args":["manager","--leader-elect","--worker-image=` + wrong + `"]`)
	td := w.download("album", album, v1alpha1.Volume{ClaimName: "data"})
	w.create(w.claim("data", "64Mi"), td)
	without := func(image string) func(*v1alpha1.TorrentDownload) bool {
		return func(td *v1alpha1.TorrentDownload) bool {
			return because("ImagePullBackOff")(td) && strings.Contains(readiness(td).Message, image)
		}
	}
	td = await(w, td, "without its image", without(wrong))
	// A Pod that never ran is replaced when the operator is told a better name.
	w.redeploy(`"args":["manager","--leader-elect","--worker-image=` + late + `"]`)
	td = await(w, td, "without its right image", without(late))
	makeKnown(t, archive)
	w.mustComplete(td, "data", "album", album)
}

// installOlder installs what an upgrade begins with, and returns its image.
func (w *world) installOlder() string {
	w.Helper()
	source := "../.."
	if from := os.Getenv(fromEnv); from != "" {
		source = w.TempDir()
		unpack := exec.CommandContext(w.Context(), "sh", "-c", `git -C ../.. archive "$1" | tar -x -C "$2"`, "sh", from, source)
		if out, err := unpack.CombinedOutput(); err != nil {
			w.Fatalf("the source of %s: %v: %s", from, err, out)
		}
	}
	const older = "localhost/torrent-operator:older"
	archive := filepath.Join(overlay, "older.tar")
	build := exec.CommandContext(w.Context(), "go", "run", "./cmd/image", "-output", archive, "-name", older, "-version", "older", "-platforms", "linux/"+runtime.GOARCH)
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		w.Fatalf("the image of the older version: %v: %s", err, out)
	}
	makeKnown(w.T, archive)
	if err := install(w.Context(), source, older); err != nil {
		w.Fatal(err)
	}
	return older
}

func TestAnUpgradeOfTheOperatorLeavesDownloadsAlone(t *testing.T) {
	w := newWorld(t)
	album := w.torrent("album", 16<<20)
	t.Cleanup(w.reinstall)
	older := w.installOlder()
	running := w.slowly(album, "64Ki")
	seeding := w.download("seeding", album, v1alpha1.Volume{ClaimName: "data", Path: "seeding"})
	seeding.Spec.Seeding.Policy = v1alpha1.SeedingForever
	w.create(w.claim("data", "64Mi"), running, seeding)
	inAPod := func(td *v1alpha1.TorrentDownload) bool {
		return is(v1alpha1.ConditionSeeding)(td) && td.Status.Worker.PodName != ""
	}
	seeding = await(w, seeding, "seeding", inAPod)
	running = await(w, running, "under way", hasProgress)
	w.reinstall()
	later := w.download("later", album, v1alpha1.Volume{ClaimName: "data", Path: "later"})
	later.Spec.Seeding.Policy = v1alpha1.SeedingForever
	w.create(later)
	later = await(w, later, "seeding", inAPod)
	for td, want := range map[*v1alpha1.TorrentDownload]string{running: older, seeding: older, later: operatorImage} {
		if image := w.imageOf(td); image != want {
			t.Errorf("Pod %s has image %s, want %s", td.Status.Worker.PodName, image, want)
		}
	}
	w.mustCompleteInItsPod(running, "data", "album", album)
	await(w, seeding, "seeding", inAPod)
}

func TestAnotherReplicaTakesOverWhenTheOneThatLeadsIsKilled(t *testing.T) {
	needOwn(t)
	w := newWorld(t)
	album := w.torrent("album", 16<<20)
	td := w.slowly(album, "64Ki")
	w.create(w.claim("data", "64Mi"), td)
	td = await(w, td, "under way", hasProgress)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "torrent-operator.torrent-operator.io", Namespace: system}}
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(lease), lease); err != nil {
		t.Fatal(err)
	}
	// It runs out after the leader's last word, and the others look often.
	if lasts := time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 0)) * time.Second; lasts <= 0 || lasts > mostSilence/2 {
		t.Errorf("the Lease lasts %s, and it is to be half of %s at most", lasts, mostSilence)
	}
	leader, _, _ := strings.Cut(ptr.Deref(lease.Spec.HolderIdentity, ""), "_")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: leader, Namespace: system}}
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
		t.Fatal(err)
	}
	kill(t, pod.UID, "manager")
	killed := time.Now()
	asleep := w.download("asleep", album, v1alpha1.Volume{ClaimName: "data", Path: "asleep"})
	asleep.Spec.Suspend = ptr.To(true)
	w.create(asleep)
	await(w, asleep, "suspended", because(v1alpha1.ReasonSuspended))
	next := await(w, lease, "taken over", func(l *coordinationv1.Lease) bool {
		return ptr.Deref(l.Spec.HolderIdentity, "") != *lease.Spec.HolderIdentity
	})
	// How long it takes on a busy machine is no measure, so it is told alone.
	t.Logf("%.1fs after its leader was killed the operator has another one, and a new download is seen to after %.1fs",
		next.Spec.AcquireTime.Sub(killed).Seconds(), time.Since(killed).Seconds())
	w.mustCompleteInItsPod(td, "data", "album", album)
}

// TestTheOperatorCanBeUninstalledFirst takes the operator away while downloads
// run, and then all that was installed with it, as the README tells.
func TestTheOperatorCanBeUninstalledFirst(t *testing.T) {
	w := newWorld(t)
	album := w.torrent("album", 16<<20)
	running := w.slowly(album, "64Ki")
	seeding := w.download("seeding", album, v1alpha1.Volume{ClaimName: "data", Path: "seeding"})
	seeding.Spec.Seeding.Policy = v1alpha1.SeedingForever
	erased := w.download("erased", album, v1alpha1.Volume{ClaimName: "data", Path: "erased"})
	erased.Spec.DeletionPolicy = v1alpha1.DeletionDelete
	w.create(w.claim("data", "64Mi"), running, seeding, erased)
	running = await(w, running, "under way", hasProgress)
	seeding = await(w, seeding, "seeding", is(v1alpha1.ConditionSeeding))
	erased = await(w, erased, "complete", is(v1alpha1.ConditionReady))
	t.Cleanup(w.reinstall)
	if _, err := control(t.Context(), "delete", "deployment", account, "--namespace="+system); err != nil {
		t.Fatal(err)
	}
	w.awaitNoOperator()
	if err := w.Delete(t.Context(), erased); err != nil {
		t.Fatal(err)
	}
	await(w, erased, "waiting for the operator", func(td *v1alpha1.TorrentDownload) bool { return td.DeletionTimestamp != nil })
	if _, err := control(t.Context(), "patch", "td", erased.Name, "--namespace="+w.ns, "--type=merge", `-p={"metadata":{"finalizers":null}}`); err != nil {
		t.Fatal(err)
	}
	w.awaitGone(erased)
	w.mustHold("data", "erased/album", album)
	if _, err := control(t.Context(), "delete", "-k", overlay, "--ignore-not-found", fmt.Sprintf("--timeout=%s", patience)); err != nil {
		t.Fatal(err)
	}
	for _, td := range []*v1alpha1.TorrentDownload{running, seeding, erased} {
		w.awaitNothingOf(td)
	}
}

// awaitNoOperator waits until no replica of the operator is there.
func (w *world) awaitNoOperator() {
	w.Helper()
	replicas := &corev1.PodList{}
	if err := w.List(w.Context(), replicas, client.InNamespace(system)); err != nil {
		w.Fatal(err)
	}
	for i := range replicas.Items {
		w.awaitGone(&replicas.Items[i])
	}
}

// reinstall brings the operator back for the tests that follow.
func (w *world) reinstall() {
	w.Helper()
	if err := install(context.Background(), "../..", operatorImage); err != nil {
		w.Error(err)
	}
}
