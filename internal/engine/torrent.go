package engine

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/disk"
	"github.com/torrent-operator/torrent-operator/internal/engine/limiter"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/selection"
)

// Torrent is one torrent in an engine. Its methods may be called from any
// goroutine; its state belongs to a goroutine of its own.
type Torrent struct {
	engine *Engine
	spec   Spec
	hash   metainfo.Hash
	meta   atomic.Pointer[metainfo.Metainfo] // nil until resolved.
	log    *slog.Logger

	ctx      context.Context // Ends when the torrent is to stop.
	cancel   context.CancelFunc
	done     chan struct{}
	progress atomic.Pointer[download.Progress]
	peers    atomic.Pointer[[]PeerInfo]
	changed  chan struct{}

	files     download.Files       // What selection was made of. Like it, the goroutine's own.
	selection *selection.Selection // nil until the metainfo is known and files were chosen.
	known     []netip.AddrPort     // Peers of the last session, to begin the next one with.

	asks       chan ask            // Taken while there is a hub.
	publishing sync.Mutex          // Held while the snapshot is replaced.
	hub        atomic.Pointer[hub] // nil while files are being opened or checked, unless the torrent was resolved just before.
	down, up   *rate.Limiter

	mu      sync.Mutex // Guards the wishes below.
	want    Update
	verify  bool
	resting bool          // Everything was done that was wanted: no wish is taken any more.
	wake    chan struct{} // Capacity 1; a token while the wishes have news.
}

// Update is what may change while a torrent runs. It is complete: what is not
// in it is taken away.
type Update struct {
	Files                     download.Files
	Trackers, Peers, WebSeeds []string
	NoPEX, NoDHT, Local       bool
	Filter                    download.PeerFilter
	Encryption                download.Encryption
	Credentials               []download.Credential
	Seeding                   download.Seeding
	Limits                    download.Limits
	StallTimeout              time.Duration
}

func newTorrent(e *Engine, s Spec) *Torrent {
	t := &Torrent{
		engine:  e,
		spec:    s,
		done:    make(chan struct{}),
		changed: make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		asks:    make(chan ask),
		down:    limiter.New(s.Limits.DownloadBytesPerSecond),
		up:      limiter.New(s.Limits.UploadBytesPerSecond),
		verify:  s.Verify,
		want: Update{
			Files:    s.Files,
			Trackers: s.Trackers, Peers: s.Peers, WebSeeds: s.WebSeeds, Credentials: s.Credentials, NoPEX: s.NoPEX, NoDHT: s.NoDHT, Local: s.Local, Filter: s.Filter, Encryption: s.Encryption, Seeding: s.Seeding,
			Limits: s.Limits, StallTimeout: s.StallTimeout,
		},
	}
	if m := s.Metainfo; m != nil {
		t.hash = m.InfoHash
		t.meta.Store(m)
		t.log = e.log.With("torrent", m.Info.Name, "infoHash", t.hash.String())
	} else {
		t.hash = s.Magnet.InfoHash
		t.log = e.log.With("infoHash", t.hash.String())
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.progress.Store(firstProgress(s))
	return t
}

// Progress returns the latest snapshot. It is never nil and never changes.
func (t *Torrent) Progress() *download.Progress { return t.progress.Load() }

// Metainfo returns what the torrent is made of, or nil as long as that is not
// known of a magnet link.
func (t *Torrent) Metainfo() *metainfo.Metainfo { return t.meta.Load() }

// Peers returns what was known of each connected peer when Progress was made.
func (t *Torrent) Peers() []PeerInfo {
	if p := t.peers.Load(); p != nil {
		return *p
	}
	return nil
}

// Changed holds a token when Progress has been replaced since the last one was
// taken.
func (t *Torrent) Changed() <-chan struct{} { return t.changed }

// Done is closed when nothing of the torrent runs any more: after Stop, after
// a failure, or when it is complete and has seeded as long as it should.
// Progress then says which.
func (t *Torrent) Done() <-chan struct{} { return t.done }

// Update changes what may change of a running torrent. The same value twice
// changes nothing. It returns false if it came too late: the torrent is
// complete, has seeded as long as it should, and is about to end.
func (t *Torrent) Update(u Update) bool {
	return t.wish(func() { t.want = u })
}

// Verify hashes all data again, from the start, and fetches what is bad. It
// returns false if it came too late, as Update does.
func (t *Torrent) Verify() bool {
	return t.wish(func() { t.verify = true })
}

// wish changes what is wanted, unless the torrent is about to end.
func (t *Torrent) wish(change func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resting {
		return false
	}
	change()
	select {
	case t.wake <- struct{}{}:
	default:
	}
	return true
}

// rest ends the taking of wishes, unless there is one that was not read yet.
func (t *Torrent) rest() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resting = len(t.wake) == 0
	return t.resting
}

