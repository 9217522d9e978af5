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

// chunk is how many buffers are allocated at once, to keep them together.
const chunk = 64

// Pool is a bounded set of buffers of [Size] bytes. It grows as it is used, up
// to its capacity. All methods may be called from any goroutine.
type Pool struct {
	mu    sync.Mutex
	free  [][]byte
	grown int // Buffers allocated so far.
	limit int // Buffers at most.
}

// NewPool returns a pool of at most budget bytes, and at least one chunk.
func NewPool(budget int64) *Pool {
	return &Pool{limit: max(chunk, int(budget/Size))}
}

// Get returns a buffer of [Size] bytes with arbitrary content, or nil when the
// budget is used up.
func (p *Pool) Get() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		n := min(chunk, p.limit-p.grown)
		if n == 0 {
			return nil
		}
		p.grown += n
		for m := make([]byte, n*Size); len(m) > 0; m = m[Size:] {
			p.free = append(p.free, m[:Size:Size])
		}
	}
	b := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
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
	return int64(p.grown-len(p.free)) * Size
}

// Capacity returns how many bytes can be handed out at once.
func (p *Pool) Capacity() int64 { return int64(p.limit) * Size }
