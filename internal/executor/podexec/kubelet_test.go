package podexec_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/torrent-operator/torrent-operator/internal/report"
)

// node is the one node of the cluster.
const node = "node-1"

// kubelet stands in for the controllers of Jobs and StatefulSets, the garbage
// collector, the scheduler and a node: it makes Pods, runs the worker's
// function for them, and tells of them what a kubelet does. Nobody collects
// what belonged to a TorrentDownload.
type kubelet struct {
	*world
	cancel context.CancelFunc
	ended  chan struct{}
	owed   map[types.UID]bool // Jobs that were seen in time to get a Pod, whatever became of them since.

	mu     sync.Mutex
	runs   map[types.UID]*podRun
	mute   bool           // Pushes get lost.
	late   bool           // The controllers, which hear of nothing, make and collect nothing.
	deaf   bool           // The node does not hear that Pods are to end.
	writer map[string]int // Pods that run now, by the download that they belong to, and by their place in the claim.
}

// podRun is a Pod that runs.
type podRun struct {
	stop   context.CancelFunc // As SIGTERM does.
	kill   context.CancelFunc // As SIGKILL does.
	done   chan struct{}
	exit   int
	result []byte
	killed string // The reason, such as OOMKilled.
}

func startKubelet(w *world) *kubelet {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	k := &kubelet{world: w, cancel: cancel, ended: make(chan struct{}), owed: map[types.UID]bool{}, runs: map[types.UID]*podRun{}, writer: map[string]int{}}
	go func() {
		defer close(k.ended)
		for tick := time.NewTicker(15 * time.Millisecond); ctx.Err() == nil; {
			if err := k.sync(ctx); err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				w.Errorf("the stand-in for a node: %v", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return k
}

// empty ends everything and removes what is left in the namespace.
func (k *kubelet) empty() {
	k.cancel()
	<-k.ended
	k.mu.Lock()
	runs := k.runs
	k.mu.Unlock()
	for _, r := range runs {
		r.stop()
		<-r.done
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, o := range []client.Object{&batchv1.Job{}, &appsv1.StatefulSet{}, &corev1.Pod{}, &corev1.Secret{}, &corev1.Service{}, &corev1.Event{}, &corev1.ResourceQuota{}} {
		err := k.DeleteAllOf(ctx, o, client.InNamespace(namespace), client.GracePeriodSeconds(0), client.PropagationPolicy(metav1.DeletePropagationBackground))
		if err != nil {
			k.Error(err)
		}
	}
}

// sync does once what there is to do.
func (k *kubelet) sync(ctx context.Context) error {
	var jobs batchv1.JobList
	var sets appsv1.StatefulSetList
	var pods corev1.PodList
	// The Pods first: whose owner is not there then has none any more.
	for _, list := range []client.ObjectList{&pods, &jobs, &sets} {
		if err := k.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return err
		}
	}
	owners := map[types.UID]bool{}
	k.mu.Lock()
	late := k.late
	k.mu.Unlock()
	for i := range jobs.Items {
		j := &jobs.Items[i]
		if owners[j.UID] = true; late {
			k.owed[j.UID] = true
			continue
		}
		if err := k.lookAfter(ctx, "Job", j, &pods, j.Name+"-abcde", j.Spec.Template); err != nil {
			return err
		}
	}
	for i := range sets.Items {
		s := &sets.Items[i]
		if owners[s.UID] = true; late || *s.Spec.Replicas == 0 {
			continue
		}
		if err := k.lookAfter(ctx, "StatefulSet", s, &pods, s.Name+"-0", s.Spec.Template); err != nil {
			return err
		}
	}
	for i := range pods.Items {
		if err := k.syncPod(ctx, &pods.Items[i], owners); err != nil {
			return err
		}
	}
	return nil
}

// lookAfter makes the Pod of an object, or ends it first and the object then,
// as foreground deletion does.
func (k *kubelet) lookAfter(ctx context.Context, kind string, owner client.Object, pods *corev1.PodList, name string, t corev1.PodTemplateSpec) error {
	there, owed := owned(pods, owner.GetUID()), k.owed[owner.GetUID()]
	delete(k.owed, owner.GetUID())
	switch {
	case (owner.GetDeletionTimestamp() == nil || owed) && !there:
		return k.makePod(ctx, kind, owner, name, t)
	case owner.GetDeletionTimestamp() == nil:
		return nil
	case there:
		for i := range pods.Items {
			if p := &pods.Items[i]; metav1.IsControlledBy(p, owner) && p.DeletionTimestamp == nil {
				return k.Delete(ctx, p)
			}
		}
		return nil
	}
	if controllerutil.RemoveFinalizer(owner, metav1.FinalizerDeleteDependents) {
		return k.Update(ctx, owner)
	}
	return nil
}

func owned(pods *corev1.PodList, owner types.UID) bool {
	for i := range pods.Items {
		if ref := metav1.GetControllerOf(&pods.Items[i]); ref != nil && ref.UID == owner {
			return true
		}
	}
	return false
}

// makePod makes the Pod of an object, or tells why it can't be made.
func (k *kubelet) makePod(ctx context.Context, kind string, owner client.Object, name string, t corev1.PodTemplateSpec) error {
	p := &corev1.Pod{ObjectMeta: t.ObjectMeta, Spec: t.Spec}
	p.Namespace, p.Name, p.Spec.NodeName = namespace, name, node
	group := map[string]string{"Job": "batch/v1", "StatefulSet": "apps/v1"}[kind]
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: group, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: ptr.To(true)}}
	err := k.Create(ctx, p)
	if apierrors.IsForbidden(err) {
		e := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, GenerateName: "event-"},
			InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: namespace, Name: owner.GetName(), UID: owner.GetUID()},
			Type:           corev1.EventTypeWarning, Reason: "FailedCreate", Message: "Error creating: " + err.Error(), LastTimestamp: metav1.Now(),
		}
		return k.Create(ctx, e)
	}
	if apierrors.IsAlreadyExists(err) {
		return nil // The one before has to go first.
	}
	return err
}

