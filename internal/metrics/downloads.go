// Package metrics counts what becomes of TorrentDownloads, for Prometheus. It
// has sums over all downloads alone: no label holds anything that a user can
// choose, so the number of series does not grow with what users create.
// Package controllers tells it what it decides; nothing here decides anything.
package metrics

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Downloads counts all downloads of an operator. What it says is of this
// process: a replica that does not lead counts nothing.
type Downloads struct {
	began time.Time

	mu    sync.Mutex
	seen  map[types.NamespacedName]*seen
	total [kinds]float64
	times prometheus.Histogram
}

// seen is what one download was when it was last looked at.
type seen struct {
	uid            types.UID
	state, reason  string
	complete       bool
	counted        [kinds]int64
	wanted, done   int64 // Bytes.
	down, up       int64 // Bytes a second.
	peers, seeds   int
	works, refuses struct{ trackers, webSeeds, dht int }
	short          int // 1 if the volume lacks room.
}

// The counters, each a sum of what downloads count themselves.
const (
	downloaded = iota
	wasted
	uploaded
	failedPieces
	bannedPeers
	writes
	writing // Nanoseconds.
	syncs
	syncing // Nanoseconds.
	restarts
	kinds
)

// New counts from now on.
func New(now time.Time) *Downloads {
	return &Downloads{
		began: now, seen: map[types.NamespacedName]*seen{},
		times: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "torrent_operator_download_duration_seconds",
			Help:    "How long downloads took, from their start until every piece was verified and durable.",
			Buckets: []float64{10, 30, 60, 300, 900, 3600, 3 * 3600, 12 * 3600, 24 * 3600, 3 * 24 * 3600},
		}),
	}
}

// Saw takes in what was decided about a download: its object as it was read,
// the status that it is to have, and what runs it says, or nil.
func (d *Downloads) Saw(td *v1alpha1.TorrentDownload, next *v1alpha1.TorrentDownloadStatus, p *download.Progress) {
	if p == nil {
		p = &download.Progress{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key := types.NamespacedName{Namespace: td.Namespace, Name: td.Name}
	s := d.seen[key]
	if s == nil || s.uid != td.UID {
		s = d.first(td, p)
		d.seen[key] = s
	}
	for kind, now := range counters(p, int64(next.Worker.Restarts)) {
		if now > s.counted[kind] {
			d.total[kind] += float64(now - s.counted[kind])
		}
		// What begins again at 0, such as a new run, counts from there.
		s.counted[kind] = now
	}
	if done := isTrue(next, v1alpha1.ConditionComplete); done && !s.complete && next.StartTime != nil && next.CompletionTime != nil {
		d.times.Observe(max(0, next.CompletionTime.Sub(next.StartTime.Time).Seconds()))
	}
	s.complete = isTrue(next, v1alpha1.ConditionComplete)
	s.state, s.reason = standing(next)
	s.wanted, s.done = 0, 0
	if q := next.Progress; q != nil {
		s.wanted, s.done = q.BytesTotal, q.BytesVerified
	}
	s.down, s.up = p.DownloadBytesPerSecond, p.UploadBytesPerSecond
	s.peers, s.seeds = p.Peers.Connected, p.Peers.Seeds
	s.works.trackers, s.refuses.trackers = 0, 0
	for i := range p.Trackers {
		tally(p.Trackers[i].LastError, &s.works.trackers, &s.refuses.trackers)
	}
	s.works.webSeeds, s.refuses.webSeeds = 0, 0
	for i := range p.WebSeeds {
		tally(p.WebSeeds[i].LastError, &s.works.webSeeds, &s.refuses.webSeeds)
	}
	s.works.dht, s.refuses.dht = only(p.DHT == download.DHTAnswers), only(p.DHT == download.DHTSilent)
	s.short = only(p.Disk.Short > 0)
}

func tally(problem string, works, refuses *int) {
	if problem == "" {
		*works++
	} else {
		*refuses++
	}
}

// only is 1 if something is so.
func only(so bool) int {
	if so {
		return 1
	}
	return 0
}

// Forget takes a download out that is gone. What it counted stays counted.
func (d *Downloads) Forget(key types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, key)
}

// first is where counting begins for a download that was not seen before: what
// an earlier process has counted, as far as the status tells, is not counted
// again.
func (d *Downloads) first(td *v1alpha1.TorrentDownload, p *download.Progress) *seen {
	s := &seen{uid: td.UID, complete: isTrue(&td.Status, v1alpha1.ConditionComplete)}
	if start := td.Status.StartTime; start != nil && start.Time.Before(d.began) {
		s.counted = counters(p, 0)
	}
	s.counted[uploaded], s.counted[restarts] = 0, int64(td.Status.Worker.Restarts)
	if q := td.Status.Progress; q != nil {
		s.counted[uploaded] = q.BytesUploaded
	}
	return s
}

func counters(p *download.Progress, restarted int64) [kinds]int64 {
	return [kinds]int64{
		downloaded: p.BytesDownloaded, wasted: p.BytesWasted, uploaded: p.BytesUploaded,
		failedPieces: p.PiecesFailed, bannedPeers: p.PeersBanned, restarts: restarted,
		writes: p.Disk.Writes, writing: int64(p.Disk.Writing), syncs: p.Disk.Syncs, syncing: int64(p.Disk.Syncing),
	}
}

func isTrue(st *v1alpha1.TorrentDownloadStatus, condition string) bool {
	return meta.IsStatusConditionTrue(st.Conditions, condition)
}

// The states that metrics tell apart. Beyond those of the same name as a reason
// of condition Ready there are Stalled, which waits for a person or for bytes,
// Seeding, and Waiting for everything that passes by itself.
var states = []string{
	v1alpha1.ReasonPending, v1alpha1.ReasonResolving, v1alpha1.ReasonWaiting, v1alpha1.ReasonChecking,
	v1alpha1.ReasonDownloading, v1alpha1.ReasonFinishing, v1alpha1.ReasonComplete, v1alpha1.ReasonSeeding,
	v1alpha1.ReasonSuspended, v1alpha1.ReasonDeleting, v1alpha1.ConditionStalled,
}

// other is the reason that metrics tell of where it is none of the documented
// ones: workers name reasons, and need not be ours.
const other = "Other"

// standing is the state of a download, and the reason why it does not go on, or
// "".
func standing(st *v1alpha1.TorrentDownloadStatus) (state, reason string) {
	ready := meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return v1alpha1.ReasonPending, ""
	case isTrue(st, v1alpha1.ConditionStalled):
		return v1alpha1.ConditionStalled, known(ready.Reason)
	case isTrue(st, v1alpha1.ConditionSeeding):
		return v1alpha1.ReasonSeeding, ""
	case slices.Contains(states, ready.Reason):
		return ready.Reason, ""
	}
	return v1alpha1.ReasonWaiting, known(ready.Reason)
}

func known(reason string) string {
	if slices.Contains(hindrances, reason) {
		return reason
	}
	return other
}
