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
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// list reads what is made for a download.
func (x *Executor) list(ctx context.Context, from client.Reader, id download.ID) (*objects, error) {
	o := &objects{silentNodes: map[string]bool{}, hints: map[types.UID]string{}}
	mine := []client.ListOption{client.InNamespace(id.Namespace), client.MatchingLabels{labelUID: id.UID}, client.Limit(page)}
	if from == client.Reader(x.cfg.Client) {
		mine = []client.ListOption{client.InNamespace(id.Namespace), client.MatchingFields{byUID: id.UID}}
	}
	if err := o.listJobs(ctx, from, mine...); err != nil {
		return nil, err
	}
	if err := o.listPods(ctx, from, mine...); err != nil {
		return nil, err
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

// listJobs and listPods add what there is: page by page where which has a limit,
// and all at once from a cache, which knows no pages. Of each page stays what the
// cache would hold, because thousands may have ended.
func (o *objects) listJobs(ctx context.Context, from client.Reader, which ...client.ListOption) error {
	var q client.ListOptions
	for q.ApplyOptions(which); ; {
		var list batchv1.JobList
		if err := from.List(ctx, &list, &q); err != nil {
			return fmt.Errorf("listing the Jobs of a download: %w", err)
		}
		for i := range list.Items {
			slim(&list.Items[i])
			o.jobs = append(o.jobs, &list.Items[i])
		}
		if q.Continue = list.Continue; q.Limit == 0 || q.Continue == "" {
			return nil
		}
	}
}

func (o *objects) listPods(ctx context.Context, from client.Reader, which ...client.ListOption) error {
	var q client.ListOptions
	for q.ApplyOptions(which); ; {
		var list corev1.PodList
		if err := from.List(ctx, &list, &q); err != nil {
			return fmt.Errorf("listing the Pods of a download: %w", err)
		}
		for i := range list.Items {
			slim(&list.Items[i])
			o.pods = append(o.pods, &list.Items[i])
		}
		if q.Continue = list.Continue; q.Limit == 0 || q.Continue == "" {
			return nil
		}
	}
}

// sort puts the Jobs in the order of their attempts, and the one that erases
// aside.
func (o *objects) sort() {
	o.jobs = slices.DeleteFunc(o.jobs, func(j *batchv1.Job) bool {
		if attemptOf(j) == 0 {
			o.eraser = j
		}
		return attemptOf(j) == 0
	})
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
		if o.claim, err = x.claim(ctx, x.cfg.Client, id, want.Volume.ClaimName); err != nil {
			return nil, err
		}
	}
	return o, x.explain(ctx, id, o, listening)
}

// claim is the claim of a name; nil if there is none.
func (x *Executor) claim(ctx context.Context, from client.Reader, id download.ID, name string) (*corev1.PersistentVolumeClaim, error) {
	c := &corev1.PersistentVolumeClaim{}
	if err := from.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: name}, c); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the claim of a download: %w", err)
	}
	return c, nil
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
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && s.Labels[labelUID] != id.UID {
		if e.memory.refused == nil {
			e.memory.refused, e.memory.refusedAt = notOurs("Secret", &s), time.Now()
		}
		return nil
	}
	e.loaded = true
	if err != nil {
		return nil
	}
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
	}, client.Limit(maxEvents))
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
	for _, o := range v.remove {
		if err := x.remove(ctx, o); err != nil {
			return err
		}
	}
	if v.begin || v.seed {
		f, err := x.inTheWay(ctx, id, &v.write.request)
		if err != nil {
			return err
		}
		e.mu.Lock()
		e.memory.inTheWay = f
		e.mu.Unlock()
		if f != nil {
			again := lookAgain
			if f.Reason == download.ReasonNodeLost {
				again = recheck
			}
			x.queue.AddAfter(id, again)
			return nil
		}
	}
	err := x.make(ctx, id, e, v)
	if err == nil && (v.write != nil || v.expose != "") {
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
	if v.expose != "" {
		e.mu.Lock()
		port := e.memory.want.Inbound.Port
		e.mu.Unlock()
		if err := x.create(ctx, id, "Service", service(id, port, v.expose)); err != nil {
			return err
		}
	}
	switch {
	case v.begin:
		j, err := x.cfg.job(id, v.write)
		if err != nil {
			return download.FailForGood(download.ReasonInternalError, "%v", err)
		}
		if err := x.create(ctx, id, "Job", j); err != nil {
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
		return x.create(ctx, id, "StatefulSet", set)
	}
	return nil
}

// create creates an object, or finds that it was created before.
func (x *Executor) create(ctx context.Context, id download.ID, kind string, o client.Object) error {
	err := x.cfg.Client.Create(ctx, o)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating the %s of a download: %w", kind, err)
	} else if err == nil {
		return nil
	}
	if err := x.cfg.Live.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return fmt.Errorf("reading %s %s: %w", kind, o.GetName(), err)
	}
	if o.GetLabels()[labelUID] != id.UID {
		return notOurs(kind, o)
	}
	if o.GetDeletionTimestamp() != nil {
		return fmt.Errorf("%s %s/%s is being deleted and has to be gone first", kind, o.GetNamespace(), o.GetName())
	}
	return nil
}

// notOurs says that an object has the name that one for a download is to have.
func notOurs(kind string, o client.Object) *download.Failure {
	return download.Fail(download.ReasonNameConflict,
		"%s %s exists, and is not the download's; delete it, or create this TorrentDownload again with another name", kind, o.GetName())
}

// write has the Secret of a download say what an order does.
func (x *Executor) write(ctx context.Context, id download.ID, e *entry, o *order) error {
	ca := x.cfg.CA()
	s, err := o.secret(id, x.cfg.Endpoint, ca)
	if err != nil {
		return err
	}
	var old corev1.Secret
	switch err = x.cfg.Live.Get(ctx, client.ObjectKeyFromObject(s), &old); {
	case apierrors.IsNotFound(err):
		err = x.cfg.Client.Create(ctx, s)
	case err == nil && old.Labels[labelUID] != id.UID:
		return notOurs("Secret", &old)
	case err == nil:
		s.UID, s.ResourceVersion = old.UID, old.ResourceVersion
		err = x.cfg.Client.Update(ctx, s)
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

// refusal is what a person has to know of an error of the API server; nil if it
// is not about what was to be made, and passes.
func refusal(err error) *download.Failure {
	var f *download.Failure
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &f):
		return f
	case !errors.As(err, &status):
		return nil
	}
	why := status.Status().Message
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(why, "exceeded quota"):
		return download.Fail(download.ReasonQuotaExceeded, "The namespace has no room for the download: raise its ResourceQuota%s", because(why))
	case apierrors.IsForbidden(err):
		return download.Fail(download.ReasonWorkerPending, "The API server does not let the download's worker be made%s", because(why))
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return download.FailForGood(download.ReasonWorkerFailed, "The API server does not take the download's worker; correct spec.worker%s", because(why))
	}
	return nil
}
