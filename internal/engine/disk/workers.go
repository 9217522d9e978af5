package disk

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// job is something for a worker: to finish a piece, to spill of one, or to tell
// an error.
type job struct {
	store *Store
	index uint32
	piece *assembly // nil: tell err.
	spill bool      // Spill what there is of the piece, do not finish it.
	err   error
}

func (j *job) size() int64 {
	switch {
	case j.piece == nil:
		return 0
	case j.spill:
		return streamBlocks * block.Size
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

const (
	// batchBytes and batchPieces bound how much one worker takes at once: two
	// pieces, to hash them side by side, or more if they are small, to journal
	// them together.
	batchBytes, batchPieces = 2 << 20, 64
)

// get waits for the next job, and appends it to dst with those behind it that
// are best done along with it. It appends nothing when the queue is closed and
// empty.
func (q *queue) get(dst []job) []job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.jobs) == 0 {
		if q.closed {
			return dst
		}
		q.some.Wait()
	}
	n, bytes := 1, q.jobs[0].size()
	for n < min(len(q.jobs), batchPieces) && q.jobs[n].joins(&q.jobs[0]) {
		if bytes += q.jobs[n].size(); n > 1 && bytes > batchBytes {
			break
		}
		n++
	}
	dst = append(dst, q.jobs[:n]...)
	clear(q.jobs[:n])
	q.jobs = q.jobs[n:]
	return dst
}

// joins says whether j may be done together with first.
func (j *job) joins(first *job) bool {
	return j.piece != nil && first.piece != nil && !j.spill && !first.spill && j.store == first.store
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
	var (
		jobs  []job
		batch []*assembly
	)
	for {
		jobs = d.jobs.get(jobs[:0])
		if len(jobs) == 0 {
			return
		}
		s := jobs[0].store
		switch {
		case jobs[0].piece == nil:
			s.mu.Lock()
			s.report(Result{Index: jobs[0].index, Err: jobs[0].err})
			s.mu.Unlock()
		case jobs[0].spill:
			s.spill(jobs[0].piece)
		default:
			batch = batch[:0]
			for i := range jobs {
				batch = append(batch, jobs[i].piece)
			}
			s.finish(batch, w)
		}
		for i := range jobs {
			d.jobs.pending.Add(-1)
			d.jobs.bytes.Add(-jobs[i].size())
			s.work.Done()
		}
		clear(jobs)
		clear(batch)
		d.progress.open()
		d.relief.open()
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
