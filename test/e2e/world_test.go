package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// world is one namespace of the cluster, and a folder of this machine for
// volumes. What it holds goes with the test.
type world struct {
	*testing.T
	client.Client // As an administrator.
	ns            string
	volumes       string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c, err := client.New(plane.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Client: c, ns: ns.Name, volumes: t.TempDir()}
	t.Cleanup(w.leave)
	return w
}

// at is w for a subtest.
func (w *world) at(t *testing.T) *world {
	v := *w
	v.T = t
	return &v
}

// leave deletes all downloads, so that the operators of later tests have
// nothing to do with them.
func (w *world) leave() {
	ctx := context.Background()
	if err := w.DeleteAllOf(ctx, &v1alpha1.TorrentDownload{}, client.InNamespace(w.ns)); err != nil {
		w.Error(err)
	}
	var left v1alpha1.TorrentDownloadList
	if err := w.List(ctx, &left, client.InNamespace(w.ns)); err != nil {
		w.Error(err)
	}
	for i := range left.Items { // The operator has gone, and a finalizer may have been left.
		td := &left.Items[i]
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		if err := client.IgnoreNotFound(w.Patch(ctx, td, patch)); err != nil {
			w.Error(err)
		}
	}
}

func (w *world) create(o client.Object) {
	w.Helper()
	o.SetNamespace(w.ns)
	if err := w.Create(w.Context(), o); err != nil {
		w.Fatal(err)
	}
}

// folder is where the volume of a claim lies.
func (w *world) folder(claim string) string { return filepath.Join(w.volumes, claim) }

// claim makes a folder, a local volume there, and a claim for it, which
// kube-controller-manager binds.
func (w *world) claim(name string) {
	w.Helper()
	if err := os.MkdirAll(w.folder(name), 0o755); err != nil {
		w.Fatal(err)
	}
	// As much as can be said: what the disk of this machine has is the limit.
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("4Ei")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: w.ns + "-" + name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: w.folder(name)}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
				}},
			}}}},
		},
	}
	if err := w.Create(w.Context(), pv); err != nil {
		w.Fatal(err)
	}
	w.create(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, StorageClassName: ptr.To(""), VolumeName: pv.Name,
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	})
}

// download applies a TorrentDownload of a torrent, which is put into a
// ConfigMap, into a claim of the same name, which is made.
func (w *world) download(name string, torrent []byte, changes ...func(*v1alpha1.TorrentDownload)) {
	w.Helper()
	w.claim(name)
	w.apply(name, torrent, changes...)
}

// apply is download without a claim.
func (w *world) apply(name string, torrent []byte, changes ...func(*v1alpha1.TorrentDownload)) {
	w.Helper()
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, BinaryData: map[string][]byte{"torrent": torrent}})
	td := &v1alpha1.TorrentDownload{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.TorrentDownloadSpec{
			Source: v1alpha1.Source{MetainfoFrom: &v1alpha1.MetainfoSource{
				ConfigMapKeyRef: &v1alpha1.KeyReference{Name: name, Key: "torrent"},
			}},
			Volume: v1alpha1.Volume{ClaimName: name},
		},
	}
	for _, change := range changes {
		change(td)
	}
	w.create(td)
}

// from adds peers to those that are found.
func from(peers ...string) func(*v1alpha1.TorrentDownload) {
	return func(td *v1alpha1.TorrentDownload) { td.Spec.Discovery.Peers = peers }
}

// stallsAfter sets when it is said that no byte comes.
func stallsAfter(seconds int32) func(*v1alpha1.TorrentDownload) {
	return func(td *v1alpha1.TorrentDownload) { td.Spec.Retry.StallTimeoutSeconds = &seconds }
}

// get reads a TorrentDownload, nil if it is gone.
func (w *world) get(name string) *v1alpha1.TorrentDownload {
	w.Helper()
	td := &v1alpha1.TorrentDownload{}
	err := w.Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, td)
	if client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return td
}

