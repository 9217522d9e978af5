package lifecycle

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
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

// attempts is how often in a row the download was begun again without getting
// any further. A change of the spec, or somebody who asks, begins the count
// again.
func (s *situation) attempts() int {
	if s.retryRequested() || !s.reported() {
		return 0
	}
	return int(s.td.Status.Retries)
}

// retry changes the ruling on a failure that may pass: it is tried again once
// its time has come, or at once if a person changes the spec or asks for it,
// until spec.retry.backoffLimit is reached.
func (s *situation) retry(r ruling, f *download.Failure) ruling {
	n := s.attempts()
	if countsAsFailed(f.Reason) && n >= s.backoffLimit() && !s.retryRequested() && s.reported() {
		return ruling{
			standing: standsStalled, reason: v1alpha1.ReasonBackoffLimitExceeded, act: leave, attempts: n,
			message: fmt.Sprintf("It failed again and again without getting any further, and is not tried any more (spec.retry.backoffLimit). "+
				"Repair what is told here, then set annotation %s to the time. %s: %s", v1alpha1.AnnotationRetryRequestedAt, f.Reason, f.Message),
		}
	}
	since := s.p.At
	if m := s.in.Memory; m.LastAttempt.After(since) {
		since = m.LastAttempt
	}
	key := string(s.td.UID)
	due := since.Add(Spread(key, backoff(n)))
	if s.now.Before(due) && !s.retryRequested() && s.reported() {
		r.act, r.recheck, r.attempts = leave, due.Sub(s.now), n
		return r
	}
	r.attempts = n + 1
	r.recheck = Spread(key, backoff(r.attempts))
	return r
}

// countsAsFailed says whether a failure counts for spec.retry.backoffLimit: one
// of a download that had all that it needs. What has to be waited for, or
// needs a person who repairs it, does not.
func countsAsFailed(reason string) bool {
	return !waitingReasons[reason] && !personReasons[reason] && !metadataReasons[reason]
}

func (s *situation) backoffLimit() int {
	if n := s.td.Spec.Retry.BackoffLimit; n != nil {
		return int(*n)
	}
	return v1alpha1.DefaultBackoffLimit
}

// gaveUp leaves a download alone that has failed too often, after a restart of
// the operator too.
func gaveUp(s *situation) (ruling, bool) {
	if s.p != nil || !s.was(v1alpha1.ReasonBackoffLimitExceeded) || !s.reported() || s.retryRequested() {
		return ruling{}, false
	}
	return ruling{standing: standsAsBefore, act: leave, attempts: s.attempts()}, true
}

// tooLate stops a download that is not complete within its time.
func tooLate(s *situation) (ruling, bool) {
	if s.timeLeft() >= 0 || s.startsAnew() {
		return ruling{}, false
	}
	return ruling{
		standing: standsStalled, reason: v1alpha1.ReasonDeadlineExceeded, act: stop,
		message: fmt.Sprintf("It was not complete within spec.retry.activeDeadlineSeconds, and was stopped. What was fetched stays. "+
			"Raise that number, or set annotation %s to the time; the download goes on from there.", v1alpha1.AnnotationRetryRequestedAt),
	}, true
}

// timeLeft is how long the download may still take, below zero if it took too
// long, and 0 if there is no bound.
func (s *situation) timeLeft() time.Duration {
	d, began := s.td.Spec.Retry.ActiveDeadlineSeconds, s.td.Status.StartTime
	if d == nil || *d == 0 || began == nil || s.wasComplete() || s.deleting() || s.suspended() || s.p != nil && allThere(s.p.State) {
		return 0
	}
	left := began.Add(time.Duration(*d) * time.Second).Sub(s.now)
	if left == 0 {
		left = -1
	}
	return left
}

// startsAnew says that the time of the download begins again: it was
// suspended, or took too long and is asked to be tried again.
func (s *situation) startsAnew() bool {
	return s.was(v1alpha1.ReasonSuspended) || s.was(v1alpha1.ReasonDeadlineExceeded) && s.retryRequested()
}

// was says whether Ready had this reason.
func (s *situation) was(reason string) bool {
	c := ready(s.td.Status.Conditions)
	return c != nil && c.Reason == reason
}

// allThere says that no byte is missing any more in this state.
func allThere(st download.State) bool {
	return st == download.StateFinishing || st == download.StateSeeding || st == download.StateComplete
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
