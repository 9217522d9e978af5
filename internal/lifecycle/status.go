package lifecycle

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// status is what the object's status is to say after a ruling, of which q is
// the request if there is one.
func (s *situation) status(r ruling, q *download.Request) v1alpha1.TorrentDownloadStatus {
	st := *s.td.Status.DeepCopy()
	if s.deleting() && r.standing == standsAsBefore {
		return st
	}
	if s.p != nil && s.p.Selection == s.selection() {
		s.measure(&st, r.standing == standsComplete)
	}
	if r.standing != standsAsBefore {
		st.Volume = v1alpha1.VolumeStatus{ClaimName: s.claimName(), Path: s.td.Spec.Volume.Path}
		s.tellWorker(&st)
	}
	st.Retries = count32(r.attempts)
	if r.act == stop || r.act == erase || s.p != nil && s.p.State == download.StateFailed {
		idle(&st)
	}
	s.mark(&st, r, q)
	s.conditions(&st, r)
	if r.standing != standsAsBefore {
		st.ObservedGeneration, st.Selection = s.td.Generation, s.selection()
	}
	s.fit(&st)
	return st
}

// maxStatus bounds a status in bytes of JSON, with room left for the time of
// its numbers. shortMessage is what is left of messages then, and leastMessage
// if that is not enough.
const (
	maxStatus    = 4096 - 64
	shortMessage = 120
	leastMessage = 40
)

// fit makes a status that is too large smaller: first a finer map of pieces
// than a person can see goes, then the ends of messages, then the map, then
// most of all messages.
func (s *situation) fit(st *v1alpha1.TorrentDownloadStatus) {
	for _, shrink := range []func(){
		func() {
			if c := st.Pieces; s.p != nil && c != nil && len(c.Map) > buckets && len(s.p.Pieces.Have)*8 >= int(c.Total) {
				c.Map, c.Encoding = bucketMap(s.p.Pieces.Have, int(c.Total)), v1alpha1.PieceMapBuckets
			}
		},
		func() { shortenMessages(st, shortMessage) },
		func() {
			if st.Pieces != nil {
				st.Pieces.Map, st.Pieces.Encoding = "", ""
			}
		},
		func() { shortenMessages(st, leastMessage) },
	} {
		if b, err := json.Marshal(st); err != nil || len(b) <= maxStatus {
			return
		}
		shrink()
	}
}

func shortenMessages(st *v1alpha1.TorrentDownloadStatus, n int) {
	for i := range st.Conditions {
		st.Conditions[i].Message = shorten(st.Conditions[i].Message, n)
	}
	if f := st.Worker.LastFailure; f != nil {
		f.Message = shorten(f.Message, n)
	}
}

// mark records what was begun, where, and which annotations were acted upon.
func (s *situation) mark(st *v1alpha1.TorrentDownloadStatus, r ruling, q *download.Request) {
	if q != nil && !q.ResolveOnly {
		if st.StartTime == nil || s.startsAnew() && !s.wasComplete() {
			st.StartTime = &metav1.Time{Time: s.now}
		}
		if q.VerifyToken != "" {
			st.LastHandledVerifyAt = q.VerifyToken
		}
	}
	if s.retryRequested() && (q != nil || r.standing == standsComplete) {
		st.LastHandledRetryAt = s.token(v1alpha1.AnnotationRetryRequestedAt)
	}
}

// measure takes over what the snapshot counts.
func (s *situation) measure(st *v1alpha1.TorrentDownloadStatus, complete bool) {
	p := s.p
	if len(p.InfoHash) != 40 {
		return // Nothing can be counted before the metadata is there.
	}
	counted := p.State != download.StateResolving && p.State != download.StateWaiting && p.State != download.StateFailed
	if st.Progress != nil && !counted {
		return // The torrent was opened before; what is on the volume is not known again yet.
	}
	st.InfoHash.V1 = p.InfoHash
	if p.Name != "" {
		st.Name = cut(strings.ToValidUTF8(p.Name, "_"), 255)
	}
	st.Progress = s.bytes(complete)
	st.Pieces = pieces(p, complete)
	st.Peers = &v1alpha1.Peers{Connected: count32(p.Peers.Connected), Seeds: count32(p.Peers.Seeds), Known: count32(p.Peers.Known)}
	if old := s.td.Status.Progress; old != nil {
		st.Progress.LastUpdateTime = old.LastUpdateTime
		st.Progress.BytesUploaded = max(st.Progress.BytesUploaded, old.BytesUploaded)
	}
}

