package podexec_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

func (w *world) jobs() []batchv1.Job {
	w.Helper()
	var list batchv1.JobList
	if err := w.List(w.Context(), &list, client.InNamespace(namespace)); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

// set changes what the stand-in for the cluster does.
func (k *kubelet) set(change func(*kubelet)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(k)
}

// Whoever makes Pods of Jobs may be late: a Job that is deleted may get its Pod
// after that, and has to be gone before the next one is made.
func TestAJobIsGoneBeforeTheNextOneIsMade(t *testing.T) {
	w := newWorld(t)
	w.nodes.set(func(k *kubelet) { k.late = true })
	w.ensure(w.lonely())
	w.awaitThat("the first Job is made", func() bool { return len(w.jobs()) == 1 })
	r := w.request("a")
	r.Preallocate = true
	w.ensure(r)
	w.await("waiting for the first Job", func(p download.Progress) bool {
		return p.Err != nil && p.Err.Reason == download.ReasonWorkerEnding && strings.Contains(p.Err.Message, "Job imagenet-0a1b2c3d-1 ")
	})
	w.awaitThat("the first Job is told to go", func() bool { return w.jobs()[0].DeletionTimestamp != nil })
	w.restart() // Who comes next does not know what was wanted first.
	w.ensure(r)
	w.await("waiting for the first Job again", func(p download.Progress) bool { return p.Err != nil })
	if all := w.jobs(); len(all) != 1 || all[0].Name != "imagenet-0a1b2c3d-1" {
		t.Fatalf("there are %d Jobs while the first may still get its Pod", len(all))
	}
	w.nodes.set(func(k *kubelet) { k.late = false })
	w.awaitThat("it is complete", func() bool {
		p, err := w.operator().Observe(t.Context(), one)
		if err == nil && p.State == download.StateFailed {
			w.ensure(r) // The Job went before it was done.
		}
		return err == nil && p.State == download.StateComplete
	})
	w.intact(r)
}

// object makes a TorrentDownload, and returns what its download is called.
func (w *world) object(name string) (*v1alpha1.TorrentDownload, download.ID) {
	w.Helper()
	td := &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	td.Spec.Source.Magnet = "magnet:?xt=urn:btih:" + w.torrent("a").meta.InfoHash.String()
	td.Spec.Volume.ClaimName = claim
	if err := w.Create(w.Context(), td); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := client.IgnoreNotFound(w.Delete(context.Background(), td)); err != nil {
			w.Error(err)
		}
	})
	return td, download.ID{Namespace: namespace, Name: name, UID: string(td.UID)}
}

// The Pod of a TorrentDownload that was deleted runs on for a while, or for
// long if its node is lost. The next one does not write where it does.
func TestThePodOfADeletedObjectIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	first, old := w.object("first")
	_, next := w.object("next")
	if err := w.operator().Ensure(t.Context(), old, w.lonely()); err != nil {
		t.Fatal(err)
	}
	w.awaitThat("the first one downloads", func() bool {
		p, err := w.operator().Observe(t.Context(), old)
		return err == nil && p.State == download.StateDownloading
	})
	if err := w.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.restart() // Nobody remembers it.
	if err := w.operator().Ensure(t.Context(), next, w.request("a")); err != nil {
		t.Fatal(err)
	}
	shows := func(what string, ok func(download.Progress) bool) {
		t.Helper()
		w.awaitThat(what, func() bool {
			p, err := w.operator().Observe(t.Context(), next)
			return err == nil && ok(p)
		})
	}
	shows("it is told what is waited for", func(p download.Progress) bool {
		return p.State == download.StateWaiting && p.Err != nil && p.Err.Reason == download.ReasonWorkerEnding &&
			strings.Contains(p.Err.Message, "Pod first-") && strings.Contains(p.Err.Message, "was deleted")
	})
	pods := w.nodes.pods(old.UID)
	if len(pods) != 1 {
		t.Fatalf("%d Pods of the deleted one run", len(pods))
	}
	if err := w.nodes.killPod(pods[0].UID, "Error"); err != nil {
		t.Fatal(err)
	}
	shows("it is complete", func(p download.Progress) bool { return p.State == download.StateComplete })
	w.intact(w.request("a"))
}

