package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	crclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// listing follows the downloads of a namespace, or of all, for one person. It
// keeps of each what a row shows, encoded once for all browsers.
type listing struct {
	readers   *readers // Its lock guards what follows.
	person    *person
	namespace string // "" is all.

	rows    map[string]row
	encoded map[string]json.RawMessage
	changed map[string]bool // Keys that were not told yet.
	loaded  bool
	failed  *problem // Why the person is not shown anything.

	ready chan struct{} // Is closed when the first of loaded and failed is set.
	once  sync.Once
	stop  context.CancelFunc
}

func newListing(r *readers, p *person, namespace string) *listing {
	return &listing{
		readers: r, person: p, namespace: namespace, rows: map[string]row{}, encoded: map[string]json.RawMessage{},
		changed: map[string]bool{}, ready: make(chan struct{}),
	}
}

// run implements feed. The reflector lists and watches again after every
// failure, later each time; only an answer that will not change ends it.
func (l *listing) run(ctx context.Context) *over {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.stop = cancel
	var reflecting sync.WaitGroup
	lister := &cache.ListWatch{ListWithContextFunc: l.list, WatchFuncWithContext: l.watch}
	reflector := cache.NewReflectorWithOptions(lister, &v1alpha1.TorrentDownload{}, l, cache.ReflectorOptions{Name: "downloads"})
	reflecting.Go(func() { reflector.RunWithContext(ctx) })
	tick := time.NewTicker(listEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			l.flush()
		}
	}
	reflecting.Wait()
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	if l.failed == nil {
		return nil
	}
	return &over{Text: l.failed.Text, Login: true}
}

func (l *listing) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	list := &v1alpha1.TorrentDownloadList{}
	err := l.person.List(ctx, list, &crclient.ListOptions{Namespace: l.namespace, Raw: &o})
	return list, l.notice(err)
}

func (l *listing) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	w, err := l.person.Watch(ctx, &v1alpha1.TorrentDownloadList{}, &crclient.ListOptions{Namespace: l.namespace, Raw: &o})
	return w, l.notice(err)
}

// notice ends the listing by an answer that will not change.
func (l *listing) notice(err error) error {
	if err == nil || !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) && !apierrors.IsNotFound(err) {
		return err
	}
	where := "list and watch the downloads of all namespaces"
	if l.namespace != "" {
		where = "list and watch the downloads of namespace " + l.namespace
	}
	l.readers.mu.Lock()
	l.failed = explain(err, where)
	l.readers.mu.Unlock()
	l.once.Do(func() { close(l.ready) })
	l.stop()
	return err
}

// Add, Update, Delete, Replace and Resync are what a reflector calls.

// Add takes in a download.
func (l *listing) Add(o any) error { return l.put(o) }

// Update takes in a download.
func (l *listing) Update(o any) error { return l.put(o) }

func (l *listing) put(o any) error {
	td, ok := o.(*v1alpha1.TorrentDownload)
	if !ok {
		return fmt.Errorf("a %T is no download", o)
	}
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	l.take(td)
	return nil
}

func (l *listing) take(td *v1alpha1.TorrentDownload) {
	key, r := td.Namespace+"/"+td.Name, rowOf(td)
	if l.rows[key] == r {
		return
	}
	b, err := json.Marshal(r)
	if err != nil { // A row can always be encoded.
		panic(err)
	}
	l.rows[key], l.encoded[key], l.changed[key] = r, b, true
}

// Delete takes a download away.
func (l *listing) Delete(o any) error {
	td, ok := o.(*v1alpha1.TorrentDownload)
	if !ok {
		return fmt.Errorf("a %T is no download", o)
	}
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	l.drop(td.Namespace + "/" + td.Name)
	return nil
}

func (l *listing) drop(key string) {
	delete(l.rows, key)
	delete(l.encoded, key)
	l.changed[key] = true
}

// Replace takes in all downloads.
func (l *listing) Replace(all []any, _ string) error {
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	there := map[string]bool{}
	for _, o := range all {
		if td, ok := o.(*v1alpha1.TorrentDownload); ok {
			there[td.Namespace+"/"+td.Name] = true
			l.take(td)
		}
	}
	for key := range l.rows {
		if !there[key] {
			l.drop(key)
		}
	}
	if !l.loaded {
		l.loaded = true
		l.spread(l.whole())
		clear(l.changed)
		l.once.Do(func() { close(l.ready) })
	}
	return nil
}

// Resync has nothing to do.
func (l *listing) Resync() error { return nil }

// flush tells what has changed since the last time.
func (l *listing) flush() {
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	if !l.loaded || len(l.changed) == 0 {
		return
	}
	var put, gone []string
	for key := range l.changed {
		if _, there := l.rows[key]; there {
			put = append(put, key)
		} else {
			gone = append(gone, key)
		}
	}
	clear(l.changed)
	l.spread(l.events(put))
	if len(gone) > 0 {
		l.readers.tell(newEvent("gone", gone))
	}
}

func (l *listing) spread(events []event) {
	for _, e := range events {
		l.readers.tell(e)
	}
}

// whole implements feed.
func (l *listing) whole() []event {
	if !l.loaded {
		return nil
	}
	return append(l.events(slices.Sorted(maps.Keys(l.rows))), newEvent("loaded", len(l.rows)))
}

// events puts the rows of keys into events, a few hundred into each.
func (l *listing) events(keys []string) []event {
	var out []event
	for chunk := range slices.Chunk(keys, chunkRows) {
		var b bytes.Buffer
		b.WriteString("event: rows\ndata: [")
		for i, key := range chunk {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(l.encoded[key])
		}
		b.WriteString("]\n\n")
		out = append(out, b.Bytes())
	}
	return out
}

// summary is a list as its first answer shows it.
type summary struct {
	rows     []row // The first, by name.
	count    int
	tones    map[tone]int
	down, up int64
	loaded   bool
	failed   *problem
}

// summarize waits a moment for the first rows, and sums the list up.
func (l *listing) summarize(ctx context.Context) summary {
	wait := time.NewTimer(firstWait)
	defer wait.Stop()
	select {
	case <-l.ready:
	case <-wait.C:
	case <-ctx.Done():
	}
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	s := summary{count: len(l.rows), tones: map[tone]int{}, loaded: l.loaded, failed: l.failed}
	for _, r := range l.rows {
		s.tones[r.Tone]++
		s.down += r.Down
		s.up += r.Up
		s.rows = append(s.rows, r)
	}
	slices.SortFunc(s.rows, func(a, b row) int {
		if c := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); c != 0 {
			return c
		}
		return strings.Compare(a.Namespace, b.Namespace)
	})
	s.rows = s.rows[:min(len(s.rows), firstRows)]
	return s
}
