package peerconn

import (
	"time"

	"golang.org/x/time/rate"
)

// limits are rate limiters that all have to agree.
type limits []*rate.Limiter

// What is paid for at once of one block or several is what the slowest limiter
// gives in a sixteenth of a second, so that small limits are used evenly, are
// shared evenly, and can be changed at any time; and not less than minSlice.
const (
	slicesPerSecond = 16
	minSlice        = 1 << 10
)

// slice returns how many of n bytes are to be paid for at once.
func (l limits) slice(n int) int {
	for _, x := range l {
		if r := x.Limit(); r != rate.Inf {
			n = min(n, max(minSlice, int(min(r, 1<<30))/slicesPerSecond), max(1, x.Burst()))
		}
	}
	return n
}

// reserve pays for n bytes at time now and returns how long to wait for them.
func (l limits) reserve(now time.Time, n int) time.Duration {
	var wait time.Duration
	for _, x := range l {
		if r := x.ReserveN(now, n); r.OK() {
			wait = max(wait, r.DelayFrom(now))
		}
	}
	return wait
}

// none says that nothing is limited.
func (l limits) none() bool {
	for _, x := range l {
		if x.Limit() != rate.Inf {
			return false
		}
	}
	return true
}
