package podexec

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// inTheWay asks the API server what has to end before the next Pod of a
// download may be made, because two would write to one volume; nil if nothing
// has to. The cache may be late, and is not asked.
//
// In the way is what of the download itself runs or may make a Pod still, and
// the same of a TorrentDownload that is not there any more, at the same place
// of the claim. Of those that are there, package lifecycle lets one at a place
// begin.
func (x *Executor) inTheWay(ctx context.Context, id download.ID, r *download.Request) (*download.Failure, error) {
	f, err := x.runs(ctx, id, client.MatchingLabels{labelUID: id.UID}, func(client.Object) (bool, error) { return true, nil })
	if f != nil || err != nil || r.ResolveOnly {
		return f, err
	}
	known := map[download.ID]bool{} // Each is asked for once, however many Pods say that they are of it.
	f, err = x.runs(ctx, id, client.MatchingLabels{labelClaim: claimLabel(r.Volume.ClaimName)}, func(o client.Object) (bool, error) {
		other, ours := idOf(o)
		if !ours || known[other] || other.UID == id.UID || !download.Overlap(o.GetAnnotations()[annotationPath], r.Volume.Path) {
			return false, nil
		}
		there, err := x.exists(ctx, other)
		known[other] = there
		return !there, err
	})
	if f != nil {
		f.Message += ". It is of a TorrentDownload that was deleted, and has the same place in the claim"
	}
	return f, err
}

// runs says which of the labelled Pods and Jobs that count has to end.
func (x *Executor) runs(ctx context.Context, id download.ID, labelled client.MatchingLabels, counts func(client.Object) (bool, error)) (*download.Failure, error) {
	var o objects
	// The Jobs first: a Pod that one of them makes meanwhile is found then.
	if err := o.listJobs(ctx, x.cfg.Live, client.InNamespace(id.Namespace), labelled, client.Limit(page)); err != nil {
		return nil, err
	}
	if err := o.listPods(ctx, x.cfg.Live, client.InNamespace(id.Namespace), labelled, client.Limit(page)); err != nil {
		return nil, err
	}
	for _, p := range o.pods {
		if terminal(p) {
			continue
		}
		if yes, err := counts(p); yes || err != nil {
			return x.ending(ctx, p, err)
		}
	}
	for _, j := range o.jobs {
		if o.over(j) {
			continue
		}
		if yes, err := counts(j); yes || err != nil {
			return jobEnds(j), err
		}
	}
	return nil, nil
}

// over says that a Job makes no Pod any more: it has ended, or the one Pod that
// it makes has.
func (o *objects) over(j *batchv1.Job) bool {
	for _, c := range j.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return true
		}
	}
	return slices.ContainsFunc(o.pods, func(p *corev1.Pod) bool { return belongs(p, j) && terminal(p) })
}

// exists says whether a TorrentDownload is there still, and not another one of
// its name.
func (x *Executor) exists(ctx context.Context, id download.ID) (bool, error) {
	td := metav1.PartialObjectMetadata{}
	td.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
	err := x.cfg.Live.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: id.Name}, &td)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading TorrentDownload %s, whose Pod has the same claim: %w", id.Name, err)
	}
	return err == nil && string(td.UID) == id.UID, nil
}

// ending says what keeps a Pod that has to be gone; err passes through.
func (x *Executor) ending(ctx context.Context, p *corev1.Pod, err error) (*download.Failure, error) {
	silent, now := false, time.Now()
	if err == nil && overdue(now, p) && p.Spec.NodeName != "" {
		silent, err = x.silent(ctx, p.Spec.NodeName)
	}
	if err != nil {
		return nil, err
	}
	return podEnds(now, p, silent), nil
}

// podEnds says what keeps a Pod that has to be gone before another one begins.
func podEnds(now time.Time, p *corev1.Pod, silent bool) *download.Failure {
	node := p.Spec.NodeName
	switch {
	case silent:
		return download.Fail(download.ReasonNodeLost,
			"Node %s does not answer, so Pod %s may still be writing and no other one is begun. It goes on when the node is back; if the node is off for good, delete its Node object, or taint it with node.kubernetes.io/out-of-service=nodeshutdown:NoExecute", node, p.Name)
	case overdue(now, p):
		return download.Fail(download.ReasonWorkerEnding, "Pod %s on node %s has not ended in its time, and no other one is begun before; see the kubelet's log of that node", p.Name, node)
	}
	return download.Fail(download.ReasonWorkerEnding, "Pod %s has to end before the next one begins", p.Name)
}

// jobEnds says that a Job has to be gone before the next Pod is made.
func jobEnds(j *batchv1.Job) *download.Failure {
	return download.Fail(download.ReasonWorkerEnding, "Job %s ends first", j.Name)
}

// setEnds says the same of a StatefulSet.
func setEnds(set *appsv1.StatefulSet) *download.Failure {
	return download.Fail(download.ReasonWorkerEnding, "StatefulSet %s ends first", set.Name)
}

// remove deletes an object of a download that was read before. What makes Pods
// stays until they are gone: as long as it is there, it may still make one.
func (x *Executor) remove(ctx context.Context, o client.Object) error {
	if o.GetDeletionTimestamp() != nil {
		return nil
	}
	uid, policy := o.GetUID(), metav1.DeletePropagationBackground
	switch o.(type) {
	case *batchv1.Job, *appsv1.StatefulSet:
		policy = metav1.DeletePropagationForeground
	}
	err := x.cfg.Client.Delete(ctx, o, client.PropagationPolicy(policy), client.Preconditions{UID: &uid})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // A conflict is about another one of its name.
		return fmt.Errorf("deleting %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

// removeSecret deletes the Secret of a download.
func (x *Executor) removeSecret(ctx context.Context, id download.ID) error {
	s, err := x.secret(ctx, id)
	if s == nil || err != nil {
		return err
	}
	return x.remove(ctx, s)
}

// secret is the Secret of a download; nil if there is none, or that of the name
// is somebody else's.
func (x *Executor) secret(ctx context.Context, id download.ID) (*corev1.Secret, error) {
	s := &corev1.Secret{}
	if err := x.cfg.Live.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: baseName(id)}, s); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the Secret of a download: %w", err)
	}
	if s.Labels[labelUID] != id.UID {
		return nil, nil
	}
	return s, nil
}
