// Package block hands out the fixed-size buffers that pieces are assembled in.
//
// One [Pool] serves a whole engine and is its memory budget: it never holds
// more than its capacity, however many torrents, peers or pieces there are.
// A buffer has one owner at a time; who takes it with Get gives it back with
// Put exactly once, and touches it no more. The disk package is the only
// taker; readers write into buffers that disk leases to them.
package block

import "sync"

// Size is the length in bytes of a block, the unit in which peers ask for
// data (BEP 3, "request": all current implementations use 2^14).
const Size = 16 << 10

// least is how many buffers even the smallest pool has.
const least = 64

// Pool is a bounded set of buffers of [Size] bytes. Its memory is used up to
// its capacity as buffers are needed at the same time, and stays then. It lies
// outside the heap where that is possible, because a heap is collected only
// when it has grown to twice of what lives in it. All methods may be called
// from any goroutine.
type Pool struct {
	mu    sync.Mutex
	free  [][]byte // Those that came back; the last one is the next to go.
	fresh []byte   // What was never handed out.
	limit int      // Buffers in all.
}

// NewPool returns a pool of at most budget bytes, and at least 1 MiB.
func NewPool(budget int64) *Pool {
	p := &Pool{limit: max(least, int(budget/Size))}
	p.fresh = p.reserve(p.limit * Size)
	return p
}

// Get returns a buffer of [Size] bytes with arbitrary content, or nil when the
// budget is used up.
func (p *Pool) Get() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	if len(p.fresh) == 0 {
		return nil
	}
	b := p.fresh[:Size:Size]
	p.fresh = p.fresh[Size:]
	return b
}

// Put gives back a buffer that Get returned.
func (p *Pool) Put(b []byte) {
	p.mu.Lock()
	p.free = append(p.free, b[:Size:Size])
	p.mu.Unlock()
}

// Used returns how many bytes are handed out now.
func (p *Pool) Used() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Capacity() - int64(len(p.fresh)) - int64(len(p.free))*Size
}

// Capacity returns how many bytes can be handed out at once.
func (p *Pool) Capacity() int64 { return int64(p.limit) * Size }
