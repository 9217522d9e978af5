package swarm

import (
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// pipeline decides how many requests a peer should have at once. It begins
// with a few and doubles them each time that many blocks have come, as long as
// that makes the peer faster; from then on it is as deep as the peer needs to be
// kept busy for a round trip and queueTime.
type pipeline struct {
	depth int
	limit int           // What the peer is believed to take,
	most  int           // and when it is as fast as only one nearby is.
	slow  bool          // Slow start: still doubling.
	rate  int64         // Bytes a second, smoothed; 0 if not known.
	rtt   time.Duration // The shortest time from a request to its block; 0 if not known.

	start  time.Duration // Of the current round,
	blocks int           // what has come in it,
	bytes  int64
	last   int64 // and the rate of the one before.
}

func newPipeline(fast bool) pipeline {
	q := pipeline{depth: startDepth, limit: slowDepth, most: slowDepth, slow: true}
	if fast {
		q.limit, q.most = fastDepth, localDepth
	}
	return q
}

// told says how many requests the peer takes, by its own word (BEP 10, "reqq").
func (q *pipeline) told(n int) {
	q.limit = max(1, min(n, localDepth))
	q.most = q.limit
	q.depth = min(q.depth, q.limit)
}

// webPipeline is for a web server, which is asked for many blocks by each of a few
// requests, and never has too many.
func webPipeline() pipeline {
	return pipeline{depth: webStart, limit: webDepth, most: webDepth, slow: true}
}

// restart begins a round: the peer had nothing to do before.
func (q *pipeline) restart(now time.Duration) {
	q.start, q.blocks, q.bytes = now, 0, 0
}

// snub makes the pipeline as small as it can be, until a block comes.
func (q *pipeline) snub() { q.depth, q.slow = 1, false }

// revive begins again after a snub.
func (q *pipeline) revive(now time.Duration) {
	q.depth, q.slow, q.last = min(minDepth, q.limit), true, 0
	q.restart(now)
}

// rejected says that the peer refused a request when it had this many.
func (q *pipeline) rejected(open int) {
	q.slow = false
	q.limit = min(q.limit, max(minDepth, open))
	q.most = q.limit
	q.depth = min(q.depth, q.limit)
}

// received counts a block that was asked for at a time. If the peer is hungry,
// it was not the pipeline that held it back.
func (q *pipeline) received(now, asked time.Duration, length uint32, hungry bool) {
	if d := now - asked; q.rtt == 0 || d < q.rtt {
		q.rtt = max(d, 1)
	}
	q.blocks++
	q.bytes += int64(length)
	took := now - q.start
	if took <= 0 || q.blocks < q.depth && took < time.Second {
		return
	}
	rate := int64(float64(q.bytes) / took.Seconds())
	if q.rate == 0 {
		q.rate = rate
	}
	q.rate = (q.rate + rate) / 2
	limit := q.limit
	if rate > localRate {
		limit = q.most
	}
	switch {
	case q.slow && hungry:
	case q.slow && rate > q.last+q.last/5:
		q.depth = min(2*q.depth, limit)
	default:
		q.slow = false
		d := int(float64(max(q.rate, rate))*(q.rtt+queueTime).Seconds()/block.Size) + 1
		if hungry {
			d = max(d, q.depth)
		}
		q.depth = min(max(minDepth, d), limit)
	}
	q.last = rate
	q.restart(now)
}

// timeout is how long the peer may send nothing when it has this many requests.
func (q *pipeline) timeout(open int) time.Duration {
	if q.rate == 0 {
		return silentTimeout
	}
	busy := time.Duration(float64(open*block.Size) / float64(q.rate) * float64(time.Second))
	return max(minTimeout, min(slack*(q.rtt+busy), maxTimeout))
}
