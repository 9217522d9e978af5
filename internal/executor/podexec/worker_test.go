package podexec_test

import (
	"context"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/executor/inproc"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// work does what a worker is there for, until
// wanted ends. What it has to say it says while alive.
func work(wanted, alive context.Context, k *kubelet, from report.Caller, o report.Order) (int, report.Result) {
	id, r, revision := o.ID, o.Request, o.Revision
	w := inproc.New(inproc.Config{Engine: k.workers, Volumes: inproc.Mounted(k.volume)})
	r.Volume.ClaimUID = ""
	if o.Task == report.Erase {
		if err := w.Stop(alive, id, r, download.Erase); err != nil {
			return report.ExitFailed, report.Result{Revision: revision, Progress: download.Progress{State: download.StateFailed, Err: download.Fail("InternalError", "%v", err)}}
		}
		return report.ExitDone, report.Result{Revision: revision, Progress: download.Progress{State: download.StateComplete}}
	}
	defer w.Close(context.WithoutCancel(alive))
	last := report.Result{Revision: revision, Progress: download.Progress{State: download.StateResolving}}
	for look := time.NewTicker(20 * time.Millisecond); ; {
		if o.Task == report.Download {
			r.Seeding = download.Seeding{}
		}
		if w.Ensure(alive, id, r) != nil {
			return report.ExitFailed, last
		}
		select {
		case <-alive.Done():
			return 137, last
		case <-wanted.Done():
			return report.ExitStopped, last
		case <-w.Changes():
		case <-look.C:
		}
		p, err := w.Observe(alive, id)
		if err != nil {
			continue
		}
		last = report.Result{Revision: revision, Progress: p}
		if next := k.push(alive, from, report.Push{ID: id, Revision: revision, Progress: p}); next.Request != nil {
			r, revision = *next.Request, next.Revision
			r.Volume.ClaimUID = ""
			continue
		}
		switch {
		case p.State == download.StateFailed:
			return report.ExitFailed, last
		case o.Task == report.Download && p.State == download.StateComplete,
			r.ResolveOnly && p.State == download.StateWaiting && p.InfoHash != "":
			return report.ExitDone, last
		}
	}
}

// push tells the operator, as far as it can be reached.
func (k *kubelet) push(ctx context.Context, from report.Caller, p report.Push) report.Reply {
	k.mu.Lock()
	mute := k.mute
	k.mu.Unlock()
	if mute {
		return report.Reply{}
	}
	b, err := report.EncodePush(p)
	if err != nil {
		k.Errorf("a push can't be told: %v", err)
	}
	if p, err = report.DecodePush(b); err != nil {
		k.Errorf("a push can't be read: %v", err)
	}
	reply, err := k.operator().Take(ctx, from, p)
	if err != nil {
		return report.Reply{}
	}
	return reply
}
