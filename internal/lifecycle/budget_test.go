package lifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

var budget = Budget{Interval: 10 * time.Second, Refresh: 5 * time.Minute}

// TestWorthOfAChange holds the rules of the write budget, one change each.
func TestWorthOfAChange(t *testing.T) {
	base := fresh(t).downloading().td.Status
	for _, c := range []struct {
		name   string
		change func(*v1alpha1.TorrentDownloadStatus)
		kind   Kind
		after  time.Duration // When it is written; 0 is at once, with kind NoWrite never.
	}{
		{"nothing", func(*v1alpha1.TorrentDownloadStatus) {}, NoWrite, 0},
		{"only the time of the numbers", func(st *v1alpha1.TorrentDownloadStatus) { st.Progress.LastUpdateTime = &metav1.Time{Time: start} }, NoWrite, 0},
		{"an empty map instead of none", func(st *v1alpha1.TorrentDownloadStatus) {
			st.Conditions = append([]metav1.Condition{}, st.Conditions...)
		}, NoWrite, 0},
		{"a condition's status", func(st *v1alpha1.TorrentDownloadStatus) { st.Conditions[0].Status = metav1.ConditionTrue }, Transition, 0},
		{"a condition's reason", func(st *v1alpha1.TorrentDownloadStatus) { st.Conditions[0].Reason = "Other" }, Transition, 0},
		{"one condition less", func(st *v1alpha1.TorrentDownloadStatus) { st.Conditions = st.Conditions[1:] }, Transition, 0},
		{"one condition more", func(st *v1alpha1.TorrentDownloadStatus) {
			st.Conditions = append(st.Conditions, metav1.Condition{Type: "More", Status: "True", Reason: "R"})
		}, Transition, 0},
		{"the observed generation", func(st *v1alpha1.TorrentDownloadStatus) { st.ObservedGeneration++ }, Transition, 0},
		{"a handled annotation", func(st *v1alpha1.TorrentDownloadStatus) { st.LastHandledRetryAt = "x" }, Transition, 0},
		{"a message", func(st *v1alpha1.TorrentDownloadStatus) { st.Conditions[0].Message = "other words" }, Telemetry, budget.Interval},
		{"a percent", func(st *v1alpha1.TorrentDownloadStatus) { st.Progress.Percent++ }, Telemetry, budget.Interval},
		{"less than a bucket", func(st *v1alpha1.TorrentDownloadStatus) { st.Pieces.Verified += 3 }, Telemetry, budget.Refresh},
		{"a bucket", func(st *v1alpha1.TorrentDownloadStatus) { st.Pieces.Verified += 4 }, Telemetry, budget.Interval},
		{"a bucket less", func(st *v1alpha1.TorrentDownloadStatus) { st.Pieces.Verified -= 4 }, Telemetry, budget.Interval},
		{"a rate", func(st *v1alpha1.TorrentDownloadStatus) { st.Progress.DownloadBytesPerSecond /= 2 }, Telemetry, budget.Refresh},
		{"a rate that becomes zero", func(st *v1alpha1.TorrentDownloadStatus) { st.Progress.DownloadBytesPerSecond = 0 }, Telemetry, budget.Interval},
		{"a rate that leaves zero", func(st *v1alpha1.TorrentDownloadStatus) { st.Progress.UploadBytesPerSecond = 1 }, Telemetry, budget.Interval},
		{"another peer", func(st *v1alpha1.TorrentDownloadStatus) { st.Peers.Connected++ }, Telemetry, budget.Refresh},
		{"no peers any more", func(st *v1alpha1.TorrentDownloadStatus) { st.Peers.Connected = 0 }, Telemetry, budget.Interval},
		{"peers not counted any more", func(st *v1alpha1.TorrentDownloadStatus) { st.Peers = nil }, Telemetry, budget.Interval},
		{"how far a check is", func(st *v1alpha1.TorrentDownloadStatus) { st.Progress.Summary = "checked 3% of 1GiB" }, Telemetry, budget.Interval},
		{"other words of the summary", func(st *v1alpha1.TorrentDownloadStatus) { st.Progress.Summary = "42% of 1GiB" }, Telemetry, budget.Refresh},
		{"pieces counted for the first time", func(st *v1alpha1.TorrentDownloadStatus) { st.Pieces = nil }, Telemetry, budget.Interval},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := base.DeepCopy()
			c.change(next)
			at := func(d time.Duration) bool {
				write, kind, recheck := Worth(&base, next, start, start.Add(d), budget)
				if kind != c.kind {
					t.Errorf("after %v it is %q, want %q", d, kind, c.kind)
				}
				if waits := kind == Telemetry && !write; waits != (recheck > 0) || waits && d+recheck != c.after {
					t.Errorf("after %v: written %v, and looked at again %v later", d, write, recheck)
				}
				return write
			}
			if at(0) != (c.kind == Transition) {
				t.Error("written at once, or not")
			}
			if c.after > 0 && at(c.after-time.Nanosecond) {
				t.Error("written too early")
			}
			if at(c.after+time.Hour) != (c.kind != NoWrite) {
				t.Error("written at last, or not")
			}
		})
	}
}

// TestWritesOfAWholeDownload counts what an hour of download costs when a
// snapshot comes each second: within the interval, and no more than there are
// percents and buckets to tell.
func TestWritesOfAWholeDownload(t *testing.T) {
	w := fresh(t)
	stored := w.td.Status.DeepCopy()
	var lastWrite time.Time
	writes := map[Kind]int{}
	step := func(p *download.Progress) {
		w.sees(p).td.Status = *stored.DeepCopy()
		d := w.decide()
		write, kind, _ := Worth(stored, &d.Status, lastWrite, w.now, budget)
		if !write {
			return
		}
		if kind == Telemetry && w.now.Sub(lastWrite) < budget.Interval {
			t.Fatalf("two writes within %v", w.now.Sub(lastWrite))
		}
		writes[kind]++
		stored, lastWrite = d.Status.DeepCopy(), w.now
	}
	step(nil)
	step(unresolved(download.StateResolving, nil))
	for second := range 3600 {
		w.after(time.Second)
		p := snapshot(download.StateDownloading, second*1000/3600)
		p.DownloadBytesPerSecond, p.Peers.Connected = int64(270_000+second%77*1000), 3+second%5
		step(p)
	}
	step(snapshot(download.StateFinishing, 1000))
	step(snapshot(download.StateComplete, 1000))
	if writes[Transition] != 5 {
		t.Errorf("%d transitions are written: want pending, resolving, downloading, finishing and complete", writes[Transition])
	}
	if n := writes[Telemetry]; n < 90 || n > 300 {
		t.Errorf("%d times telemetry in an hour", n)
	}
	if !on(stored, v1alpha1.ConditionReady) || stored.Progress.Percent != 100 {
		t.Errorf("at the end the status says %+v", stored.Progress)
	}
}

// TestConditionsCarryNoTimesAndRates: whatever a download that just runs says
// in its conditions stays the same word for word.
func TestConditionsCarryNoTimesAndRates(t *testing.T) {
	w := fresh(t).downloading()
	before := w.conditions()
	for i := range 50 {
		p := snapshot(download.StateDownloading, 420+i)
		p.DownloadBytesPerSecond, p.Peers.Connected, p.LastReceived = int64(i)<<20, i%3, w.now
		w.after(7 * time.Second).sees(p).decide()
		if now := w.conditions(); now != before {
			t.Fatalf("conditions changed from %s\nto %s", before, now)
		}
	}
}
