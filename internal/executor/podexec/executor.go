// Package podexec runs each download in a Pod of its own, in the namespace of
// the download and with its claim mounted: a Job for each attempt at
// downloading, and a StatefulSet for seeding what is complete. It is for any
// cluster: the claim decides on the node, and the process that reads what
// strangers send has no rights.
//
// What happens next is decided by [decide], which is pure, from what the
// cluster shows, what workers have told and what is wanted; the rest of the
// package reads and carries out. All that must not be lost lies in the cluster:
// what a Pod was given in a Secret, what came of it in its termination message.
// At most one Pod of a download ever runs.
package podexec

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Config is what an [Executor] needs.
type Config struct {
	// Client reads Jobs, StatefulSets, Services, Pods and claims from a cache
	// that is made with [CacheOptions], and writes.
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	// Image is that of the operator, of which a worker is a command.
	Image      string
	PullPolicy corev1.PullPolicy
	// Endpoint is host:port at which workers reach the operator.
	Endpoint string
	// CA returns the certificates, in PEM, by which they trust it.
	CA func() []byte
	// Port is where a worker takes peers if its request does not say.
	Port int
	// WorkerArgs are flags that each worker is given.
	WorkerArgs []string
	// Defaults lie beneath the WorkerSpec of each request.
	Defaults v1alpha1.WorkerSpec
}

// Executor implements [download.Executor] with Pods. It works while Start runs,
// which is while this replica leads.
type Executor struct {
	cfg     Config
	release string // As Config.release says.
	changes chan download.ID
	queue   workqueue.TypedRateLimitingInterface[download.ID]
	leads   atomic.Bool

	mu      sync.Mutex
	entries map[download.ID]*entry
}

var _ download.Executor = (*Executor)(nil)

// entry is what the executor has in hand of one download.
type entry struct {
	// busy is held by whoever reads and changes its objects. It is taken
	// before mu.
	busy   sync.Mutex
	loaded bool         // order is what the Secret says.
	made   *batchv1.Job // The youngest Job, until the cache shows it; nil else.
	told   bool         // All that was made before has been told to go.

	mu       sync.Mutex
	memory   memory
	order    *order
	ca       string // The certificates in the Secret.
	show     *download.Progress
	stopping bool // It is not wanted any more; Stop has it in hand.
	gone     bool // It is not in Executor.entries any more.
}

// New returns an executor. [Executor.SetupWithManager] connects it with a
// manager.
func New(cfg Config) *Executor {
	return &Executor{
		cfg: cfg, release: cfg.release(), changes: make(chan download.ID, wakeups), entries: map[download.ID]*entry{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[download.ID](firstError, lastError)),
	}
}

// Start looks after the downloads until ctx ends. It is called once. The Pods
// run on then.
func (x *Executor) Start(ctx context.Context) error {
	x.leads.Store(true)
	defer x.leads.Store(false)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for x.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	x.queue.ShutDown()
	all.Wait()
	return nil
}

// next looks after one download; false at the end.
func (x *Executor) next(ctx context.Context) bool {
	id, shutdown := x.queue.Get()
	if shutdown {
		return false
	}
	defer x.queue.Done(id)
	again, err := x.step(ctx, id)
	switch {
	case err != nil && ctx.Err() == nil:
		log.FromContext(ctx).Info("A download's Pods could not be looked after; it is tried again",
			"namespace", id.Namespace, "name", id.Name, "error", err.Error())
		x.queue.AddRateLimited(id)
		return true
	case again > 0:
		x.queue.AddAfter(id, again)
	}
	x.queue.Forget(id)
	return true
}

// Leads says whether this replica looks after downloads.
func (x *Executor) Leads() bool { return x.leads.Load() }

// Changes implements [download.Executor].
func (x *Executor) Changes() <-chan download.ID { return x.changes }

