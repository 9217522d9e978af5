package lifecycle

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// Kind says what a status write is about; it is a label of metrics.
type Kind string

// The kinds of status writes. NoWrite is none: nothing has changed.
const (
	NoWrite    Kind = ""
	Transition Kind = "transition" // Something that a person or a program waits for.
	Telemetry  Kind = "telemetry"  // Numbers, and the wording of a message.
)

// Budget bounds how often telemetry is written.
type Budget struct {
	// Interval is the least time between two writes of one object.
	Interval time.Duration
	// Refresh is after how long any change at all is worth a write.
	Refresh time.Duration
}

// Worth says whether a new status is worth a write now. A transition is worth
// one at once. Telemetry is if the last write is budget.Interval ago and a
// person would notice the difference, or if it is budget.Refresh ago and
// anything is next. Nothing that is equal is ever written. If kind is not
// NoWrite and write is false, recheck is when it will be worth it, if nothing
// else happens until then.
func Worth(old, next *v1alpha1.TorrentDownloadStatus, lastWrite, now time.Time, budget Budget) (write bool, kind Kind, recheck time.Duration) {
	switch {
	case transition(old, next):
		return true, Transition, 0
	case equality.Semantic.DeepEqual(undated(old), undated(next)):
		return false, NoWrite, 0
	}
	wait := budget.Refresh
	if noticeable(old, next) {
		wait = budget.Interval
	}
	if left := lastWrite.Add(max(wait, budget.Interval)).Sub(now); left > 0 {
		return false, Telemetry, left
	}
	return true, Telemetry, 0
}

// transition says whether anything but numbers and wording has changed.
func transition(old, next *v1alpha1.TorrentDownloadStatus) bool {
	for _, pair := range [][2][]metav1.Condition{{old.Conditions, next.Conditions}, {next.Conditions, old.Conditions}} {
		for i := range pair[0] {
			if changed(meta.FindStatusCondition(pair[1], pair[0][i].Type), &pair[0][i]) {
				return true
			}
		}
	}
	return !equality.Semantic.DeepEqual(steady(old), steady(next))
}

// steady is a status without conditions and numbers.
func steady(st *v1alpha1.TorrentDownloadStatus) v1alpha1.TorrentDownloadStatus {
	out := *st
	out.Conditions, out.Progress, out.Pieces, out.Peers = nil, nil, nil, nil
	return out
}

// undated is a status without the time of its numbers.
func undated(st *v1alpha1.TorrentDownloadStatus) *v1alpha1.TorrentDownloadStatus {
	out := st.DeepCopy()
	if out.Progress != nil {
		out.Progress.LastUpdateTime = nil
	}
	return out
}

// noticeable says whether a person would notice a change of telemetry: a
// percent, a bucket (a 256th of the pieces), a rate or the number of peers
// that became or left zero, or other words.
func noticeable(old, next *v1alpha1.TorrentDownloadStatus) bool {
	op, np := value(old.Progress), value(next.Progress)
	oc, nc := value(old.Pieces), value(next.Pieces)
	oe, ne := value(old.Peers), value(next.Peers)
	switch {
	case op.Percent != np.Percent, op.BytesTotal != np.BytesTotal, oc.Total != nc.Total:
		return true
	case strings.HasPrefix(np.Summary, checked) && op.Summary != np.Summary:
		return true
	case buckets*abs(int64(nc.Verified)-int64(oc.Verified)) >= int64(max(1, nc.Total)):
		return true
	case (op.DownloadBytesPerSecond == 0) != (np.DownloadBytesPerSecond == 0),
		(op.UploadBytesPerSecond == 0) != (np.UploadBytesPerSecond == 0),
		(oe.Connected == 0) != (ne.Connected == 0):
		return true
	}
	return !equality.Semantic.DeepEqual(old.Conditions, next.Conditions)
}

// value is what p points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func abs(n int64) int64 { return max(n, -n) }
