package podexec

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// Stop implements [download.Executor]. It goes one step each time that it is
// called: everything is deleted, its Pods end, for Erase another one removes
// the data, and that is deleted too. Each step is decided by what the API
// server says, because the cache may be late; but as long as even the cache
// shows something that has to end, nobody else is asked.
func (x *Executor) Stop(ctx context.Context, id download.ID, r download.Request, data download.Disposal) error {
	if data != download.Erase {
		if idle, err := x.nothing(ctx, id, data == download.Kept); idle || err != nil {
			return err
		}
		data = download.Keep
	}
	e := x.enter(id)
	e.stopping = true
	e.mu.Unlock()
	e.busy.Lock()
	defer e.busy.Unlock()
	switch over, dismissed := e.dismiss(); {
	case over && data == download.Erase:
		return fmt.Errorf("%w: another call has stopped it, and its files are removed next", download.ErrEnding)
	case over: // Another call has stopped it, and what there is now came after that.
		return nil
	case !dismissed:
		return fmt.Errorf("%w: it was asked for again", download.ErrEnding)
	}
	if e.told {
		if _, err := x.ended(ctx, x.cfg.Client, id, r, data); err != nil {
			return err
		}
	}
	if err := x.clear(ctx, id, data); err != nil {
		return err
	}
	e.told = true
	o, err := x.ended(ctx, x.cfg.Live, id, r, data)
	if err == nil && data == download.Erase {
		err = x.erase(ctx, id, e, o, r)
	}
	if err != nil {
		return err
	}
	x.forget(id, e)
	return nil
}

// dismiss has what was begun so far count for nothing, whatever is asked for
// later; it does nothing if that was already. Over says that the entry was
// forgotten meanwhile. The caller holds e.busy.
func (e *entry) dismiss() (over, dismissed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone || !e.stopping {
		return e.gone, false
	}
	m := &e.memory
	*m = memory{want: m.want, asked: m.asked, begun: m.begun, dropped: m.begun}
	e.order, e.ca, e.loaded, e.made, e.show = nil, "", true, nil, nil
	return false, true
}

