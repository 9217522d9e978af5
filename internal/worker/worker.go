package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

const (
	// look is how often the executor is asked at least: wake-ups may be lost.
	look = time.Second
	// lastPush bounds the one at the end, which nobody depends on.
	lastPush = 3 * time.Second
)

var errStopped = errors.New("told to stop before it was done")

// Reporter is the way to the operator.
type Reporter interface {
	// Push tells, and returns what is wanted now. It takes as long as it does,
	// or until ctx ends, and is never called twice at once.
	Push(ctx context.Context, p report.Push) (report.Reply, error)
}

// Config is what [Run] needs.
type Config struct {
	Order    report.Order
	Executor download.Executor
	Reporter Reporter // nil if there is nobody to tell.
	Result   ResultFile
	Logger   *slog.Logger
	// Detail is where the download can be looked at closely while it runs, if
	// Executor is a [download.Inspector]; nil if nowhere. Run closes it.
	Detail net.Listener
	// StopTimeout bounds how long the download may take to stop when it is told
	// to. It has to end some seconds before the process is killed.
	StopTimeout time.Duration
}

// Run carries out an order until it is done, has failed, or ctx ends, and
// returns one of the exit codes of package report. However it ends, nothing of
// the download runs any more then (unless it could not be stopped in time), and
// the result is there. The error says why the code is not [report.ExitDone].
func Run(ctx context.Context, c Config) (code int, err error) {
	w := &worker{
		Config: c, log: c.Logger.With("namespace", c.Order.ID.Namespace, "name", c.Order.ID.Name),
		revision: c.Order.Revision, answers: make(chan answer, 1),
	}
	w.progress = download.Progress{At: time.Now(), State: download.StateResolving, BytesUploaded: c.Order.Request.BytesUploaded}
	defer func() {
		if v := recover(); v != nil {
			w.log.Error("the worker crashed; this is an error in the program", "panic", v, "stack", string(debug.Stack()))
			code, err = w.fail(download.Fail(download.ReasonInternalError, "the worker crashed: %v; its log says where", v))
			w.leave()
		}
	}()
	w.leave()
	defer w.show()()
	if c.Order.Task == report.Erase {
		code, err = w.erase(ctx)
	} else {
		code, err = w.carry(ctx)
	}
	w.leave()
	w.tellLast(ctx)
	return code, err
}

// worker is an order on its way. All of it belongs to one goroutine.
type worker struct {
	Config
	log      *slog.Logger
	request  download.Request  // What the executor was given last.
	revision string            // And what that is called.
	progress download.Progress // What the executor said last.
	pace     pace
	pushing  context.CancelFunc // Ends the push that is under way; nil if none is.
	answers  chan answer        // Capacity 1.
}

// answer is what became of a push.
type answer struct {
	push  report.Push
	reply report.Reply
	err   error
}

// carry runs a download to its end.
func (w *worker) carry(ctx context.Context) (int, error) {
	if err := w.ensure(ctx, w.revision, w.Order.Request); err != nil {
		return w.fail(err)
	}
	tick, push := time.NewTicker(look), time.NewTimer(0)
	defer tick.Stop()
	defer push.Stop()
	for {
		w.observe(ctx)
		if over, code, err := w.over(); over {
			w.stop(ctx)
			return code, err
		}
		push.Reset(w.push(ctx))
		select {
		case <-ctx.Done():
			w.stop(ctx)
			w.still()
			if w.progress.State == download.StateComplete { // At rest.
				return report.ExitDone, nil
			}
			return report.ExitStopped, errStopped
		case <-w.Executor.Changes():
		case <-push.C:
		case <-tick.C:
		case a := <-w.answers:
			w.pushing()
			w.pushing = nil
			w.take(ctx, a)
		}
	}
}

// ensure makes r what is wanted.
func (w *worker) ensure(ctx context.Context, revision string, r download.Request) error {
	if w.Order.Task == report.Download {
		r.Seeding = download.Seeding{}
	}
	if err := w.Executor.Ensure(ctx, w.Order.ID, r); err != nil {
		return err
	}
	w.request, w.revision = r, revision
	return nil
}

