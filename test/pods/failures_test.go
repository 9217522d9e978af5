//go:build e2e

package pods

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/test/cluster/nodes"
)

// elsewhere serves a torrent in a namespace of its own, and has its .torrent
// file known in this one.
func (w *world) elsewhere(name string, size int) *torrent {
	w.Helper()
	t := newWorld(w.T).torrent(name, size)
	w.publish(t)
	return t
}

func TestADownloadWaitsForAQuotaThatIsExceeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	album := w.elsewhere("album", 3<<20)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none", Namespace: w.ns},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	}
	w.create(quota, w.claim("data", "64Mi"))
	await(w, quota, "in force", func(q *corev1.ResourceQuota) bool { return len(q.Status.Hard) > 0 })
	td := w.download("album", album, v1alpha1.Volume{ClaimName: "data"})
	w.create(td)
	await(w, td, "waiting for the quota", because(download.ReasonQuotaExceeded))
	if err := w.Delete(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	w.mustComplete(td, "data", "album", album)
}

func TestADownloadThatFitsNoNodeSaysSoAndGoesOnWhenItDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	album := w.torrent("album", 3<<20)
	td := w.download("album", album, v1alpha1.Volume{ClaimName: "data"})
	td.Spec.Worker.NodeSelector = map[string]v1alpha1.LabelValue{"nowhere": "true"}
	w.create(w.claim("data", "64Mi"), td)
	td = await(w, td, "unschedulable", because("Unschedulable"))
	w.change(td, func(spec *v1alpha1.TorrentDownloadSpec) { spec.Worker.NodeSelector = nil })
	w.mustComplete(td, "data", "album", album)
}

func TestADownloadThatDoesNotFitIntoItsVolumeSaysSo(t *testing.T) {
	needOwn(t)
	t.Parallel()
	w := newWorld(t)
	const size = 32 << 20
	folder, err := own.Nodes[0].AddDisk(t.Context(), "too-small", size)
	if err != nil {
		t.Fatal(err)
	}
	// It claims to be larger than it is, as network volumes do.
	volume := nodes.LocalVolume(w.ns+"-small", own.Nodes[0].Name, folder, resource.MustParse("1Gi"))
	claim := w.claim("data", "1Gi")
	claim.Spec.StorageClassName, claim.Spec.VolumeName = ptr.To(""), volume.Name
	t.Cleanup(func() {
		if err := w.Delete(context.Background(), volume); err != nil {
			t.Error(err)
		}
	})
	album := w.torrent("album", 48<<20)
	td := w.download("album", album, v1alpha1.Volume{ClaimName: "data"})
	w.create(volume, claim, td)
	td = await(w, td, "out of space", because(download.ReasonInsufficientSpace))
	if p := td.Status.Progress; p == nil || p.BytesTotal != 48<<20 {
		t.Errorf("the status says %+v of %d bytes", p, 48<<20)
	}
}

func TestADownloadWaitsForANodeThatIsLostAndGoesOnWhenItIsBack(t *testing.T) {
	needOwn(t)
	w := newWorld(t)
	node := own.Nodes[1]
	w.cordon(node, true) // Who serves the torrent is to live on.
	album := w.torrent("album", 16<<20)
	w.cordon(node, false)
	td := w.slowly(album, "256Ki")
	td.Spec.Worker.NodeSelector = map[string]v1alpha1.LabelValue{corev1.LabelHostname: v1alpha1.LabelValue(node.Name)}
	w.create(w.claim("data", "64Mi"), td)
	td = await(w, td, "under way", because(v1alpha1.ReasonDownloading))
	first := td.Status.Worker.PodName
	node.Kill()
	td = await(w, td, "waiting for its node", because(download.ReasonNodeLost))
	for _, pod := range w.podsOf(td) {
		if pod.Name != first {
			t.Errorf("Pod %s was made while %s may run", pod.Name, first)
		}
	}
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(w, byName(node), "back", nodeReady(corev1.ConditionTrue))
	w.change(td, unlimited)
	w.mustComplete(td, "data", "album", album)
}
