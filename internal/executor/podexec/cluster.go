package podexec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// list reads what is made for a download.
func (x *Executor) list(ctx context.Context, from client.Reader, id download.ID) (*objects, error) {
	o := &objects{silentNodes: map[string]bool{}, hints: map[types.UID]string{}}
	mine := []client.ListOption{client.InNamespace(id.Namespace), client.MatchingLabels{labelUID: id.UID}}
	if from == client.Reader(x.cfg.Client) {
		mine = []client.ListOption{client.InNamespace(id.Namespace), client.MatchingFields{byUID: id.UID}}
	}
	var jobs batchv1.JobList
	var pods corev1.PodList
	if err := from.List(ctx, &jobs, mine...); err != nil {
		return nil, fmt.Errorf("listing the Jobs of a download: %w", err)
	}
	if err := from.List(ctx, &pods, mine...); err != nil {
		return nil, fmt.Errorf("listing the Pods of a download: %w", err)
	}
	for i := range jobs.Items {
		o.jobs = append(o.jobs, &jobs.Items[i])
	}
	for i := range pods.Items {
		o.pods = append(o.pods, &pods.Items[i])
	}
	o.sort()
	var set appsv1.StatefulSet
	switch err := from.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: baseName(id)}, &set); {
	case err == nil && set.Labels[labelUID] == id.UID:
		o.seeder = &set
	case client.IgnoreNotFound(err) != nil:
		return nil, fmt.Errorf("reading the StatefulSet of a download: %w", err)
	}
	var svc corev1.Service
	switch err := from.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: serviceName(id)}, &svc); {
	case err == nil && svc.Labels[labelUID] == id.UID:
		o.service = &svc
	case client.IgnoreNotFound(err) != nil:
		return nil, fmt.Errorf("reading the Service of a download: %w", err)
	}
	return o, nil
}

// sort puts the Jobs in the order of their attempts, and leaves out what erases.
func (o *objects) sort() {
	o.jobs = slices.DeleteFunc(o.jobs, func(j *batchv1.Job) bool { return attemptOf(j) == 0 })
	slices.SortFunc(o.jobs, func(a, b *batchv1.Job) int { return attemptOf(a) - attemptOf(b) })
}

// read reads all that a decision needs. The caller holds e.busy.
func (x *Executor) read(ctx context.Context, id download.ID, e *entry) (*objects, error) {
	if err := x.load(ctx, id, e); err != nil {
		return nil, err
	}
	o, err := x.list(ctx, x.cfg.Client, id)
	if err != nil {
		return nil, err
	}
	if err := x.addMade(ctx, e, o); err != nil {
		return nil, err
	}
	e.mu.Lock()
	want, listening := e.memory.want, e.memory.listening()
	e.mu.Unlock()
	if want == nil {
		return o, nil
	}
	if !want.ResolveOnly {
		var claim corev1.PersistentVolumeClaim
		err := x.cfg.Client.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: want.Volume.ClaimName}, &claim)
		if err == nil {
			o.claim = &claim
		} else if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading the claim of a download: %w", err)
		}
	}
	return o, x.explain(ctx, id, o, listening)
}

// load reads the Secret of a download, once.
func (x *Executor) load(ctx context.Context, id download.ID, e *entry) error {
	if e.loaded {
		return nil
	}
	var s corev1.Secret
	err := x.cfg.Live.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: baseName(id)}, &s)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the Secret of a download: %w", err)
	}
	if err == nil && s.Labels[labelUID] != id.UID {
		return fmt.Errorf("the Secret %s/%s, which the download needs, is somebody else's; delete it", s.Namespace, s.Name)
	}
	e.loaded = true
	if err != nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.order = readOrder(&s, id); e.order != nil {
		e.ca = string(s.Data[report.CAKey])
		if w := e.memory.want; w != nil {
			kept := w.KeepTokens(e.order.request)
			e.memory.want = &kept
		}
	}
	return nil
}