// observe looks at the download, and leaves what a person waits for behind at
// once.
func (w *worker) observe(ctx context.Context) {
	p, err := w.Executor.Observe(ctx, w.Order.ID)
	if err != nil {
		w.log.Error("the executor has lost the download", "error", err)
		return
	}
	news := transition(w.progress, p)
	w.progress = p
	if news {
		w.log.Info("the download is now "+string(p.State), "reason", why(p), "verified", p.BytesVerified, "total", p.BytesTotal)
		w.leave()
	}
}

// over says whether the order is carried out or has failed, and what to exit
// with then.
func (w *worker) over() (over bool, code int, err error) {
	p := w.progress
	switch {
	case p.State == download.StateFailed:
		return true, report.ExitFailed, p.Err
	case w.Order.Task == report.Seed:
		return false, 0, nil
	case w.request.ResolveOnly:
		return p.State == download.StateWaiting && p.Err == nil && p.InfoHash != "", report.ExitDone, nil
	}
	return p.State == download.StateComplete, report.ExitDone, nil
}

// push begins one if it is due, and returns in what time to look again.
func (w *worker) push(ctx context.Context) time.Duration {
	if w.Reporter == nil || w.pushing != nil {
		return heartbeat
	}
	now := time.Now()
	if wait := w.pace.due(w.progress, w.revision).Sub(now); wait > 0 {
		return wait
	}
	w.pace.tried(now, rand.Float64())
	w.leave()
	ctx, w.pushing = context.WithCancel(ctx)
	p := report.Push{ID: w.Order.ID, Revision: w.revision, Progress: w.progress}
	go func() {
		r, err := w.Reporter.Push(ctx, p)
		w.answers <- answer{p, r, err}
	}()
	return heartbeat
}

// take takes in what became of a push.
func (w *worker) take(ctx context.Context, a answer) {
	if a.err != nil {
		if w.pace.lost(); w.pace.failures == 1 {
			w.log.Warn("the operator was not reached; the download goes on", "error", a.err)
		}
		return
	}
	if w.pace.failures > 0 {
		w.log.Info("the operator is reached again", "failures", w.pace.failures)
	}
	w.pace.taken(a.push.Progress, a.push.Revision)
	if a.reply.Request == nil || a.reply.Revision == w.revision {
		return
	}
	if err := w.ensure(ctx, a.reply.Revision, *a.reply.Request); err != nil {
		w.log.Warn("what is wanted now can't be taken in; it comes again", "error", err)
		return
	}
	w.log.Info("the operator wants something else", "revision", w.revision)
}

// stop ends the download and keeps what there is.
func (w *worker) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.StopTimeout)
	defer cancel()
	for {
		err := w.Executor.Stop(ctx, w.Order.ID, w.request, download.Keep)
		if err == nil {
			return
		}
		if !errors.Is(err, download.ErrEnding) || !w.wait(ctx, look) {
			w.log.Warn("the download did not stop; the next start checks what may be affected", "error", err)
			return
		}
	}
}

// still makes the last snapshot one of which nothing moves.
func (w *worker) still() {
	p := &w.progress
	p.DownloadBytesPerSecond, p.UploadBytesPerSecond, p.Pieces.InProgress = 0, 0, 0
	p.Peers.Connected, p.Peers.Seeds, p.Address = 0, 0, ""
}

// fail makes err the reason of the end.
func (w *worker) fail(err error) (int, error) {
	var f *download.Failure
	if !errors.As(err, &f) {
		f = download.Fail(download.ReasonInternalError, "%v", err)
	}
	w.progress.At, w.progress.State, w.progress.Err = time.Now(), download.StateFailed, f
	w.still()
	return report.ExitFailed, f
}

// leave writes the result.
func (w *worker) leave() {
	if err := w.Result.Leave(report.Result{Progress: w.progress, Revision: w.revision}); err != nil {
		w.log.Error("the result can't be left behind", "error", err)
	}
}

// tellLast tells how it ended, if the operator is there to be told.
func (w *worker) tellLast(ctx context.Context) {
	if w.Reporter == nil {
		return
	}
	if w.pushing != nil {
		w.pushing()
		<-w.answers
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPush)
	defer cancel()
	if _, err := w.Reporter.Push(ctx, report.Push{ID: w.Order.ID, Revision: w.revision, Progress: w.progress}); err != nil {
		w.log.Info("the operator did not hear of the end; the result is left behind", "error", err)
	}
}

// wait waits for a change or a time; false if ctx ends before.
func (w *worker) wait(ctx context.Context, d time.Duration) bool {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-w.Executor.Changes():
	case <-late.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
