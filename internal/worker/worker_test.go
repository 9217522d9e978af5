package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/download/downloadtest"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

var id = download.ID{Namespace: "ml", Name: "imagenet", UID: "u-1"}

// operator is a [Reporter] that remembers what it was told, and when.
type operator struct {
	mu     sync.Mutex
	pushes []report.Push
	times  []time.Duration // Since it was made.
	began  time.Time
	answer func(ctx context.Context, p report.Push) (report.Reply, error)
}

func newOperator() *operator {
	o := &operator{began: time.Now()}
	o.say(func(_ context.Context, p report.Push) (report.Reply, error) {
		return report.Reply{Revision: p.Revision}, nil
	})
	return o
}

func (o *operator) say(answer func(context.Context, report.Push) (report.Reply, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

func (o *operator) Push(ctx context.Context, p report.Push) (report.Reply, error) {
	o.mu.Lock()
	o.pushes, o.times = append(o.pushes, p), append(o.times, time.Since(o.began))
	answer := o.answer
	o.mu.Unlock()
	return answer(ctx, p)
}

// since returns the pushes and their times since the last call.
func (o *operator) since() (pushes []report.Push, times []time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pushes, times = o.pushes, o.times
	o.pushes, o.times = nil, nil
	return pushes, times
}

// world is a worker in a bubble of virtual time.
type world struct {
	*testing.T
	*downloadtest.Fake
	Config
	operator *operator
	end      context.CancelFunc // As SIGTERM does.
	done     chan struct{}
	code     int
	err      error
}

func newWorld(t *testing.T, task report.Task, outcome downloadtest.Outcome) *world {
	w := &world{T: t, Fake: downloadtest.NewFake(outcome), operator: newOperator(), done: make(chan struct{})}
	w.Config = Config{
		Order: report.Order{ID: id, Task: task, Revision: "1", Request: download.Request{
			Source: download.Source{Magnet: "magnet:?"}, Seeding: download.Seeding{Policy: download.SeedForever},
		}},
		Executor: w.Fake, Reporter: w.operator, Result: ResultFile(filepath.Join(t.TempDir(), "result")),
		Logger: slog.New(slog.DiscardHandler), StopTimeout: 20 * time.Second,
	}
	return w
}

// start runs the worker, and lets it come to where it waits.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.end = cancel
	go func() {
		defer close(w.done)
		w.code, w.err = Run(ctx, w.Config)
	}()
	synctest.Wait()
}

// ended says whether it has.
func (w *world) ended() bool {
	synctest.Wait()
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// exits waits for the end, and holds it to code, state and failure.
func (w *world) exits(code int, state download.State, reason string) report.Result {
	w.Helper()
	<-w.done
	w.end()
	r := w.result()
	if w.code != code || r.Progress.State != state || why(r.Progress) != reason {
		w.Errorf("exit code %d (%v) with %s, %q; want %d with %s, %q", w.code, w.err, r.Progress.State, why(r.Progress), code, state, reason)
	}
	if (w.err == nil) != (code == report.ExitDone) {
		w.Errorf("exit code %d with error %v", code, w.err)
	}
	return r
}

func (w *world) result() report.Result {
	w.Helper()
	b, err := os.ReadFile(string(w.Result))
	if err != nil {
		w.Fatal(err)
	}
	r, err := report.DecodeResult(b)
	if err != nil {
		w.Fatalf("%q: %v", b, err)
	}
	return r
}

// lastEnsured returns the last request that the executor was given.
func (w *world) lastEnsured() download.Request {
	w.Helper()
	for _, c := range slices.Backward(w.Calls()) {
		if c.Method == "Ensure" {
			return c.Request
		}
	}
	w.Fatal("nothing was ensured")
	return download.Request{}
}

func bubble(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) }

func TestADownloadEndsWhenItIsDurable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Download, downloadtest.Succeed)
		w.start()
		r := w.exits(report.ExitDone, download.StateComplete, "")
		if r.Revision != "1" || r.Progress.BytesVerified != 1<<20 || r.Progress.CompletedAt.IsZero() {
			t.Errorf("left %+v", r)
		}
		if s := w.lastEnsured().Seeding; s != (download.Seeding{}) {
			t.Errorf("seeding is another worker's: %+v", s)
		}
		if c := w.Calls()[len(w.Calls())-1]; c.Method != "Stop" || c.Disposal != download.Keep {
			t.Errorf("the last call was %+v", c)
		}
		pushes, _ := w.operator.since()
		if len(pushes) == 0 || pushes[len(pushes)-1].Progress.State != download.StateComplete || pushes[0].ID != id {
			t.Errorf("told %+v", pushes)
		}
	})
}

