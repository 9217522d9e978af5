package worker

import (
	"reflect"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// When the operator is told.
const (
	// transitionGap is the least time between two pushes, for news that a
	// person waits for.
	transitionGap = time.Second
	// interval is between pushes while numbers change.
	interval = 5 * time.Second
	// heartbeat is between pushes while nothing does: replies tell what is
	// wanted now.
	heartbeat = 30 * time.Second
	// leastBackoff and mostBackoff bound the time between two tries to reach an
	// operator that is away; it doubles.
	leastBackoff, mostBackoff = time.Second, 15 * time.Second
)

// pace decides when the operator is told. It is told the time.
type pace struct {
	told     download.Progress // The last snapshot that was taken.
	revision string            // What was taken with it.
	last     time.Time         // When it was tried last; zero if never.
	failures int               // Since a push was taken.
	jitter   float64           // Stretches all times until the next push: 0.8 to 1.2.
}

// due returns when p should be told, of this revision, if nothing changes. A
// revision that was taken in is told soon, so that nobody asks for it again.
func (c *pace) due(p download.Progress, revision string) time.Time {
	if c.last.IsZero() {
		return c.last
	}
	wait := heartbeat
	switch {
	case c.revision != revision || transition(c.told, p):
		wait = transitionGap
	case changed(c.told, p):
		wait = interval
	}
	if c.failures > 0 {
		wait = max(wait, min(mostBackoff, leastBackoff<<min(c.failures-1, 10)))
	}
	return c.last.Add(time.Duration(float64(wait) * c.jitter))
}

// tried notes that a push has begun. random is from 0 to 1.
func (c *pace) tried(now time.Time, random float64) {
	c.last, c.jitter = now, 0.8+0.4*random
}

// taken notes that the operator knows p, of this revision.
func (c *pace) taken(p download.Progress, revision string) {
	c.told, c.revision, c.failures = p, revision, 0
}

// lost notes that the operator was not reached.
func (c *pace) lost() { c.failures++ }

// transition says whether p differs from what was told in a way that a person
// waits for, or another download.
func transition(told, p download.Progress) bool {
	return told.State != p.State || why(told) != why(p) || told.InfoHash != p.InfoHash || told.Selection != p.Selection ||
		told.Address != p.Address
}

func why(p download.Progress) string {
	if p.Err == nil {
		return ""
	}
	return p.Err.Reason
}

// changed says whether p differs from what was told in anything but its time.
func changed(told, p download.Progress) bool {
	told.At = p.At
	return !reflect.DeepEqual(told, p)
}
