package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

const (
	// pauseEach is how often somebody suspends a download that runs.
	pauseEach = 3 * time.Second
	// warm is how many of the downloads have to run before it is measured.
	warm = 0.95
)

// load keeps as many downloads running as there are to be, and suspends some.
type load struct {
	*world
	clock *clock

	mu      sync.Mutex
	running map[string]bool // By name: since it was first seen to download.
	touched map[string]bool // By name: it was to run at some time.
	next    int             // The next one that is resumed.
}

// run starts the operator, lets the downloads begin, and measures.
func (w *world) run(ctx context.Context, say func(string, ...any)) (*figures, error) {
	c := newClock()
	n := &node{world: w, clock: c, failed: make(chan error, 1), stops: map[types.UID]context.CancelFunc{}}
	l := &load{world: w, clock: c, running: map[string]bool{}, touched: map[string]bool{}, next: w.active}
	for i := range w.active {
		l.running[w.downloads[i].Name], l.touched[w.downloads[i].Name] = false, true
	}
	seen, err := w.watchDownloads(ctx)
	if err != nil {
		return nil, err
	}
	defer seen.Stop()
	if err := w.startOperator(ctx); err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	ctx, end := context.WithCancel(ctx)
	defer end()
	group.Go(func() error { return n.serve(ctx) })
	group.Go(func() error { return l.observe(ctx, seen) })
	group.Go(func() error { return w.survive(ctx) })
	var f *figures
	group.Go(func() (err error) {
		defer end()
		f, err = l.measure(ctx, say)
		return err
	})
	err = group.Wait()
	return f, err
}

// survive ends with an error if the operator does.
func (w *world) survive(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-w.operator.Done():
		return fmt.Errorf("the operator has ended by itself: %w", w.operator.Err())
	}
}

// measure waits until the downloads run, and returns what the operator costs
// from then on.
func (l *load) measure(ctx context.Context, say func(string, ...any)) (*figures, error) {
	began := time.Now()
	for tick := time.NewTicker(time.Second); l.share() < warm; {
		if err := l.refill(ctx); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
	f := &figures{settings: l.settings, start: time.Since(began)}
	say("%d run. It is measured for %v.", l.active, l.window)
	before, err := l.sample(ctx)
	if err != nil {
		return nil, err
	}
	l.clock.reset()
	over := time.After(l.window)
	fill, pause := time.NewTicker(time.Second), time.NewTicker(pauseEach)
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-fill.C:
			err = l.refill(ctx)
		case <-pause.C:
			err = l.pause(ctx)
		case <-over:
			after, err := l.sample(ctx)
			if err == nil {
				f.disturbed, err = l.disturbed()
			}
			f.before, f.after, f.times, f.late = before, after, l.clock.times(mostTransition), l.clock.late(mostTransition)
			return f, err
		}
		if err != nil {
			return nil, err
		}
	}
}

// disturbed counts what the operator has asked since its start about downloads
// that are at rest. Names of what is made for a download begin with its own.
func (l *load) disturbed() (n int, err error) {
	all, err := audit(l.dir)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range all {
		if i := number(a.name); strings.HasPrefix(a.name, prefix) && !l.touched[l.downloads[i].Name] {
			n++
		}
	}
	return n, nil
}

// share is how many of those that are to run do.
func (l *load) share() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := 0
	for _, downloads := range l.running {
		if downloads {
			seen++
		}
	}
	return float64(seen) / float64(l.active)
}

// refill resumes as many downloads as are missing.
func (l *load) refill(ctx context.Context) error {
	for {
		l.mu.Lock()
		missing := len(l.running) < l.active
		for missing && l.next < len(l.downloads) && l.downloads[l.next].Spec.Suspend == nil {
			l.next++ // It is complete.
		}
		if !missing || l.next == len(l.downloads) {
			l.mu.Unlock()
			return nil
		}
		td := l.downloads[l.next]
		l.next++
		l.running[td.Name], l.touched[td.Name] = false, true
		l.mu.Unlock()
		l.clock.begin(td.Name, resumed)
		if err := l.suspend(ctx, td, "null"); err != nil {
			return err
		}
	}
}

// pause suspends a download that runs; the next refill resumes another.
func (l *load) pause(ctx context.Context) error {
	l.mu.Lock()
	name := ""
	for n, downloads := range l.running {
		if downloads {
			name = n
			break
		}
	}
	delete(l.running, name)
	l.mu.Unlock()
	if name == "" {
		return nil
	}
	l.clock.begin(name, suspended)
	return l.suspend(ctx, l.downloads[number(name)], "true")
}

func (l *load) suspend(ctx context.Context, td *v1alpha1.TorrentDownload, value string) error {
	at := &v1alpha1.TorrentDownload{}
	at.Namespace, at.Name = td.Namespace, td.Name
	return l.Patch(ctx, at, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"suspend":`+value+`}}`)))
}

// watchDownloads watches all downloads, as people do. After the change of their
// definition the API server takes a moment until it lets that be done.
func (w *world) watchDownloads(ctx context.Context) (watch.Interface, error) {
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		seen, err := w.Watch(ctx, &v1alpha1.TorrentDownloadList{})
		if !apierrors.IsTooManyRequests(err) {
			return seen, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// observe looks at each change of a download.
func (l *load) observe(ctx context.Context, seen watch.Interface) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-seen.ResultChan():
			if !ok && ctx.Err() == nil {
				return fmt.Errorf("the watch of TorrentDownloads has ended")
			}
			if td, is := e.Object.(*v1alpha1.TorrentDownload); is {
				l.clock.see(td)
				l.see(td)
			}
		}
	}
}

// see notes which downloads run.
func (l *load) see(td *v1alpha1.TorrentDownload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ours := l.running[td.Name]; !ours {
		return
	}
	switch {
	case completed.shown(td):
		delete(l.running, td.Name)
	case td.Status.Worker.PodName != "" && td.Status.Peers != nil && td.Status.Peers.Connected > 0:
		l.running[td.Name] = true
	}
}