func TestAResolvingEndsWithTheMetadata(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Download, downloadtest.Pending)
		w.Order.Request.ResolveOnly = true
		w.start()
		w.Set(id, download.Progress{State: download.StateWaiting, Err: download.Fail(download.ReasonClaimPending, "wait")})
		if w.ended() {
			t.Fatal("it ended while it was waiting for something")
		}
		p := downloadtest.Succeed(id, w.Order.Request)
		w.Set(id, p)
		if r := w.exits(report.ExitDone, download.StateWaiting, ""); r.Progress.InfoHash != p.InfoHash || r.Progress.BytesTotal != p.BytesTotal {
			t.Errorf("left %+v", r)
		}
	})
}

func TestAFailureEndsEveryTask(t *testing.T) {
	for _, task := range []report.Task{report.Download, report.Seed} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, task, downloadtest.Pending)
			w.start()
			w.Set(id, download.Progress{State: download.StateFailed, Err: download.FailForGood(download.ReasonPathConflict, "in the way")})
			r := w.exits(report.ExitFailed, download.StateFailed, download.ReasonPathConflict)
			if !r.Progress.Err.Permanent || r.Progress.Err.Message != "in the way" {
				t.Errorf("left %+v", r.Progress.Err)
			}
		})
	}
}

func TestASeederIsAtRestUntilItIsEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Seed, downloadtest.Succeed)
		w.start()
		time.Sleep(time.Hour)
		if r := w.result(); w.ended() || r.Progress.State != download.StateSeeding {
			t.Fatalf("ended %t, left %+v", w.ended(), r)
		}
		w.Set(id, download.Progress{State: download.StateComplete})
		time.Sleep(time.Hour)
		pushes, _ := w.operator.since()
		if w.ended() || pushes[len(pushes)-1].Progress.State != download.StateComplete {
			t.Fatal("it ended by itself, or does not say that it is at rest")
		}
		w.end()
		w.exits(report.ExitDone, download.StateComplete, "")
	})
}

func TestToldToStopItKeepsWhatThereIs(t *testing.T) {
	for _, task := range []report.Task{report.Download, report.Seed} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, task, downloadtest.Pending)
			w.start()
			w.Set(id, download.Progress{
				State: download.StateDownloading, BytesTotal: 9, BytesVerified: 4, DownloadBytesPerSecond: 3, Address: "10.0.0.1:6881",
			})
			synctest.Wait()
			w.end()
			r := w.exits(report.ExitStopped, download.StateDownloading, "")
			if p := r.Progress; p.BytesVerified != 4 || p.DownloadBytesPerSecond != 0 || p.Address != "" {
				t.Errorf("left %+v", p)
			}
			if c := w.Calls()[len(w.Calls())-1]; c.Method != "Stop" || c.Disposal != download.Keep {
				t.Errorf("the last call was %+v", c)
			}
		})
	}
}

// stuck is an executor that can't stop, as on a volume that does not answer.
type stuck struct{ *downloadtest.Fake }

func (stuck) Stop(ctx context.Context, _ download.ID, _ download.Request, _ download.Disposal) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestWhatCanNotStopIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Download, downloadtest.Pending)
		w.Executor = stuck{w.Fake}
		w.operator.say(func(ctx context.Context, _ report.Push) (report.Reply, error) {
			<-ctx.Done() // Nor does the operator answer.
			return report.Reply{}, ctx.Err()
		})
		w.start()
		before := time.Now()
		w.end()
		w.exits(report.ExitStopped, download.StateResolving, "")
		if took := time.Since(before); took > w.StopTimeout+lastPush {
			t.Errorf("it took %v", took)
		}
	})
}

