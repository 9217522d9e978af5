//go:build e2e

package pods

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/test/cluster/nodes"
)

// nodeReady reports what a node's condition Ready is.
func nodeReady(is corev1.ConditionStatus) func(*corev1.Node) bool {
	return func(node *corev1.Node) bool {
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c.Status == is
			}
		}
		return false
	}
}

// byName is the Node object of a node.
func byName(node *nodes.Node) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name}}
}

// cordon lets no new Pod onto a node, or lets them again.
func (w *world) cordon(node *nodes.Node, unschedulable bool) {
	w.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable)
	if err := w.Patch(context.Background(), byName(node), client.RawPatch(types.MergePatchType, patch)); err != nil {
		w.Fatal(err)
	}
}

// onto puts a Pod onto a node, and lets it live there as long as the kubelet
// does not say that it is over.
func onto(pod *corev1.Pod, node *nodes.Node) *corev1.Pod {
	pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node.Name}
	return pod
}

func TestANodeThatIsKilledIsFoundLostAndComesBackWithItsVolumes(t *testing.T) {
	needOwn(t)
	w := newWorld(t)
	node := own.Nodes[1]
	claim := w.claim("data", "64Mi")
	writer := onto(w.pod("writer", "content", "/data", "kept", "100000"), node)
	mountClaim(&writer.Spec, "/data", claim.Name)
	w.create(claim, writer)
	w.said(writer)
	holder := onto(w.pod("holder", "hold"), node)
	w.create(holder)
	w.awaitRunning(holder)

	node.Kill()
	await(w, byName(node), "lost", nodeReady(corev1.ConditionUnknown))
	await(w, holder, "given up", func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(w, byName(node), "back", nodeReady(corev1.ConditionTrue))
	w.awaitGone(holder)
	reader := w.pod("reader", "sum", "/data")
	mountClaim(&reader.Spec, "/data", claim.Name)
	w.create(reader)
	local := t.TempDir()
	w.here("content", local, "kept", "100000")
	if got, want := w.said(reader), w.here("sum", local); got != want {
		t.Errorf("after the node came back the claim holds\n%swant\n%s", got, want)
	}
}

func TestPodsGoOnWithoutTheKubelet(t *testing.T) {
	needOwn(t)
	w := newWorld(t)
	node := own.Nodes[1]
	server := onto(w.pod("server", "serve", ":8080", "still here"), node)
	w.create(server)
	ip := w.awaitRunning(server).Status.PodIP
	if err := node.KillKubelet(); err != nil {
		t.Fatal(err)
	}
	await(w, byName(node), "lost", nodeReady(corev1.ConditionUnknown))
	asker := onto(w.pod("asker", "get", "http://"+ip+":8080/"), own.Nodes[0])
	w.create(asker)
	if got := w.said(asker); got != "still here" {
		t.Errorf("the server says %q", got)
	}
	if err := node.LetKubelet(); err != nil {
		t.Fatal(err)
	}
	await(w, byName(node), "back", nodeReady(corev1.ConditionTrue))
}

func TestADiskHasTheSizeThatItWasGiven(t *testing.T) {
	needOwn(t)
	w := newWorld(t)
	const size = 32 << 20
	folder, err := own.Nodes[0].AddDisk(t.Context(), "small", size)
	if err != nil {
		t.Fatal(err)
	}
	volume := nodes.LocalVolume(w.ns, own.Nodes[0].Name, folder, *resource.NewQuantity(size, resource.BinarySI))
	claim := w.claim("small", strconv.Itoa(size))
	claim.Spec.StorageClassName, claim.Spec.VolumeName = ptr.To(""), volume.Name
	filler := w.pod("filler", "fill", "/data/x", strconv.Itoa(2*size))
	mountClaim(&filler.Spec, "/data", claim.Name)
	w.create(volume, claim, filler)
	t.Cleanup(func() {
		if err := w.Delete(context.Background(), volume); err != nil {
			t.Error(err)
		}
	})
	got, err := strconv.Atoi(strings.TrimSpace(w.said(filler)))
	if err != nil || got < size/2 || got > size {
		t.Errorf("a disk of %d bytes took %d, %v", size, got, err)
	}
}
