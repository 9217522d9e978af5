package lifecycle

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// The time between attempts doubles from firstBackoff up to maxBackoff.
const (
	firstBackoff = time.Second
	maxBackoff   = 5 * time.Minute
)

// backoff is how long to wait before the attempt after n failed ones.
func backoff(n int) time.Duration {
	d := firstBackoff
	for range n {
		if d >= maxBackoff {
			break
		}
		d *= 2
	}
	return min(d, maxBackoff)
}

// retry changes the ruling on a failure that may pass: it is tried again once
// its time has come, or at once if a person changes the spec or asks for it.
func (s *situation) retry(r ruling) ruling {
	m := s.in.Memory
	since := s.p.At
	if m.LastAttempt.After(since) {
		since = m.LastAttempt
	}
	key := string(s.td.UID)
	due := since.Add(Spread(key, backoff(m.Attempts)))
	if s.now.Before(due) && !s.retryRequested() && s.reported() {
		r.act, r.recheck, r.attempts = leave, due.Sub(s.now), m.Attempts
		return r
	}
	r.attempts = m.Attempts + 1
	r.recheck = Spread(key, backoff(r.attempts))
	return r
}

// Spread lengthens d by up to a tenth, by an amount that is always the same
// for one key and d, so that many downloads do not all act at the same moment.
func Spread(key string, d time.Duration) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(key))
	return d + time.Duration(uint64(d/10)*uint64(h.Sum32()%1024)/1024)
}

// maxToken is the longest value of an annotation that the status records as it
// is, in bytes.
const maxToken = 64

// token returns what an annotation asks for. What is longer than the status
// records ends in a hash of all of it.
func (s *situation) token(annotation string) string {
	t := s.td.Annotations[annotation]
	if len(t) <= maxToken {
		return t
	}
	h := fnv.New64a()
	h.Write([]byte(t))
	end := fmt.Sprintf("…%016x", h.Sum64())
	return cut(t, maxToken-len(end)) + end
}

func (s *situation) retryRequested() bool {
	t := s.token(v1alpha1.AnnotationRetryRequestedAt)
	return t != "" && t != s.td.Status.LastHandledRetryAt
}

func (s *situation) verifyRequested() bool {
	t := s.token(v1alpha1.AnnotationVerifyRequestedAt)
	return t != "" && t != s.td.Status.LastHandledVerifyAt
}