// Stop ends the torrent: blocks of unfinished pieces are kept on disk, what
// was written is made durable, and trackers are told. It returns when nothing
// of the torrent runs any more, or with ctx's error when ctx ends before.
func (t *Torrent) Stop(ctx context.Context) error {
	t.cancel()
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wishes returns what is wanted now, and whether a re-check is.
func (t *Torrent) wishes() (want Update, verify bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.want, t.verify
}

// errAgain ends a session so that the next one begins: with a re-check, or with
// other files.
var errAgain = errors.New("the files are to be opened again")

// run is the torrent's goroutine: sessions, one after another until one ends
// for good.
func (t *Torrent) run() {
	defer close(t.done)
	defer t.engine.forget(t)
	defer t.cancel()
	for {
		err := t.runSession()
		switch {
		case errors.Is(err, errAgain):
			continue
		case err != nil && t.ctx.Err() == nil:
			f := failure(err)
			t.log.Error("the download stopped", "reason", f.Reason, "error", err)
			t.amend(func(p *download.Progress) { p.State, p.Err = download.StateFailed, f })
		case err != nil && !errors.Is(err, context.Canceled):
			t.log.Warn("stopped, but not all could be kept; the next start fetches it again", "error", err)
		}
		return
	}
}

// runSession finds out what the torrent is, opens the files, and goes on until
// the torrent is stopped (nil), is at rest (nil), is to be opened again
// (errAgain), or fails.
func (t *Torrent) runSession() error {
	from, err := t.resolve()
	if err != nil || t.meta.Load() == nil || t.spec.ResolveOnly {
		return err
	}
	var store *disk.Store
	if from != nil {
		from.during(func() { store, err = t.open() })
	} else {
		store, err = t.open()
	}
	if err != nil {
		if from != nil {
			from.end()
		}
		return err
	}
	s := newSession(t, store, from)
	t.hub.Store(s.hub)
	err = s.loop(t.ctx)
	t.hub.Store(nil)
	end := s.shutdown()
	if err == nil {
		return end
	}
	if end != nil { // It follows from the first, which says what to do.
		t.log.Debug("closing after a failure failed too", "error", end)
	}
	return err
}

// open opens the files and, if that was asked for, sees to it that all of them
// were checked.
func (t *Torrent) open() (*disk.Store, error) {
	t.mu.Lock()
	files, verify := t.want.Files, t.verify
	t.verify = false
	t.mu.Unlock()
	t.amend(func(p *download.Progress) { p.State, p.Err, p.Checked = download.StateChecking, nil, 0 })
	if t.selection == nil || !files.Equal(t.files) {
		if err := t.choose(files); err != nil {
			return nil, err
		}
	}
	m := t.meta.Load()
	spec := disk.Spec{
		Dir: t.spec.Dir, Path: t.spec.Path, Info: m.Info, InfoHash: m.InfoHash,
		Selected: t.selection.Files, Owner: t.spec.Owner, Preallocate: t.spec.Preallocate, ReadOnly: t.spec.ReadOnly, Done: t.pieceDone,
	}
	if t.selection.All {
		spec.Selected = nil
	}
	if t.spec.Magnet != nil {
		spec.KeepInfo = m.InfoBytes
	}
	store, err := t.engine.disk.Open(t.ctx, spec, t.checked)
	if errors.Is(err, disk.ErrReadOnly) { // Everything may be there.
		spec.ReadOnly = true
		if served, err := t.engine.disk.Open(t.ctx, spec, t.checked); err == nil {
			return t.verified(served, verify)
		}
	}
	if err != nil {
		return nil, err
	}
	return t.verified(store, verify)
}

// verified sees to it that the files of a store were checked, if they have to
// be, or closes it.
func (t *Torrent) verified(store *disk.Store, verify bool) (*disk.Store, error) {
	if verify && !store.Hashed() {
		if _, err := store.Check(t.ctx, t.checked); err != nil {
			return nil, errors.Join(err, store.Close())
		}
	}
	return store, nil
}

// choose selects files of the torrent, whose metainfo is known, and shows how
// much that is. Nothing of it is known to be there. It may take long, and ends
// early if the torrent is to stop.
func (t *Torrent) choose(files download.Files) error {
	m := t.meta.Load()
	var only []metainfo.IndexRange
	if t.spec.Magnet != nil {
		only = t.spec.Magnet.Select
	}
	chosen, err := selection.New(t.ctx.Err, m.Info, files, only...)
	t.files, t.selection = files, chosen
	t.amend(func(p *download.Progress) {
		p.Selection = files.Selection()
		describe(p, m, chosen)
	})
	return err
}
