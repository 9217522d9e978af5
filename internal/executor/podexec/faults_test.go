package podexec_test

import (
	"errors"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

var one = download.ID{Namespace: namespace, Name: "imagenet", UID: "0a1b2c3d-4e5f-6789-abcd-ef0123456789"}

func (w *world) ensure(r download.Request) {
	w.Helper()
	if err := w.operator().Ensure(w.Context(), one, r); err != nil {
		w.Fatal(err)
	}
}

// await observes the download until it is as wanted. Nothing else is ensured
// meanwhile.
func (w *world) await(what string, wanted func(download.Progress) bool) download.Progress {
	w.Helper()
	var p download.Progress
	defer func() {
		if w.Failed() {
			w.Logf("it is %+v: %v", p, p.Err)
		}
	}()
	w.awaitThat("the download is "+what, func() bool {
		var err error
		if p, err = w.operator().Observe(w.Context(), one); err != nil && !errors.Is(err, download.ErrUnknown) {
			w.Fatal(err)
		}
		return err == nil && wanted(p)
	})
	return p
}

func (w *world) awaitState(s download.State) download.Progress {
	w.Helper()
	return w.await(string(s), func(p download.Progress) bool { return p.State == s && (s != download.StateSeeding || p.Err == nil) })
}

func (w *world) stopped(r download.Request, d download.Disposal) {
	w.Helper()
	w.awaitThat("the download is stopped", func() bool {
		err := w.operator().Stop(w.Context(), one, r, d)
		if err != nil && !errors.Is(err, download.ErrEnding) {
			w.Fatal(err)
		}
		return err == nil
	})
}

// pod is the one Pod of the download that runs.
func (w *world) pod() corev1.Pod {
	w.Helper()
	var out []corev1.Pod
	for _, p := range w.nodes.pods(one.UID) {
		if p.Status.Phase == corev1.PodRunning {
			out = append(out, p)
		}
	}
	if len(out) != 1 {
		w.Fatalf("%d Pods run", len(out))
	}
	return out[0]
}

// restart ends the operator, and begins another one that has not heard a thing.
func (w *world) restart() {
	w.Helper()
	w.stop()
	w.startOperator()
}

// lonely asks for a torrent of which nobody is known, so it goes on for ever.
func (w *world) lonely() download.Request {
	r := w.request("a")
	r.Peers = nil
	return r
}

func (w *world) intact(r download.Request) {
	w.Helper()
	if _, intact := w.data(r); !intact {
		w.Error("the data is not intact")
	}
}

func TestCompletionNeedsNoPush(t *testing.T) {
	w := newWorld(t)
	w.nodes.mu.Lock()
	w.nodes.mute = true
	w.nodes.mu.Unlock()
	w.ensure(w.request("a"))
	p := w.awaitState(download.StateComplete)
	if p.BytesVerified != p.BytesTotal || p.BytesTotal == 0 || len(p.Pieces.Have) != (p.Pieces.Total+7)/8 || p.CompletedAt.IsZero() {
		t.Errorf("%+v", p)
	}
	w.intact(w.request("a"))
}

func TestWhatMayChangeReachesAWorkerThatRuns(t *testing.T) {
	w := newWorld(t)
	w.ensure(w.lonely())
	p := w.awaitState(download.StateDownloading)
	pod := w.pod()
	if p.Worker.Pod != pod.Name || p.Worker.Owner != "imagenet-0a1b2c3d-1" || p.NodeName != node || p.Address != "127.0.0.1:6881" {
		t.Errorf("%+v at %s", p.Worker, p.Address)
	}
	w.ensure(w.request("a"))
	w.awaitState(download.StateComplete)
	if all := w.nodes.pods(one.UID); len(all) != 1 || all[0].UID != pod.UID {
		t.Errorf("it took %d Pods", len(all))
	}
}

func TestWhatCanNotChangeTakesAnotherPodAfterTheFirst(t *testing.T) {
	w := newWorld(t)
	w.ensure(w.lonely())
	w.awaitState(download.StateDownloading)
	r := w.request("a")
	r.Preallocate = true
	w.ensure(r)
	p := w.awaitState(download.StateComplete)
	if p.Worker.Owner != "imagenet-0a1b2c3d-2" || p.Worker.Restarts != 0 {
		t.Errorf("%+v", p.Worker)
	}
	w.intact(r)
}

func TestAWorkerThatIsKilledIsFollowedByAnother(t *testing.T) {
	w := newWorld(t)
	w.ensure(w.lonely())
	w.awaitState(download.StateDownloading)
	if err := w.nodes.killPod(w.pod().UID, "OOMKilled"); err != nil {
		t.Fatal(err)
	}
	p := w.awaitState(download.StateFailed)
	f := p.Worker.LastFailure
	if p.Err.Reason != "OOMKilled" || p.Err.Permanent || p.Worker.Restarts != 1 || f == nil || f.ExitCode != 137 {
		t.Errorf("%v, %+v, %+v", p.Err, p.Worker, f)
	}
	w.ensure(w.request("a"))
	if p = w.awaitState(download.StateComplete); p.Worker.Owner != "imagenet-0a1b2c3d-2" || p.Worker.Restarts != 1 {
		t.Errorf("%+v", p.Worker)
	}
	w.intact(w.request("a"))
}

func TestAJobThatIsDeletedByHandIsFollowedByAnother(t *testing.T) {
	w := newWorld(t)
	w.ensure(w.lonely())
	w.awaitState(download.StateDownloading)
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "imagenet-0a1b2c3d-1"}}
	if err := w.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	if p := w.awaitState(download.StateFailed); p.Err.Reason != download.ReasonWorkerFailed {
		t.Errorf("%v", p.Err)
	}
	w.ensure(w.request("a"))
	w.awaitState(download.StateComplete)
}

