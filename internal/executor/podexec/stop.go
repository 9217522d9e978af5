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

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// Stop implements [download.Executor]. It goes one step each time that it is
// called: everything is deleted, its Pods end, for Erase another one removes
// the data, and that is deleted too. All of it is read from the API server,
// because the cache may be late.
func (x *Executor) Stop(ctx context.Context, id download.ID, r download.Request, data download.Disposal) error {
	if data == download.Keep {
		if idle, err := x.nothing(ctx, id); idle || err != nil {
			return err
		}
	}
	e := x.enter(id)
	e.stopping = true
	e.mu.Unlock()
	e.busy.Lock()
	defer e.busy.Unlock()
	if !e.dismiss() {
		return fmt.Errorf("%w: it was asked for again", download.ErrEnding)
	}
	if err := x.clear(ctx, id, data); err != nil {
		return err
	}
	if data == download.Erase {
		if err := x.erase(ctx, id, e, r); err != nil {
			return err
		}
	}
	x.forget(id, e)
	return nil
}

// dismiss has what was begun so far count for nothing, whatever is asked for
// later. It returns false if that was already. The caller holds e.busy.
func (e *entry) dismiss() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.stopping {
		return false
	}
	m := &e.memory
	*m = memory{want: m.want, asked: m.asked, begun: m.begun, dropped: m.begun}
	e.order, e.ca, e.loaded, e.made, e.show = nil, "", true, nil, nil
	return true
}

// nothing says that there is nothing to stop: neither this process has begun
// anything, nor does the cache show something of one before.
func (x *Executor) nothing(ctx context.Context, id download.ID) (bool, error) {
	x.mu.Lock()
	e := x.entries[id]
	x.mu.Unlock()
	if e != nil {
		return false, nil
	}
	o, err := x.list(ctx, x.cfg.Client, id)
	return err == nil && len(o.jobs) == 0 && o.seeder == nil && o.service == nil && len(o.pods) == 0, err
}

// forget takes an entry out of the map, unless its download was asked for
// meanwhile.
func (x *Executor) forget(id download.ID, e *entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.stopping {
		e.order, e.ca = nil, ""
		x.queue.Add(id)
		return
	}
	e.gone = true
	if x.entries[id] == e {
		delete(x.entries, id)
	}
}

// clear deletes all that is made for a download, but what erases it, and
// returns nil when no Pod of it can be running. What is deleted last shows
// until then that there is something to delete.
func (x *Executor) clear(ctx context.Context, id download.ID, data download.Disposal) error {
	o, err := x.list(ctx, x.cfg.Live, id)
	if err != nil {
		return err
	}
	if o.service != nil {
		if err := x.remove(ctx, o.service); err != nil {
			return err
		}
	}
	if data == download.Keep {
		o.jobs = append(o.jobs, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: id.Namespace, Name: eraseName(id)}})
		if err := x.remove(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: id.Namespace, Name: baseName(id)}}); err != nil {
			return err
		}
	}
	if o.seeder != nil {
		if err := x.remove(ctx, &appsv1.StatefulSet{ObjectMeta: o.seeder.ObjectMeta}); err != nil {
			return err
		}
	}
	for _, j := range o.jobs {
		if err := x.remove(ctx, j); err != nil {
			return err
		}
	}
	for _, p := range o.pods {
		if terminal(p) || data == download.Erase && taskOf(p) == report.Erase {
			continue
		}
		s := situation{now: time.Now(), id: id, o: o}
		if overdue(s.now, p) && p.Spec.NodeName != "" {
			silent, err := x.silent(ctx, p.Spec.NodeName)
			if err != nil {
				return err
			}
			o.silentNodes[p.Spec.NodeName] = silent
		}
		return fmt.Errorf("%w: %s", download.ErrEnding, s.ending(p).Message)
	}
	return nil
}

// erase has a Pod remove the data of a download of which nothing else runs, and
// returns nil when that is done or there is nothing that could be removed.
func (x *Executor) erase(ctx context.Context, id download.ID, e *entry, r download.Request) error {
	var claim corev1.PersistentVolumeClaim
	err := x.cfg.Live.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: r.Volume.ClaimName}, &claim)
	switch {
	case apierrors.IsNotFound(err), err == nil && (claim.DeletionTimestamp != nil || r.Volume.ClaimUID != "" && r.Volume.ClaimUID != string(claim.UID)):
		return x.swept(ctx, id) // The data went with the claim.
	case err != nil:
		return fmt.Errorf("reading the claim of a download: %w", err)
	}
	job := &batchv1.Job{}
	err = x.cfg.Live.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: eraseName(id)}, job)
	switch {
	case apierrors.IsNotFound(err):
		return x.beginErasing(ctx, id, e, r)
	case err != nil:
		return fmt.Errorf("reading Job %s: %w", eraseName(id), err)
	case job.Labels[labelUID] != id.UID:
		return fmt.Errorf("the Job %s/%s, which removes the data, is somebody else's; delete it", job.Namespace, job.Name)
	case job.DeletionTimestamp != nil:
		return fmt.Errorf("%w: Job %s is being deleted", download.ErrEnding, job.Name)
	}
	o, err := x.list(ctx, x.cfg.Live, id)
	if err != nil {
		return err
	}
	o.claim = &claim
	s := situation{now: time.Now(), id: id, o: o, m: memory{want: &r}}
	end, over := s.endOf(job)
	if !over {
		pod := s.podOf(job)
		if err := x.explain(ctx, id, o, s.now); err != nil {
			return err
		}
		if f := s.trouble(job, pod); f != nil {
			return fmt.Errorf("%w: its files are being removed: %s", download.ErrEnding, f.Message)
		}
		return fmt.Errorf("%w: its files are being removed", download.ErrEnding)
	}
	if end.failure != nil { // The next call tries again; the caller waits between two.
		if err := x.remove(ctx, job); err != nil {
			return err
		}
		return fmt.Errorf("removing its files: %w", end.failure)
	}
	return x.swept(ctx, id)
}

// beginErasing makes the Job that removes the data.
func (x *Executor) beginErasing(ctx context.Context, id download.ID, e *entry, r download.Request) error {
	if p, err := x.mayRun(ctx, id); err != nil {
		return err
	} else if p != nil {
		return fmt.Errorf("%w: Pod %s has to end before the files are removed", download.ErrEnding, p.Name)
	}
	r.ResolveOnly, r.VerifyToken = false, ""
	if r.Inbound.Port == 0 {
		r.Inbound.Port = x.cfg.Port
	}
	o := &order{task: report.Erase, request: r}
	j, err := x.cfg.job(id, o)
	if err != nil {
		return err
	}
	err = x.write(ctx, id, e, o)
	if err == nil {
		err = x.create(ctx, id, j)
	}
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil // The claim goes too.
	case err != nil:
		return fmt.Errorf("having the files removed: %w", err)
	}
	return fmt.Errorf("%w: its files are being removed", download.ErrEnding)
}

// swept deletes what was made to erase a download.
func (x *Executor) swept(ctx context.Context, id download.ID) error {
	at := metav1.ObjectMeta{Namespace: id.Namespace}
	for name, o := range map[string]client.Object{
		baseName(id): &corev1.Secret{ObjectMeta: at}, eraseName(id): &batchv1.Job{ObjectMeta: at},
	} {
		o.SetName(name)
		if err := x.remove(ctx, o); err != nil {
			return err
		}
	}
	return nil
}