// syncPod takes one Pod one step on.
func (k *kubelet) syncPod(ctx context.Context, p *corev1.Pod, owners map[types.UID]bool) error {
	k.mu.Lock()
	r, deaf := k.runs[p.UID], k.deaf
	k.mu.Unlock()
	ref := metav1.GetControllerOf(p)
	over := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	switch {
	case ref != nil && !owners[ref.UID] && p.DeletionTimestamp == nil:
		return k.Delete(ctx, p)
	case r == nil && ref != nil && p.DeletionTimestamp == nil && !over:
		return k.start(ctx, p)
	case r != nil && p.DeletionTimestamp != nil && !deaf:
		r.stop()
	}
	if r != nil && !over {
		select {
		case <-r.done:
			if err := k.finish(ctx, p, r); err != nil {
				return err
			}
			over = true
		default:
		}
	}
	if p.DeletionTimestamp != nil && (r == nil || over) {
		return client.IgnoreNotFound(k.Delete(ctx, p, client.GracePeriodSeconds(0)))
	}
	return nil
}

// start runs a Pod's worker, with the order in its Secret.
func (k *kubelet) start(ctx context.Context, p *corev1.Pod) error {
	var s corev1.Secret
	for _, v := range p.Spec.Volumes {
		if v.Secret != nil {
			if err := k.Get(ctx, client.ObjectKey{Namespace: namespace, Name: v.Secret.SecretName}, &s); err != nil {
				return err // It waits for it, as a kubelet does.
			}
		}
	}
	o, err := report.DecodeOrder(s.Data[report.OrderKey])
	if err != nil {
		return err
	}
	p.Status.Phase, p.Status.PodIP, p.Status.PodIPs = corev1.PodRunning, "127.0.0.1", []corev1.PodIP{{IP: "127.0.0.1"}}
	p.Status.StartTime = ptr.To(metav1.Now())
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "worker", Image: p.Spec.Containers[0].Image, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	}}
	if err := k.Status().Update(ctx, p); err != nil {
		return err
	}
	alive, kill := context.WithCancel(context.WithoutCancel(ctx))
	wanted, stop := context.WithCancel(alive)
	r := &podRun{stop: stop, kill: kill, done: make(chan struct{})}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.runs[p.UID] = r
	places := []string{"download " + o.ID.UID}
	if !o.Request.ResolveOnly {
		places = append(places, "path "+o.Request.Volume.Path)
	}
	for _, place := range places {
		if k.writer[place]++; k.writer[place] > 1 {
			k.Errorf("%d Pods of %s run at once", k.writer[place], place)
		}
	}
	go func() {
		defer close(r.done)
		defer kill()
		from := report.Caller{Namespace: p.Namespace, Pod: p.Name, UID: string(p.UID)}
		exit, result := work(wanted, k, from, o)
		k.mu.Lock()
		defer k.mu.Unlock()
		r.exit, r.result = exit, result
		if r.killed != "" {
			r.exit = 137
		}
		for _, place := range places {
			k.writer[place]--
		}
	}()
	return nil
}

// finish tells how a Pod has ended.
func (k *kubelet) finish(ctx context.Context, p *corev1.Pod, r *podRun) error {
	p.Status.Phase = corev1.PodSucceeded
	reason := "Completed"
	if r.exit != 0 {
		p.Status.Phase, reason = corev1.PodFailed, "Error"
	}
	if r.killed != "" {
		reason = r.killed
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "worker", Image: p.Spec.Containers[0].Image, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: int32(r.exit), Reason: reason, Message: string(r.result), FinishedAt: metav1.Now(), //nolint:gosec // An exit code.
		}},
	}}
	return k.Status().Update(ctx, p)
}

// pods are those of a download that run.
func (k *kubelet) pods(uid string) []corev1.Pod {
	k.Helper()
	var list corev1.PodList
	if err := k.List(k.Context(), &list, client.InNamespace(namespace), client.MatchingLabels{"torrent-operator.io/uid": uid}); err != nil {
		k.Fatal(err)
	}
	return list.Items
}

// killPod ends the worker of a Pod as kill -9 does, for a reason.
func (k *kubelet) killPod(uid types.UID, reason string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.runs[uid]
	if r == nil {
		return fmt.Errorf("Pod %s does not run", uid)
	}
	r.killed = reason
	r.kill()
	return nil
}