// Ensure implements [download.Executor].
func (x *Executor) Ensure(_ context.Context, id download.ID, r download.Request) error {
	if r.Inbound.Port == 0 {
		r.Inbound.Port = x.cfg.Port
	}
	e := x.enter(id)
	defer e.mu.Unlock()
	m := &e.memory
	if m.want != nil {
		r = r.KeepTokens(*m.want)
	} else {
		m.asked = time.Now()
	}
	changed := m.want == nil || !same(m.want, &r)
	if m.want = &r; m.observed || changed {
		if m.refused != nil && (changed || !m.refused.Permanent) {
			m.refused = nil
		}
		if f := m.ended.failure; f != nil && m.observed {
			m.spent = m.ended.attempt
		}
		m.observed = false
	}
	if e.stopping = false; e.show == nil {
		e.show = &download.Progress{At: time.Now(), State: download.StateWaiting, Selection: r.Files.Selection(), BytesUploaded: r.BytesUploaded}
	}
	x.queue.Add(id)
	return nil
}

// Observe implements [download.Executor].
func (x *Executor) Observe(ctx context.Context, id download.ID) (download.Progress, error) {
	x.mu.Lock()
	e := x.entries[id]
	x.mu.Unlock()
	if e == nil {
		return x.unasked(ctx, id)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.show == nil {
		return download.Progress{}, download.ErrUnknown
	}
	e.memory.observed = e.show.State == download.StateFailed
	return *e.show, nil
}

// unasked is what the cluster tells of a download that nobody has asked this
// process for.
func (x *Executor) unasked(ctx context.Context, id download.ID) (download.Progress, error) {
	o, err := x.list(ctx, x.cfg.Client, id)
	if err != nil {
		return download.Progress{}, err
	}
	// A Job that was told to go, as by a suspension, tells nothing any more.
	o.jobs = slices.DeleteFunc(o.jobs, func(j *batchv1.Job) bool { return j.DeletionTimestamp != nil })
	_, v := decide(situation{now: time.Now(), id: id, o: o})
	if v.show == nil {
		return download.Progress{}, download.ErrUnknown
	}
	return *v.show, nil
}

// enter returns the entry of a download, locked and in the map.
func (x *Executor) enter(id download.ID) *entry {
	for {
		x.mu.Lock()
		e := x.entries[id]
		if e == nil {
			e = &entry{}
			x.entries[id] = e
		}
		x.mu.Unlock()
		if e.mu.Lock(); !e.gone {
			return e
		}
		e.mu.Unlock()
	}
}

// step brings a download nearer to what is wanted, and says when to come back
// at the latest.
func (x *Executor) step(ctx context.Context, id download.ID) (time.Duration, error) {
	x.mu.Lock()
	e := x.entries[id]
	x.mu.Unlock()
	if e == nil {
		x.wake(id) // Its objects have changed, and somebody may ask for it.
		return 0, nil
	}
	e.busy.Lock()
	defer e.busy.Unlock()
	e.mu.Lock()
	unwanted := e.stopping || e.gone || e.memory.want == nil
	e.mu.Unlock()
	if unwanted {
		x.wake(id) // Who stops it comes back.
		return 0, nil
	}
	if len(x.cfg.CA()) == 0 {
		return time.Second, nil // The certificates are still being made or read.
	}
	o, err := x.read(ctx, id, e)
	if err != nil {
		return 0, err
	}
	e.told = false
	v := e.decide(x, id, o)
	return v.again, x.carryOut(ctx, id, e, &v)
}

// decide decides, remembers and shows; it wakes the reader if there is news.
func (e *entry) decide(x *Executor, id download.ID, o *objects) verdict {
	e.mu.Lock()
	defer e.mu.Unlock()
	o.order, o.ca = e.order, e.ca
	var v verdict
	e.memory, v = decide(situation{now: time.Now(), id: id, m: e.memory, o: o, endpoint: x.cfg.Endpoint, ca: x.cfg.CA(), release: x.release})
	if e.stopping || e.memory.want == nil {
		return verdict{}
	}
	old := e.show
	if old != nil && v.show != nil {
		at := v.show.At
		v.show.At = old.At
		if reflect.DeepEqual(old, v.show) {
			return v
		}
		v.show.At = at
	}
	e.show = v.show
	if e.memory.observed && (v.show == nil || v.show.State != download.StateFailed) {
		e.memory.observed = false
	}
	x.wake(id)
	return v
}

// wake tells the reader of news, unless so many wait already that one more
// would block.
func (x *Executor) wake(id download.ID) {
	select {
	case x.changes <- id:
	default:
	}
}
