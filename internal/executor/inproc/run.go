package inproc

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// stopTimeout bounds how long a run waits for its torrent to stop. The engine
// needs far less, unless a volume hangs.
const stopTimeout = time.Minute

// run is one download from Ensure to Stop. A goroutine of its own carries it;
// what others ask for lies in the fields under mu.
type run struct {
	x        *Executor
	id       download.ID
	cancel   context.CancelFunc
	done     chan struct{}
	progress atomic.Pointer[download.Progress]

	mu   sync.Mutex
	want download.Request
	meta *metainfo.Metainfo // nil until resolved.
	news chan struct{}      // Capacity 1; a token when want has changed.

	verified string // The last VerifyToken that was acted on; the goroutine's own.
}

// start begins a run once after, if it is not nil, is closed.
func (x *Executor) start(id download.ID, r download.Request, after <-chan struct{}) *run {
	ctx, cancel := context.WithCancel(context.Background())
	run := &run{x: x, id: id, cancel: cancel, done: make(chan struct{}), want: r, news: make(chan struct{}, 1)}
	run.publish(download.Progress{State: download.StateResolving, BytesUploaded: r.BytesUploaded})
	go func() {
		defer close(run.done)
		if after != nil {
			<-after
		}
		run.carry(ctx)
	}()
	return run
}

func (r *run) wanted() download.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.want
}

// resolved returns the metainfo if a run has got so far, and nil if not; a nil
// run has not.
func (r *run) resolved() *metainfo.Metainfo {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.meta
}

// canBecome says whether a running download can turn into next: everything
// but what the engine takes while it runs has to be the same.
func (r *run) canBecome(next download.Request) bool {
	select {
	case <-r.done:
		return false
	default:
	}
	return !r.mayPass() && reflect.DeepEqual(fixed(r.wanted()), fixed(next))
}

// fixed returns what of a request can't change while a torrent runs.
func fixed(r download.Request) download.Request {
	return download.Request{
		Source: r.Source, ResolveOnly: r.ResolveOnly, InfoHash: r.InfoHash, Volume: r.Volume,
		Preallocate: r.Preallocate, RetryToken: r.RetryToken,
	}
}

// become replaces what is wanted.
func (r *run) become(next download.Request) {
	r.mu.Lock()
	r.want = next
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// carry runs the download until it has ended for good, failed, or ctx ends. A
// claim that is missing is waited for; to try again after any other failure is
// the caller's decision, and comes as an Ensure.
func (r *run) carry(ctx context.Context) {
	for {
		err := r.attempt(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		var f *download.Failure
		if !errors.As(err, &f) {
			f = fail(download.ReasonInternalError, "%v", err)
		}
		p := *r.progress.Load()
		if p.Err = f; !waiting(f) {
			p.State = download.StateFailed
			r.publish(p)
			return
		}
		p.State = download.StateWaiting
		r.publish(p)
		select {
		case <-ctx.Done():
			return
		case <-time.After(claimPoll):
		}
	}
}

// mayPass says that the run has failed for a reason that may pass by itself.
func (r *run) mayPass() bool {
	p := r.progress.Load()
	return p.State == download.StateFailed && p.Err != nil && !p.Err.Permanent
}

// attempt resolves the metainfo, finds the volume, and runs the torrent to its
// end. nil means that nothing is left to do.
func (r *run) attempt(ctx context.Context) error {
	want := r.wanted()
	m := r.resolved()
	if m == nil {
		var err error
		if m, err = r.x.resolve(ctx, want); err != nil {
			return err
		}
		r.mu.Lock()
		r.meta = m
		r.mu.Unlock()
	}
	p := *r.progress.Load()
	p.State, p.Err, p.InfoHash, p.Name = download.StateWaiting, nil, m.InfoHash.String(), m.Info.Name
	p.BytesTotal = m.Info.PayloadLength()
	p.Pieces.Length, p.Pieces.Total = m.Info.PieceLength, m.Info.PieceCount()
	r.publish(p)
	if want.ResolveOnly {
		return nil
	}
	dir, err := r.x.volume(ctx, r.id.Namespace, want.Volume.ClaimName)
	if err != nil {
		return err
	}
	t, err := r.x.cfg.Engine.Add(engine.Spec{
		Metainfo: m, Dir: dir, Path: want.Volume.Path, Owner: r.id.Namespace + "/" + r.id.Name + " (" + r.id.UID + ")",
		Trackers: want.Trackers, Peers: want.Peers, Seeding: want.Seeding, Limits: want.Limits,
		Preallocate: want.Preallocate, Verify: r.toVerify(want), StallTimeout: want.StallTimeout,
		BytesUploaded: want.BytesUploaded, CompletedAt: want.CompletedAt,
	})
	if errors.Is(err, engine.ErrDuplicate) {
		return fail(download.ReasonPathConflict, "another download already writes the same torrent to this place; delete one of the two, or give this one another path")
	} else if err != nil {
		return err
	}
	return r.follow(ctx, t)
}

// toVerify says, once for each new token, that a re-check is wanted.
func (r *run) toVerify(want download.Request) bool {
	if want.VerifyToken == "" || want.VerifyToken == r.verified {
		return false
	}
	r.verified = want.VerifyToken
	return true
}

// follow passes the torrent's progress on and what is wanted to it, until it
// ends or ctx does.
func (r *run) follow(ctx context.Context, t *engine.Torrent) error {
	for {
		r.publish(*t.Progress())
		select {
		case <-t.Changed():
		case <-r.news:
			next := r.wanted()
			t.Update(engine.Update{
				Trackers: next.Trackers, Peers: next.Peers, Seeding: next.Seeding,
				Limits: next.Limits, StallTimeout: next.StallTimeout,
			})
			if r.toVerify(next) {
				t.Verify()
			}
		case <-t.Done():
			p := t.Progress()
			r.publish(*p)
			if p.State == download.StateFailed {
				return p.Err
			}
			return nil
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			err := t.Stop(stop)
			r.publish(*t.Progress())
			return err
		}
	}
}

// publish shows p to those who observe.
func (r *run) publish(p download.Progress) {
	p.At, p.NodeName = time.Now(), r.x.cfg.NodeName
	r.progress.Store(&p)
	r.x.wake(r.id)
}