// change changes an object.
func (w *world) change(name string, f func(*v1alpha1.TorrentDownload)) {
	w.Helper()
	td := w.get(name)
	before := td.DeepCopy()
	f(td)
	if err := w.Patch(w.Context(), td, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// annotate sets an annotation.
func (w *world) annotate(name, key, value string) {
	w.Helper()
	w.change(name, func(td *v1alpha1.TorrentDownload) { metav1.SetMetaDataAnnotation(&td.ObjectMeta, key, value) })
}

// remove deletes an object and waits until it is gone.
func (w *world) remove(name string) {
	w.Helper()
	if err := w.Delete(w.Context(), w.get(name)); err != nil {
		w.Fatal(err)
	}
	w.await(name+" is gone", func() bool { return w.get(name) == nil })
}

// await waits until ok says so, and tells how the downloads stand if it never
// does.
func (w *world) await(what string, ok func() bool) {
	w.Helper()
	defer func() {
		if w.Failed() {
			table, err := plane.Kubectl(context.Background(), "get", "td", "--namespace="+w.ns, "-o", "wide")
			w.Logf("how they stand:\n%s%v", table, err)
		}
	}()
	awaitOf(w.T, what, ok)
}

// awaitDownload waits until a download is as wanted.
func (w *world) awaitDownload(name, what string, wanted func(*v1alpha1.TorrentDownload) bool) *v1alpha1.TorrentDownload {
	w.Helper()
	var td *v1alpha1.TorrentDownload
	w.await(name+" "+what, func() bool { td = w.get(name); return td != nil && wanted(td) })
	return td
}

// condition is one of a TorrentDownload as "Status Reason", "" if it has none.
func condition(td *v1alpha1.TorrentDownload, kind string) string {
	c := meta.FindStatusCondition(td.Status.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + " " + c.Reason
}

// message is what Ready says.
func message(td *v1alpha1.TorrentDownload) string {
	if c := meta.FindStatusCondition(td.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return c.Message
	}
	return ""
}

// stands waits until the conditions that kstatus reads are as given, checks
// what it makes of them and that all of them are about this generation.
func (w *world) stands(name, ready, reconciling, stalled string, want status.Status) *v1alpha1.TorrentDownload {
	w.Helper()
	td := w.awaitDownload(name, fmt.Sprintf("is Ready %q, Reconciling %q, Stalled %q", ready, reconciling, stalled), func(td *v1alpha1.TorrentDownload) bool {
		return td.Status.ObservedGeneration == td.Generation && condition(td, v1alpha1.ConditionReady) == ready &&
			condition(td, v1alpha1.ConditionReconciling) == reconciling && condition(td, v1alpha1.ConditionStalled) == stalled
	})
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(td)
	if err != nil {
		w.Fatal(err)
	}
	got, err := status.Compute(&unstructured.Unstructured{Object: content})
	if err != nil {
		w.Fatal(err)
	}
	if got.Status != want {
		w.Errorf("%s: kstatus is %s, want %s: %+v", name, got.Status, want, td.Status.Conditions)
	}
	return td
}

// completes waits until a download is Ready.
func (w *world) completes(name string) *v1alpha1.TorrentDownload {
	w.Helper()
	td := w.stands(name, "True Complete", "", "", status.CurrentStatus)
	if p := td.Status.Progress; p == nil || p.Percent != 100 || p.BytesVerified != p.BytesTotal || td.Status.CompletionTime == nil {
		w.Errorf("%s is complete with %+v", name, td.Status)
	}
	return td
}

// says checks that Ready's message mentions all of words.
func (w *world) says(td *v1alpha1.TorrentDownload, words ...string) {
	w.Helper()
	for _, word := range words {
		if !strings.Contains(message(td), word) {
			w.Errorf("%s: the message does not mention %q: %s", td.Name, word, message(td))
		}
	}
}

// events are the reasons of the events about an object, each with how often it
// was told.
func (w *world) events(name string) map[string]int {
	w.Helper()
	var list eventsv1.EventList
	if err := w.List(w.Context(), &list, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	out := map[string]int{}
	for i := range list.Items {
		if e := &list.Items[i]; e.Regarding.Name == name {
			out[e.Reason]++
			if e.Series != nil {
				out[e.Reason] += int(e.Series.Count) - 1
			}
		}
	}
	return out
}

// toldOnce waits until events of these reasons were told about an object, and
// checks that each was told once.
func (w *world) toldOnce(name string, reasons ...string) {
	w.Helper()
	for _, reason := range reasons {
		w.await("event "+reason+" is told", func() bool { return w.events(name)[reason] > 0 })
		if n := w.events(name)[reason]; n != 1 {
			w.Errorf("%s: event %s was told %d times", name, reason, n)
		}
	}
}
