package inproc

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/selection"
)

// run is one download from Ensure to Stop. A goroutine of its own carries it;
// what others ask for lies in the fields under mu.
type run struct {
	x        *Executor
	id       download.ID
	cancel   context.CancelFunc
	done     chan struct{} // Closed when nothing of it runs any more.
	progress atomic.Pointer[download.Progress]
	torrent  atomic.Pointer[engine.Torrent] // What runs now; nil if nothing does.

	mu      sync.Mutex
	want    download.Request   // Its tokens are the last ones that were not empty.
	meta    *metainfo.Metainfo // nil until resolved.
	news    chan struct{}      // Capacity 1; a token when want has changed. Sent to under mu.
	ended   bool               // It has come to its end by itself, and takes nothing in any more.
	stopped bool               // It was told to stop.

	// What is the goroutine's own.
	verified  string               // The last VerifyToken that was acted on.
	selection string               // What is selected, by name.
	chosen    *selection.Selection // And what that is of the torrent; nil while it is not known.
	last      func()               // Shows what the attempt came to.
}

// start begins a run of r that takes the place of old, if there is one, as
// soon as nothing of that runs any more.
func (x *Executor) start(id download.ID, r download.Request, old *run) *run {
	ctx, cancel := context.WithCancel(context.Background())
	run := &run{x: x, id: id, cancel: cancel, done: make(chan struct{}), want: r, news: make(chan struct{}, 1)}
	run.publish(download.Progress{State: download.StateResolving, Selection: r.Files.Selection(), BytesUploaded: r.BytesUploaded})
	if old != nil {
		old.stop()
		if m := old.resolved(); m != nil && reflect.DeepEqual(old.wanted().Source, r.Source) && pinned(m.InfoHash, r) == nil {
			run.meta = m
		}
	}
	go func() {
		defer close(run.done)
		if old != nil {
			<-old.done
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

// stop has the run end as soon as it can.
func (r *run) stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.cancel()
}

// become turns a run that is under way into one of next, and returns false if
// that takes another run.
func (r *run) become(next download.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.ended || !reflect.DeepEqual(r.want.Fixed(), next.Fixed()) {
		return false
	}
	next = next.KeepTokens(r.want)
	if reflect.DeepEqual(r.want, next) {
		return true
	}
	r.want = next
	select {
	case r.news <- struct{}{}:
	default:
	}
	return true
}

// settled says that a run has ended with nothing left to do for next: it is
// complete, or it has failed and neither time nor next makes a difference.
func (r *run) settled(next download.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	next = next.KeepTokens(r.want)
	p := r.progress.Load()
	if p.State != download.StateFailed {
		next.RetryToken = r.want.RetryToken // There is nothing to try again.
	} else if !p.Err.Permanent {
		return false
	}
	return r.ended && !r.stopped && reflect.DeepEqual(r.want, next)
}

// end ends the run, unless there is news.
func (r *run) end() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = len(r.news) == 0
	return r.ended
}

// carry runs the download until it has ended for good, failed, or ctx ends. A
// claim that is missing is waited for; to try again after any other failure is
// the caller's decision, and comes as an Ensure.
func (r *run) carry(ctx context.Context) {
	for {
		err := r.attempt(ctx)
		if ctx.Err() != nil {
			return
		}
		var f *download.Failure
		if err != nil && !errors.As(err, &f) {
			f = download.Fail(download.ReasonInternalError, "%v", err)
		}
		switch {
		case f != nil && waiting(f):
			r.publishStill(download.StateWaiting, f)
			select {
			case <-ctx.Done():
			case <-time.After(claimPoll):
			}
		case r.end(): // Not before is it told: whoever then asks for something else begins anew.
			r.last()
			if f != nil {
				r.publishStill(download.StateFailed, f)
			}
			return
		}
	}
}

// attempt resolves the metainfo, finds the volume, and runs the torrent to its
// end. nil means that nothing is left to do, unless there is news.
func (r *run) attempt(ctx context.Context) error {
	select {
	case <-r.news:
	default:
	}
	want := r.wanted()
	r.selection, r.chosen, r.last = want.Files.Selection(), nil, func() {}
	c := content{meta: r.resolved()}
	if known := c.meta; known == nil || want.Source.Magnet != "" {
		var err error
		if c, err = r.x.read(ctx, want); err != nil {
			return err
		}
		c.meta = cmp.Or(known, c.meta)
		r.learn(c.meta)
	}
	if c.meta != nil {
		var err error
		if r.chosen, err = selection.New(ctx.Err, c.meta.Info, want.Files, c.only()...); err != nil {
			return err
		}
	}
	if want.ResolveOnly {
		return r.resolve(ctx, want, c)
	}
	dir, err := r.x.cfg.Volumes.Folder(ctx, r.id.Namespace, want.Volume)
	if err != nil {
		return err
	}
	return r.download(ctx, want, c, dir)
}

// learn takes in the metainfo, if there is one.
func (r *run) learn(m *metainfo.Metainfo) {
	if m == nil {
		return
	}
	r.mu.Lock()
	r.meta = m
	r.mu.Unlock()
}

// spec is what an engine is asked for, whether the torrent is only resolved or
// downloaded too.
func spec(want download.Request, c content) engine.Spec {
	return engine.Spec{
		Metainfo: c.meta, Magnet: c.magnet, ResolveOnly: want.ResolveOnly, Path: want.Volume.Path, Files: want.Files,
		Trackers: want.Trackers, Peers: peers(want), Credentials: want.Credentials, WebSeeds: want.WebSeeds, NoPEX: want.NoPEX, NoDHT: want.NoDHT, Local: want.Local, Filter: want.PeerFilter, Encryption: want.Encryption,
		Seeding: want.Seeding, Limits: want.Limits, Preallocate: want.Preallocate, StallTimeout: want.StallTimeout,
		BytesUploaded: want.BytesUploaded, CompletedAt: want.CompletedAt,
	}
}

// changed is what a running torrent is told of.
func changed(want download.Request) engine.Update {
	return engine.Update{
		Files:    want.Files,
		Trackers: want.Trackers, Peers: peers(want), Credentials: want.Credentials, WebSeeds: want.WebSeeds, NoPEX: want.NoPEX, NoDHT: want.NoDHT, Local: want.Local,
		Filter: want.PeerFilter, Encryption: want.Encryption, Seeding: want.Seeding,
		Limits: want.Limits, StallTimeout: want.StallTimeout,
	}
}

// peers returns all peers that are named, those next door first.
func peers(want download.Request) []string { return slices.Concat(want.Neighbours, want.Peers) }

// resolve has the metadata fetched from peers, if it is not known, and then
// waits for what else is wanted.
func (r *run) resolve(ctx context.Context, want download.Request, c content) error {
	if c.meta == nil {
		t, err := r.x.cfg.Engine.Add(spec(want, c))
		if err != nil {
			return err
		}
		if err := r.follow(ctx, t); err != nil || ctx.Err() != nil {
			return err
		}
	}
	resolved := r.last
	r.last = func() {
		resolved()
		r.publishStill(download.StateWaiting, nil)
	}
	return nil
}

// download runs the torrent in dir until it ends or ctx does.
func (r *run) download(ctx context.Context, want download.Request, c content, dir string) error {
	s := spec(want, c)
	s.Dir, s.Owner = dir, r.id.Namespace+"/"+r.id.Name+" ("+r.id.UID+")"
	s.ReadOnly = r.x.cfg.ReadOnly
	s.Verify = want.VerifyToken != "" && want.VerifyToken != r.verified
	t, err := r.x.cfg.Engine.Add(s)
	if errors.Is(err, engine.ErrDuplicate) {
		return download.Fail(download.ReasonPathConflict, "another download already writes the same torrent to this place; delete one of the two, or create this one again with another path")
	} else if err != nil {
		return err
	}
	r.verified = want.VerifyToken
	return r.follow(ctx, t)
}

// follow passes the torrent's progress on and what is wanted to it, until
// nothing of it runs any more, because it ended or because ctx did. How it
// ended is told once nothing can come in between.
func (r *run) follow(ctx context.Context, t *engine.Torrent) error {
	r.torrent.Store(t)
	defer r.torrent.Store(nil)
	news, late := r.news, false
	for {
		r.learn(t.Metainfo())
		if p := *t.Progress(); p.State != download.StateComplete && p.State != download.StateFailed {
			if !r.wanted().ResolveOnly {
				p.Address = r.x.cfg.Address
			}
			r.publish(p)
		}
		select {
		case <-t.Changed():
		case <-news:
			if late = !r.update(t); late {
				news = nil // It goes to the torrent's successor.
			}
		case <-t.Done():
			p := t.Progress()
			r.learn(t.Metainfo())
			r.last = func() { r.publish(*p) }
			if p.State == download.StateFailed {
				return p.Err
			}
			if late {
				r.tellAgain()
			}
			return nil
		case <-ctx.Done():
			// However long it takes: whoever comes next must find nothing running.
			return t.Stop(context.WithoutCancel(ctx))
		}
	}
}

// update makes the torrent what is wanted now. It returns false if the torrent
// is ending, and does not take all of it.
func (r *run) update(t *engine.Torrent) bool {
	next := r.wanted()
	r.selection, r.chosen = next.Files.Selection(), nil
	taken := t.Update(changed(next))
	if taken && !next.ResolveOnly && next.VerifyToken != r.verified {
		if taken = t.Verify(); taken {
			r.verified = next.VerifyToken
		}
	}
	return taken
}

// tellAgain makes what is wanted news once more.
func (r *run) tellAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// publish shows p to those who observe.
func (r *run) publish(p download.Progress) {
	p.At, p.NodeName = time.Now(), r.x.cfg.NodeName
	if m := r.resolved(); m != nil {
		p.Private = m.Info.Private
	}
	r.progress.Store(&p)
	r.x.wake(r.id)
}

// publishStill shows a download of which nothing moves, and why.
func (r *run) publishStill(s download.State, why *download.Failure) {
	p := *r.progress.Load()
	p.State, p.Err, p.Selection, p.Address = s, why, r.selection, ""
	if m := r.resolved(); m != nil {
		p.InfoHash, p.Name, p.Pieces.Length = m.InfoHash.String(), m.Info.Name, m.Info.PieceLength
	}
	if r.chosen != nil {
		p.BytesTotal, p.Pieces.Total = r.chosen.Bytes, r.chosen.Pieces.Count()
	}
	r.publish(p)
}