// nothing says that there is nothing to stop: neither this process has begun
// anything, nor does the cache show something of one before, nor is there a
// Secret, which no cache holds. That of a download that was stopped before is
// not asked for: it went then, and when the operator starts there may be
// thousands of such.
func (x *Executor) nothing(ctx context.Context, id download.ID, before bool) (bool, error) {
	x.mu.Lock()
	e := x.entries[id]
	x.mu.Unlock()
	if e != nil {
		return false, nil
	}
	o, err := x.list(ctx, x.cfg.Client, id)
	if err != nil || len(o.jobs) > 0 || o.eraser != nil || o.seeder != nil || o.service != nil || len(o.pods) > 0 {
		return false, err
	}
	if before {
		return true, nil
	}
	s, err := x.secret(ctx, id)
	return err == nil && s == nil, err
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

// clear deletes all that is made for a download, but what erases it.
func (x *Executor) clear(ctx context.Context, id download.ID, data download.Disposal) error {
	o, err := x.list(ctx, x.cfg.Live, id)
	if err != nil {
		return err
	}
	var all []client.Object
	if o.service != nil {
		all = append(all, o.service)
	}
	if o.seeder != nil {
		all = append(all, o.seeder)
	}
	for _, j := range o.jobs {
		all = append(all, j)
	}
	if data == download.Keep {
		if o.eraser != nil {
			all = append(all, o.eraser)
		}
		if err := x.removeSecret(ctx, id); err != nil {
			return err
		}
	}
	for _, one := range all {
		if err := x.remove(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// ended returns what there is of a download that was told to go. The error is
// [download.ErrEnding] while something of it may still run, or make a Pod, or
// its data is being removed.
func (x *Executor) ended(ctx context.Context, from client.Reader, id download.ID, r download.Request, data download.Disposal) (*objects, error) {
	o, err := x.list(ctx, from, id)
	if err != nil {
		return nil, err
	}
	f, err := x.remains(ctx, o, data)
	if err == nil && f == nil && data == download.Erase && o.eraser != nil {
		f, err = x.erasing(ctx, from, id, o, r)
	}
	if err == nil && f != nil {
		err = fmt.Errorf("%w: %s", download.ErrEnding, f.Message)
	}
	return o, err
}

// remains is what of a download that was told to go may still run, or make a
// Pod; what erases it is not told to with Erase.
func (x *Executor) remains(ctx context.Context, o *objects, data download.Disposal) (*download.Failure, error) {
	for _, p := range o.pods {
		if !terminal(p) && (data == download.Keep || taskOf(p) != report.Erase) {
			return x.ending(ctx, p, nil)
		}
	}
	for _, j := range o.jobs {
		if !o.over(j) {
			return jobEnds(j), nil
		}
	}
	if j := o.eraser; j != nil && data == download.Keep && !o.over(j) {
		return jobEnds(j), nil
	}
	if o.seeder != nil {
		return setEnds(o.seeder), nil
	}
	return nil, nil
}

// erasing says how far the Job is that removes the data; nil if it has ended,
// or there is no data any more.
func (x *Executor) erasing(ctx context.Context, from client.Reader, id download.ID, o *objects, r download.Request) (_ *download.Failure, err error) {
	if o.claim, err = x.claim(ctx, from, id, r.Volume.ClaimName); err != nil || lost(o.claim, &r) {
		return nil, err
	}
	s := situation{now: time.Now(), id: id, o: o, m: memory{want: &r}}
	if _, over := s.endOf(o.eraser); over {
		return nil, nil
	}
	if err := x.explain(ctx, id, o, s.now); err != nil {
		return nil, err
	}
	f := download.Fail(download.ReasonWorkerEnding, "its files are being removed")
	if why := s.trouble(o.eraser, s.podOf(o.eraser)); why != nil {
		f.Message += ": " + why.Message
	}
	return f, nil
}

// lost says that the data of a request has gone, or goes, with its claim.
func lost(c *corev1.PersistentVolumeClaim, r *download.Request) bool {
	return c == nil || c.DeletionTimestamp != nil || r.Volume.ClaimUID != "" && r.Volume.ClaimUID != string(c.UID)
}

// erase has a Pod remove the data of a download of which nothing else runs, and
// returns nil when that is done or there is nothing that could be removed.
func (x *Executor) erase(ctx context.Context, id download.ID, e *entry, o *objects, r download.Request) error {
	claim, err := x.claim(ctx, x.cfg.Live, id, r.Volume.ClaimName)
	switch {
	case err != nil:
		return err
	case lost(claim, &r):
		return x.swept(ctx, id, o)
	case o.eraser == nil:
		return x.beginErasing(ctx, id, e, r, oneNode(claim))
	case o.eraser.DeletionTimestamp != nil:
		return fmt.Errorf("%w: Job %s is being deleted", download.ErrEnding, o.eraser.Name)
	}
	s := situation{now: time.Now(), id: id, o: o, m: memory{want: &r}}
	switch end, over := s.endOf(o.eraser); {
	case !over:
		return fmt.Errorf("%w: its files are being removed", download.ErrEnding)
	case end.failure != nil: // The next call tries again; the caller waits between two.
		if err := x.remove(ctx, o.eraser); err != nil {
			return err
		}
		return fmt.Errorf("removing its files: %w", end.failure)
	}
	return x.swept(ctx, id, o)
}

// beginErasing makes the Job that removes the data.
func (x *Executor) beginErasing(ctx context.Context, id download.ID, e *entry, r download.Request, oneNode bool) error {
	r.ResolveOnly, r.VerifyToken = false, ""
	if f, err := x.inTheWay(ctx, id, &r); err != nil {
		return err
	} else if f != nil {
		return fmt.Errorf("%w: %s", download.ErrEnding, f.Message)
	}
	if r.Inbound.Port == 0 {
		r.Inbound.Port = x.cfg.Port
	}
	o := &order{task: report.Erase, request: r, oneNode: oneNode}
	j, err := x.cfg.job(id, o)
	if err != nil {
		return err
	}
	err = x.write(ctx, id, e, o)
	if err == nil {
		err = x.create(ctx, id, "Job", j)
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
func (x *Executor) swept(ctx context.Context, id download.ID, o *objects) error {
	if o.eraser != nil {
		if err := x.remove(ctx, o.eraser); err != nil {
			return err
		}
	}
	return x.removeSecret(ctx, id)
}