// The Pods of a download run on while the operator is away, and the next one
// finds them as they are.
func TestTheOperatorForgetsEverything(t *testing.T) {
	w := newWorld(t)
	unknown := func() {
		t.Helper()
		if p, err := w.operator().Observe(t.Context(), one); !errors.Is(err, download.ErrUnknown) {
			t.Errorf("observed %+v, %v", p, err)
		}
	}
	w.ensure(w.lonely())
	w.awaitState(download.StateDownloading)
	first := w.pod()

	w.restart()
	unknown()
	r := w.lonely()
	r.InfoHash = w.torrent("a").meta.InfoHash.String() // The reconciler pins it.
	w.ensure(r)
	w.awaitState(download.StateDownloading)
	if again := w.pod(); again.UID != first.UID {
		t.Error("the Pod that downloads was replaced")
	}

	w.stop()
	w.nodes.mu.Lock()
	w.nodes.mute = true
	w.nodes.mu.Unlock()
	if err := w.nodes.killPod(first.UID, "OOMKilled"); err != nil {
		t.Fatal(err)
	}
	w.startOperator()
	if p := w.awaitState(download.StateFailed); p.Err.Reason != "OOMKilled" {
		t.Errorf("%+v", p.Err)
	}
	r.Peers, r.Seeding = w.request("a").Peers, download.Seeding{Policy: download.SeedForever}
	w.nodes.mu.Lock()
	w.nodes.mute = false
	w.nodes.mu.Unlock()
	w.ensure(r) // It differs, so nothing has to be waited for.
	w.awaitState(download.StateSeeding)
	seeder := w.pod()

	w.restart()
	unknown()
	w.ensure(r)
	if p := w.awaitState(download.StateSeeding); w.pod().UID != seeder.UID || p.BytesVerified != p.BytesTotal {
		t.Errorf("the seeder was replaced, or says %+v", p)
	}

	w.restart()
	w.stopped(r, download.Erase)
	if there, _ := w.data(r); there {
		t.Error("its data is still there")
	}
	unknown()
}

func TestErasingHasNothingToDoWithoutTheClaim(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	r.Volume.ClaimName = "gone"
	w.stopped(r, download.Erase)
	r = w.request("a")
	r.Volume.ClaimUID = "another"
	w.stopped(r, download.Erase)
}