// addMade adds the Job that was made last while the cache does not show it.
func (x *Executor) addMade(ctx context.Context, e *entry, o *objects) error {
	j := e.made
	if j == nil {
		return nil
	}
	if slices.ContainsFunc(o.jobs, func(seen *batchv1.Job) bool { return seen.UID == j.UID }) {
		e.made = nil
		return nil
	}
	var live batchv1.Job
	switch err := x.cfg.Live.Get(ctx, client.ObjectKeyFromObject(j), &live); {
	case err == nil && live.UID == j.UID:
		o.jobs = append(o.jobs, &live)
		o.sort()
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("reading Job %s: %w", j.Name, err)
	default:
		e.made = nil
	}
	return nil
}

// explain finds out about Pods that do not come on: whether their nodes answer,
// and what was told of them.
func (x *Executor) explain(ctx context.Context, id download.ID, o *objects, listening time.Time) error {
	now := time.Now()
	for _, p := range o.pods {
		if doubtful(now, p, listening) {
			silent, err := x.silent(ctx, p.Spec.NodeName)
			if err != nil {
				return err
			}
			o.silentNodes[p.Spec.NodeName] = silent
		}
		if puzzling(now, p) {
			if err := x.hint(ctx, id, o, p.UID); err != nil {
				return err
			}
		}
	}
	var owner client.Object
	if o.seeder != nil {
		owner = o.seeder
	} else if n := len(o.jobs); n > 0 {
		owner = o.jobs[n-1]
	}
	podless := owner != nil && !slices.ContainsFunc(o.pods, func(p *corev1.Pod) bool { return belongs(p, owner) })
	if podless && since(now, owner.GetCreationTimestamp().Time) > patience {
		if err := x.hint(ctx, id, o, owner.GetUID()); err != nil {
			return err
		}
	}
	if c := o.claim; c != nil && c.Status.Phase == corev1.ClaimPending && since(now, c.CreationTimestamp.Time) > patience {
		return x.hint(ctx, id, o, c.UID)
	}
	return nil
}

// silent says that a node does not answer, or is not there.
func (x *Executor) silent(ctx context.Context, name string) (bool, error) {
	var node corev1.Node
	if err := x.cfg.Live.Get(ctx, client.ObjectKey{Name: name}, &node); apierrors.IsNotFound(err) {
		return true, nil
	} else if err != nil {
		return false, fmt.Errorf("reading Node %s: %w", name, err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status != corev1.ConditionTrue, nil
		}
	}
	return false, nil
}

// hint takes in the last warning told of an object.
func (x *Executor) hint(ctx context.Context, id download.ID, o *objects, uid types.UID) error {
	var list corev1.EventList
	err := x.cfg.Live.List(ctx, &list, client.InNamespace(id.Namespace), client.MatchingFields{
		"involvedObject.uid": string(uid), "type": corev1.EventTypeWarning,
	})
	if err != nil {
		return fmt.Errorf("listing the events of a download's objects: %w", err)
	}
	var last time.Time
	for i := range list.Items {
		e := &list.Items[i]
		at := e.LastTimestamp.Time
		if e.Series != nil {
			at = e.Series.LastObservedTime.Time
		}
		if at.IsZero() {
			at = e.EventTime.Time
		}
		if !at.Before(last) {
			last, o.hints[uid] = at, e.Message
		}
	}
	return nil
}

// carryOut does what was decided. The caller holds e.busy.
func (x *Executor) carryOut(ctx context.Context, id download.ID, e *entry, v *verdict) error {
	for _, j := range v.deleteJobs {
		if err := x.remove(ctx, j); err != nil {
			return err
		}
	}
	if v.deleteSeeder {
		if err := x.remove(ctx, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: id.Namespace, Name: baseName(id)}}); err != nil {
			return err
		}
	}
	if v.deleteService {
		if err := x.remove(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: id.Namespace, Name: serviceName(id)}}); err != nil {
			return err
		}
	}
	if v.begin || v.seed {
		// Two Pods of a download would write to one volume. The cache may be late.
		if p, err := x.mayRun(ctx, id); err != nil {
			return err
		} else if p != nil {
			x.queue.AddAfter(id, time.Second)
			return nil
		}
	}
	err := x.make(ctx, id, e, v)
	if err == nil && (v.write != nil || v.service != "") {
		e.mu.Lock()
		e.memory.refused = nil // It was taken now.
		e.mu.Unlock()
	}
	return x.refused(id, e, err)
}

