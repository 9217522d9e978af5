package engine

import (
	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// newLimiter returns a token bucket of bytes that can be changed while
// connections use it.
func newLimiter(bytesPerSecond int64) *rate.Limiter {
	l := rate.NewLimiter(rate.Inf, wire.MaxBlock)
	setLimit(l, bytesPerSecond)
	return l
}

// setLimit changes a limit; 0 or less is none. A bucket holds the largest
// block or a tenth of a second's worth, so that a fast limit is not chopped
// into needless waits.
func setLimit(l *rate.Limiter, bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		l.SetLimit(rate.Inf)
		return
	}
	l.SetBurst(int(max(wire.MaxBlock, bytesPerSecond/10)))
	l.SetLimit(rate.Limit(bytesPerSecond))
}