func TestStoppingLeavesNothingBehind(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	r.Seeding.Policy, r.Inbound.Service = download.SeedForever, "NodePort"
	w.ensure(r)
	w.awaitState(download.StateSeeding)
	var s corev1.Service
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "peers-imagenet-0a1b2c3d"}, &s); err != nil {
		t.Fatal(err)
	}
	if s.Spec.Type != corev1.ServiceTypeNodePort || s.Spec.Selector["torrent-operator.io/uid"] != one.UID {
		t.Errorf("%+v", s.Spec)
	}
	w.stopped(r, download.Keep)
	for _, list := range []client.ObjectList{&corev1.SecretList{}, &corev1.ServiceList{}, &batchv1.JobList{}} {
		if err := w.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		if b, err := list.(interface{ Marshal() ([]byte, error) }).Marshal(); err != nil || strings.Contains(string(b), one.UID) {
			t.Errorf("%T: %v, something is left", list, err)
		}
	}
	w.intact(r)
}

func TestAQuotaThatHasNoRoomIsTold(t *testing.T) {
	w := newWorld(t)
	none := corev1.ResourceList{"count/jobs.batch": resource.MustParse("0")}
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "small"}, Spec: corev1.ResourceQuotaSpec{Hard: none}}
	if err := w.Create(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	q.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none}
	if err := w.Status().Update(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	// The API server enforces it when it has seen it.
	w.awaitThat("the quota holds", func() bool {
		probe := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "probe-"}}
		probe.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "a", Image: "a"}}}
		return apierrors.IsForbidden(w.Create(t.Context(), probe, client.DryRunAll))
	})
	w.ensure(w.request("a"))
	p := w.awaitState(download.StateFailed)
	if p.Err.Reason != download.ReasonQuotaExceeded || p.Err.Permanent || !strings.Contains(p.Err.Message, "small") {
		t.Errorf("%v", p.Err)
	}
	if err := w.Delete(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	w.awaitThat("it is tried again with success", func() bool {
		p, err := w.operator().Observe(t.Context(), one)
		if err == nil && p.State == download.StateFailed {
			w.ensure(w.request("a"))
		}
		return err == nil && p.State == download.StateComplete
	})
}

func TestOnlyTheDownloadsWorkerIsHeard(t *testing.T) {
	w := newWorld(t)
	w.ensure(w.lonely())
	w.awaitState(download.StateDownloading)
	pod := w.pod()
	stranger := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "stranger", Labels: pod.Labels, Annotations: pod.Annotations,
	}, Spec: pod.Spec}
	if err := w.Create(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Delete(w.Context(), stranger, client.GracePeriodSeconds(0)); err != nil && !apierrors.IsNotFound(err) && w.Context().Err() == nil {
			t.Error(err)
		}
	})
	other := one
	other.UID = "another"
	lie := report.Push{ID: one, Progress: download.Progress{State: download.StateComplete}}
	of := func(id download.ID) report.Push { p := lie; p.ID = id; return p }
	for name, c := range map[string]struct {
		from report.Caller
		push report.Push
		want error
	}{
		"another UID":         {report.Caller{Namespace: namespace, Pod: pod.Name, UID: "older"}, lie, report.ErrForbidden},
		"a Pod that is gone":  {report.Caller{Namespace: namespace, Pod: "gone", UID: "gone"}, lie, report.ErrForbidden},
		"another namespace":   {report.Caller{Namespace: "default", Pod: pod.Name, UID: string(pod.UID)}, lie, report.ErrForbidden},
		"a Pod of nobody":     {report.Caller{Namespace: namespace, Pod: "stranger", UID: string(stranger.UID)}, lie, report.ErrForbidden},
		"an unknown download": {report.Caller{Namespace: namespace, Pod: pod.Name, UID: string(pod.UID)}, of(other), report.ErrUnknown},
	} {
		if _, err := w.operator().Take(t.Context(), c.from, c.push); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p := w.awaitState(download.StateDownloading); p.State == download.StateComplete {
		t.Error("a stranger was believed")
	}
	w.stop()
	if _, err := w.operator().Take(t.Context(), report.Caller{Namespace: namespace, Pod: pod.Name, UID: string(pod.UID)}, lie); !errors.Is(err, report.ErrNotLeading) {
		t.Errorf("a replica that does not lead: %v", err)
	}
}
