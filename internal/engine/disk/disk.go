// Package disk keeps the pieces of torrents in files. It leases the places of
// blocks to the goroutines that receive them, assembles pieces in memory
// within one budget for the whole engine, hashes them there, writes each with
// one call, and keeps a journal of what is on the volume, so that a crash or
// a power cut never makes it claim a piece that is not there.
//
// It decides nothing about the protocol: which blocks are asked for, and what
// follows from a bad piece, is the swarm's. Only the engine calls it.
//
// # Locks
//
// They are taken in this order, and none is held while waiting for a volume
// except where it says so:
//
//	Disk.reclaiming  one spill at a time; held while spilling
//	Store.syncing    one sync or check at a time; held while syncing
//	Store.recording  the journal; held while appending to it
//	Disk.mu          the list of stores
//	Store.mu         the state of pieces and blocks; held for nanoseconds
package disk

import (
	"context"
	"errors"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

const (
	defaultOpenFiles    = 4096
	defaultSyncInterval = 5 * time.Second

	// dirtyShare is which part of the memory may be written and not yet
	// durable before a sync is begun without waiting for the interval. More
	// of it would throttle whoever writes, and count as used in a container.
	dirtyShare = 8

	// chunkSize is how much is read at once to check what is on a volume.
	chunkSize = 16 * block.Size
)

// Options says what an engine's disk may use.
type Options struct {
	// Pool is the memory that pieces are assembled in. Required.
	Pool *block.Pool
	// Workers is how many goroutines hash and write pieces, and how many
	// check existing data. 0 is one more than GOMAXPROCS: while one waits for
	// a file that another is writing, all cores have something to do.
	Workers int
	// MaxOpenFiles is how many idle files stay open. 0 is 4096, or a quarter
	// of what the process may open if that is less.
	MaxOpenFiles int
	// SyncInterval is how long a written piece may wait to be made durable.
	// 0 is five seconds.
	SyncInterval time.Duration
	// OpenFS opens the folder below dir, and makes what is missing of below
	// if create is set. nil is the real thing, through os.Root.
	OpenFS func(dir, below string, create bool) (FS, error)
}

// Disk is what all torrents of an engine share: the memory budget, the
// workers that hash and write, and the open files.
type Disk struct {
	pool    *block.Pool
	files   *handles
	openFS  func(dir, below string, create bool) (FS, error)
	workers int
	seed    maphash.Seed // Of the digests of blocks.
	jobs    queue
	buffers chan []byte // One of chunkSize for each worker; nil until it is used first.

	mu     sync.Mutex
	stores map[*Store]struct{}

	clock      atomic.Uint64 // Counts what is done to pieces, to tell which waits longest.
	reclaiming sync.Mutex
	progress   signal // Opened when memory was freed or can be.
	relief     signal // Opened when a worker has done something.

	dirtyMax int64         // How many bytes may be unsynced.
	unsynced atomic.Int64  // Bytes written since the last round of syncs.
	syncNow  chan struct{} // Capacity 1.
	stop     chan struct{}
	closing  sync.Once
	done     sync.WaitGroup
}

// New starts the workers. Close ends them.
func New(o Options) *Disk {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0) + 1
	}
	if o.MaxOpenFiles <= 0 {
		o.MaxOpenFiles = min(defaultOpenFiles, openLimit()/4)
	}
	if o.SyncInterval <= 0 {
		o.SyncInterval = defaultSyncInterval
	}
	if o.OpenFS == nil {
		o.OpenFS = openRoot
	}
	d := &Disk{
		pool:     o.Pool,
		files:    newHandles(o.MaxOpenFiles),
		openFS:   o.OpenFS,
		workers:  o.Workers,
		seed:     maphash.MakeSeed(),
		buffers:  make(chan []byte, o.Workers),
		stores:   map[*Store]struct{}{},
		dirtyMax: memoryLimit() / dirtyShare,
		syncNow:  make(chan struct{}, 1),
		stop:     make(chan struct{}),
	}
	d.jobs.init()
	d.progress.init()
	d.relief.init()
	for range o.Workers {
		d.buffers <- nil
		d.done.Go(d.work)
	}
	d.done.Go(func() { d.syncAll(o.SyncInterval) })
	return d
}

// Close closes the stores that are still open and ends all goroutines. It may
// be called twice.
func (d *Disk) Close() {
	for _, s := range d.open() {
		s.Close()
	}
	d.closing.Do(func() {
		close(d.stop)
		d.jobs.close()
	})
	d.done.Wait()
}

// open returns the stores that are open.
func (d *Disk) open() []*Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*Store, 0, len(d.stores))
	for s := range d.stores {
		all = append(all, s)
	}
	return all
}

// syncAll makes what was written durable, again and again.
func (d *Disk) syncAll(interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-tick.C:
		case <-d.syncNow:
		}
		d.unsynced.Store(0)
		for _, s := range d.open() {
			if err := s.Sync(context.Background()); err != nil && !errors.Is(err, ErrClosed) {
				s.tell(err)
			}
			s.lookForRoom()
		}
	}
}

// wrote counts bytes that need a sync.
func (d *Disk) wrote(n int64) {
	if d.unsynced.Add(n) < d.dirtyMax {
		return
	}
	select {
	case d.syncNow <- struct{}{}:
	default:
	}
}

// buffer lends a buffer of chunkSize. There is one for each worker, so it may
// have to be waited for.
func (d *Disk) buffer() []byte {
	if b := <-d.buffers; b != nil {
		return b
	}
	return make([]byte, chunkSize)
}

func (d *Disk) unbuffer(b []byte) { d.buffers <- b }