// What has the name of something that is needed, and is somebody else's, is
// left alone and named.
func TestWhatIsSomebodyElsesIsLeftAloneAndNamed(t *testing.T) {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "mine"}}}
	pod.Spec.Containers = []corev1.Container{{Name: "mine", Image: "mine"}}
	for what, o := range map[string]client.Object{
		"Secret": &corev1.Secret{ObjectMeta: meta("imagenet-0a1b2c3d"), StringData: map[string]string{"password": "mine"}},
		"Service": &corev1.Service{ObjectMeta: meta("peers-imagenet-0a1b2c3d"), Spec: corev1.ServiceSpec{
			Ports: []corev1.ServicePort{{Port: 80}},
		}},
		"StatefulSet": &appsv1.StatefulSet{ObjectMeta: meta("imagenet-0a1b2c3d"), Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: pod.Labels}, Template: pod, Replicas: new(int32),
		}},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			r := w.request("a")
			r.Seeding.Policy, r.Inbound.Service = download.SeedForever, "NodePort"
			if err := w.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			uid := o.GetUID()
			w.ensure(r)
			p := w.await("told", func(p download.Progress) bool { return p.Err != nil && p.Err.Reason == download.ReasonNameConflict })
			if !strings.Contains(p.Err.Message, what+" "+o.GetName()) {
				t.Errorf("%v", p.Err)
			}
			if complete := what == "StatefulSet"; (p.State == download.StateFailed) == complete || (p.State == download.StateSeeding) != complete {
				t.Errorf("it is %s", p.State)
			}
			w.stopped(r, download.Keep)
			if err := w.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil || o.GetUID() != uid || o.GetDeletionTimestamp() != nil {
				t.Errorf("it was touched: %v", err)
			}
			if err := w.Delete(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			w.ensure(r)
			w.awaitState(download.StateSeeding)
		})
	}
}

// The Secret, which may hold credentials, goes when a download is suspended,
// even if nothing else is left of it and nobody remembers it.
func TestTheSecretDoesNotOutliveASuspension(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	w.ensure(r)
	w.awaitState(download.StateComplete)
	w.stop()
	for _, j := range w.jobs() {
		if err := w.Delete(t.Context(), &j, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitThat("its Pod is gone", func() bool { return len(w.nodes.pods(one.UID)) == 0 })
	w.startOperator()
	w.stopped(r, download.Keep)
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "imagenet-0a1b2c3d"}, &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("its Secret is left: %v", err)
	}
}

// Pods may take long to end, and many of them at once.
func TestAsLongAsAPodEndsTheAPIServerIsNotAsked(t *testing.T) {
	w := newWorld(t)
	r := w.lonely()
	w.ensure(r)
	w.awaitState(download.StateDownloading)
	w.nodes.set(func(k *kubelet) { k.deaf = true })
	stop := func() {
		t.Helper()
		if err := w.operator().Stop(t.Context(), one, r, download.Keep); !errors.Is(err, download.ErrEnding) {
			t.Fatalf("stopping it: %v", err)
		}
	}
	stop()
	before := w.asked.Load()
	for range 20 {
		stop()
	}
	if n := w.asked.Load() - before; n != 0 {
		t.Errorf("the API server was asked %d times", n)
	}
	w.nodes.set(func(k *kubelet) { k.deaf = false })
	w.stopped(r, download.Keep)
	if pods := w.nodes.pods(one.UID); len(pods) > 0 {
		t.Errorf("%d Pods are left", len(pods))
	}
}

// When the operator starts, what was suspended before costs no request, and
// what runs of it in spite of that is ended.
func TestWhatWasStoppedBeforeIsNotAskedFor(t *testing.T) {
	w := newWorld(t)
	r := w.lonely()
	w.ensure(r)
	w.awaitState(download.StateDownloading)
	w.restart()
	w.stopped(r, download.Kept)
	if pods := w.nodes.pods(one.UID); len(pods) > 0 {
		t.Errorf("%d Pods are left", len(pods))
	}
	w.restart()
	w.awaitThat("the cache shows that nothing is left", func() bool {
		before := w.asked.Load()
		err := w.operator().Stop(t.Context(), one, r, download.Kept)
		return err == nil && w.asked.Load() == before
	})
	before := w.asked.Load()
	if err := w.operator().Stop(t.Context(), one, r, download.Keep); err != nil || w.asked.Load() == before {
		t.Errorf("without knowing of an earlier stop it asked %d times for what no cache holds: %v", w.asked.Load()-before, err)
	}
}
