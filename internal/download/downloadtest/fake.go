// Package downloadtest holds what tests need of downloads: a [Fake] executor
// that does what a test tells it, and [Run], the suite that every executor
// must pass, the fake included, so that what is tested with the fake holds with
// the others.
package downloadtest

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Outcome is what a download of a [Fake] comes to by itself, at once, when it
// begins or its request changes. It is called with the fake locked, so it must
// not call the fake.
type Outcome func(id download.ID, r download.Request) download.Progress

// Pending is the outcome of downloads that stay where they begin until
// [Fake.Set] moves them.
func Pending(download.ID, download.Request) download.Progress {
	return download.Progress{State: download.StateResolving}
}

// Succeed is the outcome of downloads that complete, and seed if that is
// wanted: one mebibyte in four pieces, or half of it if files are selected.
func Succeed(_ download.ID, r download.Request) download.Progress {
	p := download.Progress{
		State: download.StateWaiting, InfoHash: infoHash, Name: "content", BytesTotal: 1 << 20,
		Pieces: download.Pieces{Length: 1 << 18, Total: 4, Have: []byte{0}},
	}
	if r.InfoHash != "" {
		p.InfoHash = r.InfoHash
	}
	have := []byte{0xf0}
	if r.Files.Selection() != "" {
		p.BytesTotal, p.Pieces.Total, have = p.BytesTotal/2, 2, []byte{0xc0}
	}
	if r.ResolveOnly {
		return p
	}
	p.State, p.CompletedAt = download.StateComplete, time.Now()
	p.BytesVerified, p.BytesDownloaded, p.BytesUploaded = p.BytesTotal, p.BytesTotal, r.BytesUploaded
	p.Pieces.Verified, p.Pieces.Have = p.Pieces.Total, have
	if !r.CompletedAt.IsZero() {
		p.CompletedAt = r.CompletedAt
	}
	if r.Seeding.Policy != "" && r.Seeding.Policy != download.SeedNone {
		p.State = download.StateSeeding
	}
	return p
}

const infoHash = "0123456789abcdef0123456789abcdef01234567"

// Call is one call of [Fake.Ensure] or [Fake.Stop].
type Call struct {
	Method   string // "Ensure" or "Stop".
	ID       download.ID
	Request  download.Request
	Disposal download.Disposal // Of Stop.
}

// Fake is a [download.Executor] without engine, network or disk. Its methods
// may be called from many goroutines at once.
type Fake struct {
	outcome Outcome
	changes chan download.ID

	mu    sync.Mutex
	runs  map[download.ID]*fakeRun
	data  map[place]bool // What lies on the volumes; true if it is intact.
	calls []Call
	fails map[string]error // By method.
}

// place is where a download's data lies.
type place struct {
	namespace string
	volume    download.Volume
}

type fakeRun struct {
	request  download.Request
	progress download.Progress
	set      bool // progress is what Set said, and stays.
}

var _ download.Executor = (*Fake)(nil)

// NewFake returns a fake whose downloads come to the given outcome.
func NewFake(outcome Outcome) *Fake {
	return &Fake{
		outcome: outcome,
		changes: make(chan download.ID, 1024),
		runs:    map[download.ID]*fakeRun{},
		data:    map[place]bool{},
		fails:   map[string]error{},
	}
}

// Ensure implements [download.Executor].
func (f *Fake) Ensure(_ context.Context, id download.ID, r download.Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, Call{Method: "Ensure", ID: id, Request: r})
	if err := f.fails["Ensure"]; err != nil {
		return err
	}
	run := f.runs[id]
	if run == nil {
		run = &fakeRun{}
		f.runs[id] = run
	} else if reflect.DeepEqual(run.request, r) {
		return nil
	}
	look := r.VerifyToken != "" && r.VerifyToken != run.request.VerifyToken || r.Files.Selection() != run.request.Files.Selection()
	run.request = r
	if run.set {
		return nil
	}
	completed := run.progress.CompletedAt
	p := f.outcome(id, r)
	p.Selection = r.Files.Selection()
	if !completed.IsZero() && !p.CompletedAt.IsZero() {
		p.CompletedAt = completed
	}
	f.show(id, run, p)
	if p.BytesVerified > 0 {
		at := place{id.Namespace, r.Volume}
		if intact, there := f.data[at]; look || !there {
			f.data[at] = intact || p.Selection == ""
		}
	}
	return nil
}

// Observe implements [download.Executor].
func (f *Fake) Observe(_ context.Context, id download.ID) (download.Progress, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fails["Observe"]; err != nil {
		return download.Progress{}, err
	}
	run := f.runs[id]
	if run == nil {
		return download.Progress{}, download.ErrUnknown
	}
	return run.progress, nil
}

// Stop implements [download.Executor].
func (f *Fake) Stop(_ context.Context, id download.ID, r download.Request, d download.Disposal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, Call{Method: "Stop", ID: id, Request: r, Disposal: d})
	if err := f.fails["Stop"]; err != nil {
		return err
	}
	delete(f.runs, id)
	if d == download.Erase {
		delete(f.data, place{id.Namespace, r.Volume})
	}
	return nil
}

// Changes implements [download.Executor].
func (f *Fake) Changes() <-chan download.ID { return f.changes }

// Set makes Observe return p from now on, with the present time if p has none,
// and wakes the reader. It stays until the next Set or Stop, whatever is
// ensured. The download becomes known if it was not.
func (f *Fake) Set(id download.ID, p download.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	run := f.runs[id]
	if run == nil {
		run = &fakeRun{}
		f.runs[id] = run
	}
	run.set = true
	f.show(id, run, p)
}

// SetOutcome replaces what downloads come to from now on.
func (f *Fake) SetOutcome(o Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outcome = o
}

// Fail makes every call of a method ("Ensure", "Observe" or "Stop") return err
// until it is called with nil.
func (f *Fake) Fail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails[method] = err
}

// Forget makes all downloads unknown, as a change of leader does. Data stays.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.runs)
}

// Request returns what was last wanted of a running download; false if it does
// not run.
func (f *Fake) Request(id download.ID) (download.Request, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if run := f.runs[id]; run != nil {
		return run.request, true
	}
	return download.Request{}, false
}

// Calls returns all calls of Ensure and Stop so far, in their order.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// HasData says whether a volume of a namespace holds data of a download, and
// whether that data is intact.
func (f *Fake) HasData(namespace string, v download.Volume) (there, intact bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	intact, there = f.data[place{namespace, v}]
	return there, intact
}

// Damage spoils the data of a volume, unnoticed by the download until it is
// asked to verify.
func (f *Fake) Damage(namespace string, v download.Volume) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data[place{namespace, v}] = false
}

// show publishes p and wakes the reader, unless so many wake-ups wait already
// that one more would block.
func (f *Fake) show(id download.ID, run *fakeRun, p download.Progress) {
	if p.At.IsZero() {
		p.At = time.Now()
	}
	run.progress = p
	select {
	case f.changes <- id:
	default:
	}
}
