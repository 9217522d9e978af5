//go:build e2e

package pods

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/test/cluster/nodes"
)

// drain moves everything away from a node, as its administrator does.
func (w *world) drain(node *nodes.Node) {
	w.Helper()
	if _, err := control(w.Context(), "drain", node.Name, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout="+patience.String()); err != nil {
		w.Fatal(err)
	}
}

// onSecond begins a slow download whose Pod is on the second node, while who
// serves it is on the first.
func (w *world) onSecond(volume v1alpha1.Volume) (*torrent, *v1alpha1.TorrentDownload) {
	w.Helper()
	w.cordon(own.Nodes[1], true)
	album := w.torrent("album", 16<<20)
	w.cordon(own.Nodes[1], false)
	w.cordon(own.Nodes[0], true)
	td := w.download("album", album, volume)
	td.Spec.Limits.DownloadBytesPerSecond = quantity("64Ki")
	w.create(td)
	td = await(w, td, "under way", hasProgress)
	w.cordon(own.Nodes[0], false)
	if td.Status.Worker.NodeName != own.Nodes[1].Name {
		w.Fatalf("Pod %s is on node %s", td.Status.Worker.PodName, td.Status.Worker.NodeName)
	}
	return album, td
}

// elsewhereThan says that a download runs in a Pod on another node.
func elsewhereThan(node *nodes.Node) func(*v1alpha1.TorrentDownload) bool {
	return func(td *v1alpha1.TorrentDownload) bool {
		return because(v1alpha1.ReasonDownloading)(td) && td.Status.Worker.NodeName != "" && td.Status.Worker.NodeName != node.Name
	}
}

// drained says that a Pod's end is told as it was. Where the drain took the
// operator's leader as well, the next one may find nothing but the Job.
func drained(f *v1alpha1.WorkerFailure) bool {
	return f != nil && (f.Reason == download.ReasonDrained ||
		f.Reason == download.ReasonWorkerFailed && strings.Contains(f.Message, "its Pod is gone"))
}

func TestADownloadMovesToAnotherNodeWhenItsOwnIsDrained(t *testing.T) {
	needOwn(t)
	w := newWorld(t)
	// A volume that can be used on every node, as network volumes can.
	folder := filepath.Join(own.Dir, w.ns+"-shared")
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o777); err != nil { // Whatever the umask is.
		t.Fatal(err)
	}
	volume := nodes.SharedVolume(w.ns+"-shared", folder, resource.MustParse("64Mi"))
	claim := w.claim("data", "64Mi")
	claim.Spec.StorageClassName, claim.Spec.VolumeName = ptr.To(""), volume.Name
	claim.Spec.AccessModes = volume.Spec.AccessModes
	w.create(volume, claim)
	t.Cleanup(func() {
		if err := w.Delete(context.Background(), volume); err != nil {
			t.Error(err)
		}
	})
	album, td := w.onSecond(v1alpha1.Volume{ClaimName: "data"})
	first := td.Status.Worker.PodName
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "stay", Namespace: w.ns},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: ptr.To(intstr.FromInt32(1)),
			Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{"torrent-operator.io/uid": string(td.UID)}},
		},
	}
	w.create(budget)
	await(w, budget, "in force", func(b *policyv1.PodDisruptionBudget) bool {
		return b.Status.ObservedGeneration == b.Generation && b.Status.CurrentHealthy == 1
	})
	t.Cleanup(func() { w.cordon(own.Nodes[1], false) })
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: first, Namespace: w.ns}}
	if err := direct.PolicyV1().Evictions(w.ns).Evict(t.Context(), eviction); !apierrors.IsTooManyRequests(err) {
		t.Errorf("Pod %s is not kept by its budget: %v", first, err)
	}
	if pod := w.pod(first); w.Get(t.Context(), client.ObjectKeyFromObject(pod), pod) != nil || pod.DeletionTimestamp != nil {
		t.Errorf("Pod %s has to go against its budget", first)
	}
	if err := w.Delete(t.Context(), budget); err != nil {
		t.Fatal(err)
	}
	w.drain(own.Nodes[1])
	td = await(w, td, "under way on another node", elsewhereThan(own.Nodes[1]))
	if f := td.Status.Worker.LastFailure; !drained(f) || td.Status.Worker.Restarts != 1 {
		t.Errorf("after a drain the status says %+v of the worker, and %+v of its end", td.Status.Worker, f)
	}
	w.change(td, unlimited)
	w.mustComplete(td, "data", "album", album)
}

func TestADownloadWaitsForItsVolumesNodeWhenThatIsDrained(t *testing.T) {
	needOwn(t)
	w := newWorld(t)
	w.create(w.claim("data", "64Mi"))
	album, td := w.onSecond(v1alpha1.Volume{ClaimName: "data"})
	t.Cleanup(func() { w.cordon(own.Nodes[1], false) })
	w.drain(own.Nodes[1])
	td = await(w, td, "waiting for its node", because("Unschedulable"))
	if says := readiness(td).Message; !strings.Contains(says, "volume belongs to nodes") {
		t.Errorf("the message does not name the volume: %s", says)
	}
	if p := td.Status.Progress; p == nil || p.BytesVerified == 0 {
		t.Errorf("while it waits the status says %+v of the progress", p)
	}
	w.cordon(own.Nodes[1], false)
	td = await(w, td, "under way again", because(v1alpha1.ReasonDownloading))
	w.change(td, unlimited)
	w.mustComplete(td, "data", "album", album)
}
