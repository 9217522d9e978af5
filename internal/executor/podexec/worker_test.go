package podexec_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/torrent-operator/torrent-operator/internal/executor/inproc"
	"github.com/torrent-operator/torrent-operator/internal/report"
	"github.com/torrent-operator/torrent-operator/internal/worker"
)

// work is what the worker command does, in this process: it returns the exit
// code and the termination message.
func work(ctx context.Context, k *kubelet, from report.Caller, o report.Order) (int, []byte) {
	file := filepath.Join(k.root, from.UID)
	x := inproc.New(inproc.Config{Engine: k.workers, Volumes: inproc.Mounted(k.volume), NodeName: node})
	defer x.Close(context.WithoutCancel(ctx))
	code, err := worker.Run(ctx, worker.Config{
		Order: o, Executor: x, Reporter: reporter{k, from}, Result: worker.ResultFile(file),
		Logger: slog.New(slog.DiscardHandler), StopTimeout: patience,
	})
	if err != nil && code == report.ExitDone {
		k.Errorf("a worker is done, and says %v", err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		k.Errorf("a worker left nothing behind: %v", err)
	}
	return code, b
}

// reporter is the way of a Pod to the operator.
type reporter struct {
	k    *kubelet
	from report.Caller
}

// Push tells the operator, as far as it can be reached.
func (r reporter) Push(ctx context.Context, p report.Push) (report.Reply, error) {
	r.k.mu.Lock()
	mute := r.k.mute
	r.k.mu.Unlock()
	if mute {
		return report.Reply{}, report.ErrNotLeading
	}
	b, err := report.EncodePush(p)
	if err != nil {
		return report.Reply{}, err
	}
	if p, err = report.DecodePush(b); err != nil {
		return report.Reply{}, err
	}
	return r.k.operator().Take(ctx, r.from, p)
}