// tellWorker takes over what runs the download, and how that ended before.
func (s *situation) tellWorker(st *v1alpha1.TorrentDownloadStatus) {
	if s.p == nil {
		return
	}
	w := s.p.Worker
	st.Worker.Name, st.Worker.PodName, st.Worker.NodeName = cut(w.Owner, 253), cut(w.Pod, 253), cut(s.p.NodeName, 253)
	st.Worker.Restarts = max(st.Worker.Restarts, count32(w.Restarts))
	if f := w.LastFailure; f != nil {
		reason := f.Reason
		if !validReason(reason) {
			reason = download.ReasonWorkerFailed
		}
		st.Worker.LastFailure = &v1alpha1.WorkerFailure{Reason: reason, Message: Redact(f.Message), ExitCode: int32(f.ExitCode)}
		if !f.At.IsZero() {
			st.Worker.LastFailure.Time = &metav1.Time{Time: f.At.Truncate(time.Second)}
		}
	}
}

// bytes counts bytes and rates.
func (s *situation) bytes(complete bool) *v1alpha1.Progress {
	p := s.p
	b := &v1alpha1.Progress{
		Percent:                percent(p.BytesVerified, p.BytesTotal, complete),
		BytesTotal:             max(0, p.BytesTotal),
		BytesVerified:          max(0, p.BytesVerified),
		BytesUploaded:          max(0, p.BytesUploaded),
		DownloadBytesPerSecond: twoDigits(p.DownloadBytesPerSecond),
		UploadBytesPerSecond:   twoDigits(p.UploadBytesPerSecond),
	}
	if complete {
		b.BytesVerified = b.BytesTotal
	}
	if left := b.BytesTotal - b.BytesVerified; p.State == download.StateDownloading && b.DownloadBytesPerSecond > 0 {
		b.ETASeconds = max(left/b.DownloadBytesPerSecond, min(left, 1))
	}
	if b.Summary = summary(b); p.State == download.StateChecking {
		b.Summary = fmt.Sprintf(checked+"%d%% of %s", percent(int64(p.Checked*1000), 1000, false), size(b.BytesTotal))
	}
	return b
}

func pieces(p *download.Progress, complete bool) *v1alpha1.Pieces {
	out := &v1alpha1.Pieces{
		Length:     max(0, p.Pieces.Length),
		Total:      count32(p.Pieces.Total),
		Verified:   count32(p.Pieces.Verified),
		InProgress: count32(p.Pieces.InProgress),
	}
	if complete {
		out.Verified, out.InProgress = out.Total, 0
		return out
	}
	out.Map, out.Encoding = pieceMap(p.Pieces.Have, p.Pieces.Total)
	return out
}

// idle takes back what is true only of a download that runs.
func idle(st *v1alpha1.TorrentDownloadStatus) {
	st.Peers = nil
	st.Worker.Name, st.Worker.PodName, st.Worker.NodeName = "", "", ""
	if st.Pieces != nil {
		st.Pieces.InProgress = 0
	}
	if p := st.Progress; p != nil {
		p.DownloadBytesPerSecond, p.UploadBytesPerSecond, p.ETASeconds = 0, 0, 0
		p.Summary = summary(p)
	}
}

// completedAt is when the download was complete: what the status says already,
// or what the snapshot says.
func (s *situation) completedAt() *metav1.Time {
	if t := s.td.Status.CompletionTime; t != nil {
		return t
	}
	t := s.now
	if s.p != nil && !s.p.CompletedAt.IsZero() {
		t = s.p.CompletedAt
	}
	return &metav1.Time{Time: t.Truncate(time.Second)}
}

func count32(n int) int32 { return int32(max(0, min(n, math.MaxInt32))) }
