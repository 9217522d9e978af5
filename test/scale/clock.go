package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// transition is a change that has to be seen in the status.
type transition string

const (
	resumed   transition = "spec.suspend is removed"
	suspended transition = "spec.suspend is set"
	stalled   transition = "a worker has no peers any more"
	completed transition = "a worker is done"
)

// transitions are all of them, in the order of the table.
var transitions = []transition{resumed, suspended, stalled, completed}

// shown says whether the status of a download shows a transition.
func (t transition) shown(td *v1alpha1.TorrentDownload) bool {
	ready := meta.FindStatusCondition(td.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return false
	}
	switch t {
	case resumed:
		return ready.Reason != v1alpha1.ReasonSuspended
	case suspended:
		return ready.Reason == v1alpha1.ReasonSuspended
	case stalled:
		return ready.Reason == download.ReasonNoPeers
	default:
		return ready.Status == metav1.ConditionTrue
	}
}

// clock takes the time from changes to the statuses that show them.
type clock struct {
	mu      sync.Mutex
	waiting map[string]wait // By the download's name.
	paused  map[string]bool // Those that somebody has suspended: what their workers do besides need not be seen.
	took    map[transition][]time.Duration
}

// wait is for one transition; the next one of its download takes its place.
type wait struct {
	transition
	since time.Time
}

func newClock() *clock {
	return &clock{waiting: map[string]wait{}, paused: map[string]bool{}, took: map[transition][]time.Duration{}}
}

// begin says that a transition happens now.
func (c *clock) begin(name string, t transition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused[name] {
		return
	}
	c.paused[name] = t == suspended
	c.waiting[name] = wait{t, time.Now()}
}

// see looks whether a status shows what is waited for.
func (c *clock) see(td *v1alpha1.TorrentDownload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, ok := c.waiting[td.Name]
	if !ok || !w.shown(td) {
		return
	}
	c.took[w.transition] = append(c.took[w.transition], time.Since(w.since))
	delete(c.waiting, td.Name)
}

// reset forgets all times that were taken.
func (c *clock) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.took)
}

// times returns what was taken since the last reset. What is waited for still
// counts as if it came now, if that is long already.
func (c *clock) times(late time.Duration) map[transition][]time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[transition][]time.Duration{}
	for t, took := range c.took {
		out[t] = slices.Clone(took)
	}
	for _, w := range c.waiting {
		if age := time.Since(w.since); age > late {
			out[w.transition] = append(out[w.transition], age)
		}
	}
	return out
}

// late tells what has not been seen for so long, in words.
func (c *clock) late(most time.Duration) (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, w := range c.waiting {
		if age := time.Since(w.since); age > most {
			out = append(out, fmt.Sprintf("%s: %s, %.0f s ago", name, w.transition, age.Seconds()))
		}
	}
	slices.Sort(out)
	return out
}

// percentile is the time that a share of them does not exceed; 0 for none.
func percentile(times []time.Duration, share float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(share*float64(len(times))))]
}