func TestTheOperatorIsToldWhatAPersonWaitsForAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Download, downloadtest.Pending)
		w.start()
		if pushes, times := w.operator.since(); len(pushes) != 1 || times[0] != 0 || pushes[0].Revision != "1" {
			t.Errorf("at its start it told %+v", pushes)
		}
		time.Sleep(5 * heartbeat)
		_, times := w.operator.since()
		if n := len(times); n < 3 || n > 7 {
			t.Errorf("%d pushes in five heartbeats", n)
		}
		for verified := range int64(60) {
			w.Set(id, download.Progress{State: download.StateResolving, BytesTotal: 100, BytesVerified: verified})
			time.Sleep(time.Second)
		}
		_, times = w.operator.since()
		if n := len(times); n < 9 || n > 17 {
			t.Errorf("%d pushes in a minute of news", n)
		}
		for i := 1; i < len(times); i++ {
			if gap := times[i] - times[i-1]; gap < interval*8/10 || gap > interval*12/10+look {
				t.Errorf("%v between two pushes", gap)
			}
		}
		time.Sleep(2 * interval) // All news is told, and the next heartbeat is far.
		w.operator.since()
		w.Set(id, download.Progress{State: download.StateDownloading})
		synctest.Wait()
		if pushes, _ := w.operator.since(); len(pushes) != 1 || pushes[0].Progress.State != download.StateDownloading {
			t.Errorf("a transition: %+v", pushes)
		}
		for range 100 { // What flaps does not flood.
			w.Set(id, download.Progress{State: download.StateStalled})
			time.Sleep(time.Second / 10)
			w.Set(id, download.Progress{State: download.StateDownloading})
			time.Sleep(time.Second / 10)
		}
		if pushes, _ := w.operator.since(); len(pushes) > 26 {
			t.Errorf("%d pushes in 20 seconds", len(pushes))
		}
		w.end()
		w.exits(report.ExitStopped, download.StateDownloading, "")
	})
}

func TestWhatTheOperatorWantsNowIsEnsured(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Seed, downloadtest.Succeed)
		want := w.Order.Request
		want.Limits.MaxPeers = 7
		w.operator.say(func(context.Context, report.Push) (report.Reply, error) {
			return report.Reply{Revision: "2", Request: &want}, nil
		})
		w.start()
		time.Sleep(2 * transitionGap)
		if got := w.lastEnsured(); got.Limits.MaxPeers != 7 || got.Seeding != want.Seeding {
			t.Errorf("ensured %+v", got)
		}
		pushes, _ := w.operator.since()
		if pushes[0].Revision != "1" || pushes[len(pushes)-1].Revision != "2" {
			t.Errorf("told %+v", pushes)
		}
		ensured := 0
		for _, c := range w.Calls() {
			if c.Method == "Ensure" {
				ensured++
			}
		}
		if ensured != 2 {
			t.Errorf("ensured %d times", ensured)
		}
		w.end()
		if r := w.exits(report.ExitStopped, download.StateSeeding, ""); r.Revision != "2" {
			t.Errorf("left %+v", r)
		}
	})
}

func TestWhatCanNotBeTakenInComesAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Seed, downloadtest.Succeed)
		want := w.Order.Request
		want.Limits.MaxPeers = 7
		w.start()
		w.Fail("Ensure", errors.New("not now"))
		w.operator.say(func(context.Context, report.Push) (report.Reply, error) {
			return report.Reply{Revision: "2", Request: &want}, nil
		})
		time.Sleep(heartbeat * 2)
		pushes, _ := w.operator.since()
		if p := pushes[len(pushes)-1]; p.Revision != "1" || w.ended() {
			t.Errorf("told %+v", p)
		}
		w.Fail("Ensure", nil)
		time.Sleep(heartbeat * 2)
		if pushes, _ = w.operator.since(); pushes[len(pushes)-1].Revision != "2" {
			t.Errorf("told %+v", pushes)
		}
		w.end()
		w.exits(report.ExitStopped, download.StateSeeding, "")
	})
}

func TestAnOperatorThatIsAwayChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Download, downloadtest.Pending)
		w.operator.say(func(context.Context, report.Push) (report.Reply, error) { return report.Reply{}, errors.New("away") })
		w.start()
		time.Sleep(time.Hour)
		_, times := w.operator.since()
		if n := len(times); n < 200 || n > 360 {
			t.Errorf("%d tries in an hour", n)
		}
		if gap := times[2] - times[1]; gap > 3*time.Second {
			t.Errorf("the second try came after %v", gap)
		}
		// It is back.
		w.operator.say(func(context.Context, report.Push) (report.Reply, error) { return report.Reply{}, nil })
		time.Sleep(mostBackoff * 2)
		if pushes, _ := w.operator.since(); len(pushes) == 0 {
			t.Error("it was not told again")
		}
		w.operator.say(func(context.Context, report.Push) (report.Reply, error) { return report.Reply{}, errors.New("away") })
		w.Set(id, downloadtest.Succeed(id, download.Request{}))
		w.exits(report.ExitDone, download.StateComplete, "")
	})
}

func TestNobodyHasToBeTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Download, downloadtest.Succeed)
		w.Reporter = nil
		w.start()
		w.exits(report.ExitDone, download.StateComplete, "")
	})
}

func TestWhatTheExecutorRefusesIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Download, downloadtest.Succeed)
		w.Fail("Ensure", errors.New("no"))
		w.start()
		w.exits(report.ExitFailed, download.StateFailed, download.ReasonInternalError)
	})
}

// crashing is an executor with an error in the program.
type crashing struct{ *downloadtest.Fake }

func (crashing) Observe(context.Context, download.ID) (download.Progress, error) {
	panic("an odd index")
}

func TestACrashLeavesAResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Download, downloadtest.Succeed)
		w.Executor = crashing{w.Fake}
		w.start()
		r := w.exits(report.ExitFailed, download.StateFailed, download.ReasonInternalError)
		if r.Progress.Err.Message != "the worker crashed: an odd index; its log says where" {
			t.Error(r.Progress.Err.Message)
		}
	})
}

// Nothing can be done when the process goes, but what was known is there.
func TestTheResultIsThereBeforeTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Download, downloadtest.Pending)
		w.Reporter = nil
		w.start()
		if r := w.result(); r.Progress.State != download.StateResolving || r.Revision != "1" {
			t.Errorf("at the start: %+v", r)
		}
		for i, s := range []download.State{download.StateDownloading, download.StateStalled, download.StateDownloading} {
			w.Set(id, download.Progress{State: s, Name: fmt.Sprintf("%0*d", 300-100*i, 0), Err: map[bool]*download.Failure{
				true: download.Fail(download.ReasonNoPeers, "nobody"),
			}[s == download.StateStalled]})
			synctest.Wait()
			if r := w.result(); r.Progress.State != s || len(r.Progress.Name) != 300-100*i {
				t.Errorf("while %s: %+v", s, r)
			}
		}
		w.end()
		<-w.done
	})
}

func TestErase(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Erase, downloadtest.Succeed)
		w.start()
		w.exits(report.ExitDone, download.StateComplete, "")
		if c := w.Calls(); len(c) != 1 || c[0].Method != "Stop" || c[0].Disposal != download.Erase || c[0].Request.Source.Magnet != w.Order.Request.Source.Magnet {
			t.Errorf("called %+v", c)
		}
	})
}

func TestEraseIsTriedAgain(t *testing.T) {
	for _, passes := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, report.Erase, downloadtest.Succeed)
			w.Fail("Stop", download.ErrEnding)
			w.start()
			time.Sleep(time.Hour)
			if w.ended() {
				t.Fatal("it did not wait for the end")
			}
			w.Fail("Stop", errors.New("no answer"))
			time.Sleep(look * 2)
			if passes {
				w.Fail("Stop", nil)
				w.exits(report.ExitDone, download.StateComplete, "")
				return
			}
			r := w.exits(report.ExitFailed, download.StateFailed, download.ReasonVolumeError)
			if r.Progress.Err.Permanent {
				t.Error("it may pass")
			}
		})
	}
}

func TestEraseCanBeStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, report.Erase, downloadtest.Succeed)
		w.Fail("Stop", download.ErrEnding)
		w.start()
		w.end()
		w.exits(report.ExitStopped, download.StateWaiting, "")
	})
}
