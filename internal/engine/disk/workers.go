package disk

import (
	"sync"
	"sync/atomic"
)

// job is something for a worker: to finish a piece, or to tell an error.
type job struct {
	store *Store
	index uint32
	piece *assembly // nil: tell err.
	err   error
}

// queue is a list of jobs. It is not bounded by itself: a piece is in it at
// most once, and all of its blocks were received before.
type queue struct {
	mu     sync.Mutex
	some   sync.Cond
	jobs   []job
	closed bool

	pending atomic.Int64 // Jobs that are not done, those being carried out included.
}

func (q *queue) init() { q.some.L = &q.mu }

func (q *queue) put(j job) {
	q.pending.Add(1)
	q.mu.Lock()
	q.jobs = append(q.jobs, j)
	q.mu.Unlock()
	q.some.Signal()
}

// get waits for the next job. It returns false when the queue is closed and
// empty.
func (q *queue) get() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.jobs) == 0 {
		if q.closed {
			return job{}, false
		}
		q.some.Wait()
	}
	j := q.jobs[0]
	q.jobs[0] = job{}
	q.jobs = q.jobs[1:]
	return j, true
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.some.Broadcast()
}

// work carries out jobs until the queue is closed.
func (d *Disk) work() {
	w := &writer{}
	for {
		j, ok := d.jobs.get()
		if !ok {
			return
		}
		if j.piece != nil {
			j.store.finish(j.piece, w)
		} else {
			j.store.mu.Lock()
			j.store.report(Result{Index: j.index, Err: j.err})
			j.store.mu.Unlock()
		}
		d.jobs.pending.Add(-1)
		d.progress.open()
		j.store.work.Done()
	}
}

// signal lets many goroutines wait for the next time that something happens.
type signal struct {
	waiting atomic.Int32
	mu      sync.Mutex
	next    chan struct{} // Closed when it happens.
}

func (s *signal) init() { s.next = make(chan struct{}) }

// expect returns a channel that is closed at the next open. Each expect needs
// an ignore.
func (s *signal) expect() <-chan struct{} {
	s.waiting.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

func (s *signal) ignore() { s.waiting.Add(-1) }

// open wakes all who wait. It costs next to nothing while nobody does.
func (s *signal) open() {
	if s.waiting.Load() == 0 {
		return
	}
	s.mu.Lock()
	close(s.next)
	s.next = make(chan struct{})
	s.mu.Unlock()
}
