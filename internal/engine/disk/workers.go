package disk

import (
	"sync"
	"sync/atomic"
	"time"
)

// job is something for a worker: to finish a piece, or to tell an error.
type job struct {
	store *Store
	index uint32
	piece *assembly // nil: tell err.
	err   error
}

func (j *job) size() int64 {
	if j.piece == nil {
		return 0
	}
	return j.piece.size
}

// queue is a list of jobs. It is not bounded by itself: a piece is in it at
// most once, and all of its blocks were received before.
type queue struct {
	mu     sync.Mutex
	some   sync.Cond
	jobs   []job
	closed bool

	pending atomic.Int64 // Jobs that are not done, those being carried out included.
	bytes   atomic.Int64 // Of their pieces.
}

func (q *queue) init() { q.some.L = &q.mu }

func (q *queue) put(j job) {
	q.pending.Add(1)
	q.bytes.Add(j.size())
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
		d.jobs.bytes.Add(-j.size())
		d.progress.open()
		d.relief.open()
		j.store.work.Done()
	}
}

const (
	// backlog is how many bytes of pieces may wait for the workers before
	// readers are held back. What lies longer is no longer in the processor's
	// cache when its turn comes, which makes hashing and writing dearer.
	backlog = 8 << 20
	// paceWait is how long a reader is held back at most: if the workers are
	// that slow, memory may as well fill up.
	paceWait = 100 * time.Millisecond
)

// pace holds a reader back while the workers have more to do than is good.
func (d *Disk) pace() {
	if !d.behind() {
		return
	}
	change := d.relief.expect()
	defer d.relief.ignore()
	if !d.behind() {
		return
	}
	select {
	case <-change:
	case <-time.After(paceWait):
	}
}

// behind says whether every worker has a piece and enough is waiting.
func (d *Disk) behind() bool {
	return d.jobs.bytes.Load() >= backlog && d.jobs.pending.Load() > int64(d.workers)
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
