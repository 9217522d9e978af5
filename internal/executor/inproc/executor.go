// Package inproc runs downloads in this process: any number of them in the
// operator, which writes to PersistentVolumes whose data lies on its node
// ([Claims]), or the one of a worker Pod, which has its volume mounted
// ([Mounted]).
//
// In the operator it is for demonstrations and single-tenant machines: there is
// no wall between the bytes of strangers and the operator's rights. What it does
// have is bounded: it writes only below folders that the administrator allowed,
// opens nothing outside of a volume, and dials only what the engine's guard
// lets through.
package inproc

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
)

// Bounds on fetching the .torrent file of a download that is to be erased and
// did not run before.
const (
	eraseFetch   = 20 * time.Second
	eraseFetches = 2 // At once.
)

var errFetches = errors.New("which files are the torrent's own is told by its .torrent file, and others are being fetched first")

var errClosed = errors.New("the operator is being stopped")

// wakeups is how many wake-ups may wait for the reader before they are lost.
const wakeups = 4096

// Config is what an [Executor] needs.
type Config struct {
	Engine  *engine.Engine // Shared by all downloads; closed by its maker, after Close.
	Volumes Volumes
	// ReadOnly says that volumes can only be read: what is complete is served,
	// and nothing is written.
	ReadOnly bool
	NodeName string // The node on which this process runs.
	// Address is host:port at which others in the cluster reach the engine as
	// a peer; "" if they can't.
	Address string
}

// Executor implements [download.Executor] with goroutines of this process.
type Executor struct {
	cfg     Config
	changes chan download.ID
	fetches chan struct{} // Holds a token for each fetch that an erasure waits for.

	mu     sync.Mutex
	runs   map[download.ID]*run
	closed bool
}

var (
	_ download.Executor  = (*Executor)(nil)
	_ download.Inspector = (*Executor)(nil)
)

// New returns an executor that runs nothing yet.
func New(cfg Config) *Executor {
	return &Executor{
		cfg: cfg, changes: make(chan download.ID, wakeups), fetches: make(chan struct{}, eraseFetches),
		runs: map[download.ID]*run{},
	}
}

// Ensure implements [download.Executor]. A request that differs in what can't
// change while a torrent runs ends the old run; the new one begins when
// nothing of it is left.
func (x *Executor) Ensure(_ context.Context, id download.ID, r download.Request) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return errClosed
	}
	if old := x.runs[id]; old == nil || !old.become(r) && !old.settled(r) {
		x.runs[id] = x.start(id, r, old)
	}
	return nil
}

// Observe implements [download.Executor].
func (x *Executor) Observe(_ context.Context, id download.ID) (download.Progress, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.runs[id]
	if r == nil {
		return download.Progress{}, download.ErrUnknown
	}
	return *r.progress.Load(), nil
}

// Inspect implements [download.Inspector].
func (x *Executor) Inspect(ctx context.Context, id download.ID) (d download.Detail, err error) {
	x.mu.Lock()
	r := x.runs[id]
	x.mu.Unlock()
	if r == nil {
		return d, download.ErrUnknown
	}
	if t := r.torrent.Load(); t != nil {
		if d, err = t.Inspect(ctx); err != nil {
			return d, err
		}
	}
	d.Progress = *r.progress.Load() // Which says too where it runs, and why it does not.
	return d, nil
}

// Stop implements [download.Executor].
func (x *Executor) Stop(ctx context.Context, id download.ID, r download.Request, data download.Disposal) error {
	x.mu.Lock()
	old := x.runs[id]
	x.mu.Unlock()
	if old != nil {
		old.stop()
		select {
		case <-old.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		x.mu.Lock()
		if x.runs[id] == old {
			delete(x.runs, id)
		}
		x.mu.Unlock()
	}
	if data == download.Erase {
		return x.erase(ctx, id, r, old)
	}
	return nil
}

// Changes implements [download.Executor].
func (x *Executor) Changes() <-chan download.ID { return x.changes }

// Close stops all downloads, all at once, keeps their data, and lets none begin
// any more. It may be called again if ctx ended before they did.
func (x *Executor) Close(ctx context.Context) error {
	x.mu.Lock()
	x.closed = true
	ids := make([]download.ID, 0, len(x.runs))
	for id, r := range x.runs {
		r.stop()
		ids = append(ids, id)
	}
	x.mu.Unlock()
	var err error
	for _, id := range ids {
		err = errors.Join(err, x.Stop(ctx, id, download.Request{}, download.Keep))
	}
	return err
}

// erase removes a stopped download's data. It finds them as the run did. Where
// there is no volume that was ever written to, there is nothing to erase.
func (x *Executor) erase(ctx context.Context, id download.ID, r download.Request, old *run) error {
	dir, err := x.cfg.Volumes.Folder(ctx, id.Namespace, r.Volume)
	if errors.Is(err, ErrNowhere) {
		return nil
	} else if err != nil {
		return err
	}
	c := content{meta: old.resolved()}
	if c.meta == nil {
		if c, err = x.readToErase(ctx, r); err != nil {
			return err
		}
	}
	if c.meta == nil {
		return engine.EraseMagnet(dir, r.Volume.Path, c.hash())
	}
	return engine.Erase(dir, r.Volume.Path, c.meta)
}

// readToErase reads a request's source while the caller of Stop waits. A
// server that never answers holds up few of them, and none for long.
func (x *Executor) readToErase(ctx context.Context, r download.Request) (content, error) {
	if r.Source.URL == nil {
		return x.read(ctx, r)
	}
	select {
	case x.fetches <- struct{}{}:
		defer func() { <-x.fetches }()
	default:
		return content{}, errFetches
	}
	ctx, cancel := context.WithTimeout(ctx, eraseFetch)
	defer cancel()
	return x.read(ctx, r)
}

func (x *Executor) wake(id download.ID) {
	select {
	case x.changes <- id:
	default:
	}
}