// refused takes in what a person has to know of an error, and returns any other.
func (x *Executor) refused(id download.ID, e *entry, err error) error {
	f := refusal(err)
	if f == nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.memory.refused, e.memory.refusedAt = f, time.Now()
	x.queue.AddAfter(id, firstError)
	x.queue.AddAfter(id, recheck)
	return nil
}

// make writes the Secret and what is to be made after it.
func (x *Executor) make(ctx context.Context, id download.ID, e *entry, v *verdict) error {
	if v.write != nil {
		if err := x.write(ctx, id, e, v.write); err != nil {
			return err
		}
	}
	if v.service != "" {
		e.mu.Lock()
		port := e.order.request.Inbound.Port
		e.mu.Unlock()
		err := x.cfg.Client.Create(ctx, service(id, port, v.service))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating the Service of a download: %w", err)
		}
	}
	switch {
	case v.begin:
		j, err := x.cfg.job(id, v.write)
		if err != nil {
			return download.FailForGood(download.ReasonInternalError, "%v", err)
		}
		if err := x.create(ctx, id, j); err != nil {
			return err
		}
		e.made = j
		e.mu.Lock()
		e.memory.begun = v.write.attempt
		e.mu.Unlock()
		x.queue.Add(id)
	case v.seed:
		set, err := x.cfg.statefulSet(id, v.write)
		if err != nil {
			return download.FailForGood(download.ReasonInternalError, "%v", err)
		}
		return x.create(ctx, id, set)
	}
	return nil
}

// create creates an object, or finds that it was created before.
func (x *Executor) create(ctx context.Context, id download.ID, o client.Object) error {
	err := x.cfg.Client.Create(ctx, o)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := x.cfg.Live.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return err
	}
	if o.GetLabels()[labelUID] != id.UID {
		return fmt.Errorf("%s/%s, which the download needs, is somebody else's; delete it", o.GetNamespace(), o.GetName())
	}
	if o.GetDeletionTimestamp() != nil {
		return fmt.Errorf("%s/%s is being deleted and has to be gone first", o.GetNamespace(), o.GetName())
	}
	return nil
}

// write has the Secret of a download say what an order does.
func (x *Executor) write(ctx context.Context, id download.ID, e *entry, o *order) error {
	ca := x.cfg.CA()
	s, err := o.secret(id, x.cfg.Endpoint, ca)
	if err != nil {
		return err
	}
	err = x.cfg.Client.Update(ctx, s)
	if apierrors.IsNotFound(err) {
		s.ResourceVersion = ""
		err = x.cfg.Client.Create(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("writing the Secret of a download: %w", err)
	}
	e.loaded = true
	e.mu.Lock()
	defer e.mu.Unlock()
	e.order, e.ca = o, string(ca)
	return nil
}

// mayRun asks the API server for a Pod of the download that may be running.
func (x *Executor) mayRun(ctx context.Context, id download.ID) (*corev1.Pod, error) {
	var pods corev1.PodList
	if err := x.cfg.Live.List(ctx, &pods, client.InNamespace(id.Namespace), client.MatchingLabels{labelUID: id.UID}); err != nil {
		return nil, fmt.Errorf("listing the Pods of a download: %w", err)
	}
	for i := range pods.Items {
		if !terminal(&pods.Items[i]) {
			return &pods.Items[i], nil
		}
	}
	return nil, nil
}

// remove deletes an object, and its Pods after it.
func (x *Executor) remove(ctx context.Context, o client.Object) error {
	err := x.cfg.Client.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

// refusal is what a person has to know of an error of the API server; nil if it
// is not about what was to be made, and passes.
func refusal(err error) *download.Failure {
	var f *download.Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return f
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return download.Fail(download.ReasonQuotaExceeded, "The namespace has no room for the download: raise its ResourceQuota%s", because(err.Error()))
	case apierrors.IsForbidden(err):
		return download.Fail(download.ReasonWorkerPending, "The API server does not let the download's worker be made%s", because(err.Error()))
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return download.FailForGood(download.ReasonWorkerFailed, "The API server does not take the download's worker; correct spec.worker%s", because(err.Error()))
	}
	return nil
}
