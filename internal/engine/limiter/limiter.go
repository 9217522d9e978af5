// Package limiter bounds how many bytes a second go over connections: of one
// torrent, of the whole engine, or both at once. It waits for nothing; those who
// read and write do, in slices that it measures out.
package limiter

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// New returns a token bucket of bytes that can be changed while connections
// use it.
func New(bytesPerSecond int64) *rate.Limiter {
	l := rate.NewLimiter(rate.Inf, block.Size)
	Set(l, bytesPerSecond)
	return l
}

// Set changes a limit; 0 or less is none. A bucket holds a block or a tenth of
// a second's worth, so that a fast limit is not chopped into needless waits.
func Set(l *rate.Limiter, bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		l.SetLimit(rate.Inf)
		return
	}
	l.SetBurst(int(max(block.Size, bytesPerSecond/10)))
	l.SetLimit(rate.Limit(bytesPerSecond))
}

// All are limiters that all have to agree.
type All []*rate.Limiter

// What is paid for at once is what the slowest limiter gives in a sixteenth of
// a second, so that small limits are used evenly, are shared evenly, and can be
// changed at any time; and not less than minSlice bytes.
const (
	slicesPerSecond = 16
	minSlice        = 1 << 10
)

// Slice returns how many of n bytes are to be paid for at once.
func (a All) Slice(n int) int {
	for _, l := range a {
		if r := l.Limit(); r != rate.Inf {
			n = min(n, max(minSlice, int(min(r, 1<<30))/slicesPerSecond), max(1, l.Burst()))
		}
	}
	return n
}

// Reserve pays for n bytes at time now and returns how long to wait for them.
func (a All) Reserve(now time.Time, n int) time.Duration {
	var wait time.Duration
	for _, l := range a {
		if r := l.ReserveN(now, n); r.OK() {
			wait = max(wait, r.DelayFrom(now))
		}
	}
	return wait
}

// None says that nothing is limited.
func (a All) None() bool {
	for _, l := range a {
		if l.Limit() != rate.Inf {
			return false
		}
	}
	return true
}
