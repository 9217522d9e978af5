package podexec

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

var _ report.Taker = (*Executor)(nil)

// Take implements [report.Taker]. What it hears of a Pod that is not the
// download's worker, or not any more, is not for anybody.
func (x *Executor) Take(ctx context.Context, from report.Caller, p report.Push) (report.Reply, error) {
	if !x.Leads() {
		return report.Reply{}, report.ErrNotLeading
	}
	x.mu.Lock()
	e := x.entries[p.ID]
	x.mu.Unlock()
	if e == nil {
		return report.Reply{}, report.ErrUnknown
	}
	pod, err := x.worker(ctx, from, p.ID)
	if err != nil {
		return report.Reply{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	m := &e.memory
	switch {
	case e.stopping || m.want == nil || e.order == nil:
		return report.Reply{}, report.ErrUnknown
	case taskOf(pod) != e.order.task || e.order.task == report.Erase,
		e.order.task == report.Download && (attemptOf(pod) != m.begun || m.begun <= m.ended.attempt || m.begun <= m.dropped):
		return report.Reply{}, report.ErrForbidden
	}
	m.heard = heard{pod: pod.UID, revision: p.Revision, state: p.Progress.State, at: time.Now()}
	m.last = p.Progress
	x.queue.Add(p.ID)
	reply := report.Reply{Revision: e.order.revision()}
	if reply.Revision != p.Revision {
		r := e.order.request
		reply.Request = &r
	}
	return reply, nil
}

// worker returns the caller's Pod if it is a worker of the download: it says
// so, and it was made by an object of ours that belongs to the TorrentDownload.
func (x *Executor) worker(ctx context.Context, from report.Caller, id download.ID) (*corev1.Pod, error) {
	if from.Namespace != id.Namespace {
		return nil, report.ErrForbidden
	}
	pod := &corev1.Pod{}
	same := func() bool { return string(pod.UID) == from.UID }
	if err := x.fresh(ctx, from.Pod, id, pod, same); err != nil {
		return nil, err
	}
	ref := metav1.GetControllerOf(pod)
	if who, ours := idOf(pod); !ours || who != id || ref == nil || terminal(pod) {
		return nil, report.ErrForbidden
	}
	var owner client.Object
	switch ref.Kind {
	case "Job":
		owner = &batchv1.Job{}
	case "StatefulSet":
		owner = &appsv1.StatefulSet{}
	default:
		return nil, report.ErrForbidden
	}
	if err := x.fresh(ctx, ref.Name, id, owner, func() bool { return owner.GetUID() == ref.UID }); err != nil {
		return nil, err
	}
	of := metav1.GetControllerOf(owner)
	if of == nil || of.Kind != v1alpha1.Kind || string(of.UID) != id.UID || of.Name != id.Name {
		return nil, report.ErrForbidden
	}
	return pod, nil
}

// fresh reads an object from the cache, and from the API server if the cache
// does not have the right one yet.
func (x *Executor) fresh(ctx context.Context, name string, id download.ID, into client.Object, right func() bool) error {
	key := client.ObjectKey{Namespace: id.Namespace, Name: name}
	err := x.cfg.Client.Get(ctx, key, into)
	if err == nil && right() {
		return nil
	}
	if err == nil || apierrors.IsNotFound(err) {
		err = x.cfg.Live.Get(ctx, key, into)
	}
	switch {
	case apierrors.IsNotFound(err), err == nil && !right():
		return report.ErrForbidden
	case err != nil:
		return fmt.Errorf("reading whose Pod pushes: %w", err)
	}
	return nil
}
