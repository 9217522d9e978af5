package metrics

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

var zero = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// values gathers all values, by name and labels as in torrent_operator_x{a=b}.
// A histogram is its count and its sum.
func values(t *testing.T, of prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(of)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), prefix)
			for _, l := range m.GetLabel() {
				name += fmt.Sprintf("{%s=%s}", l.GetName(), l.GetValue())
			}
			switch {
			case m.GetHistogram() != nil:
				out[name+"_count"], out[name+"_sum"] = float64(m.GetHistogram().GetSampleCount()), m.GetHistogram().GetSampleSum()
			case m.GetCounter() != nil:
				out[name] = m.GetCounter().GetValue()
			default:
				out[name] = m.GetGauge().GetValue()
			}
		}
	}
	return out
}

// other than zero
func notZero(all map[string]float64) map[string]float64 {
	maps.DeleteFunc(all, func(_ string, v float64) bool { return v == 0 })
	return all
}

func object(name string) *v1alpha1.TorrentDownload {
	return &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name)}}
}

// status has condition Ready with a reason, and others that are True.
func status(reason string, isTrue ...string) *v1alpha1.TorrentDownloadStatus {
	st := &v1alpha1.TorrentDownloadStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: reason}}}
	for _, condition := range isTrue {
		st.Conditions = append(st.Conditions, metav1.Condition{Type: condition, Status: metav1.ConditionTrue})
	}
	return st
}

func TestStatesAndReasons(t *testing.T) {
	for _, c := range []struct {
		st            *v1alpha1.TorrentDownloadStatus
		state, reason string
	}{
		{&v1alpha1.TorrentDownloadStatus{}, "Pending", ""},
		{status("Downloading", v1alpha1.ConditionReconciling), "Downloading", ""},
		{status("Complete", v1alpha1.ConditionComplete), "Complete", ""},
		{status("Complete", v1alpha1.ConditionComplete, v1alpha1.ConditionSeeding), "Seeding", ""},
		{status("NoPeers", v1alpha1.ConditionStalled), "Stalled", "NoPeers"},
		{status("Retrying", v1alpha1.ConditionReconciling), "Waiting", "Retrying"},
		{status("ClaimPending", v1alpha1.ConditionReconciling), "Waiting", "ClaimPending"},
		{status("Suspended"), "Suspended", ""},
		{status("AnythingAtAll", v1alpha1.ConditionStalled), "Stalled", other},
	} {
		if state, reason := standing(c.st); state != c.state || reason != c.reason {
			t.Errorf("%+v is %q, %q; want %q, %q", c.st.Conditions, state, reason, c.state, c.reason)
		}
	}
}

func TestDownloadsAreAddedUpAndForgotten(t *testing.T) {
	d := New(zero)
	for _, name := range []string{"a", "b"} {
		st := status("Downloading")
		st.Progress = &v1alpha1.Progress{BytesTotal: 100, BytesVerified: 40}
		d.Saw(object(name), st, &download.Progress{
			BytesDownloaded: 50, BytesWasted: 5, BytesUploaded: 7, PiecesFailed: 2, PeersBanned: 1,
			DownloadBytesPerSecond: 10, UploadBytesPerSecond: 3, Peers: download.Peers{Connected: 4, Seeds: 2},
			Trackers: []download.Tracker{{}, {LastError: "no"}}, WebSeeds: []download.WebSeed{{LastError: "no"}},
			DHT:  map[string]download.DHT{"a": download.DHTAnswers, "b": download.DHTSilent}[name],
			Disk: download.Disk{Writes: 3, Writing: 600 * time.Millisecond, Syncs: 2, Syncing: 2 * time.Second, Short: 1},
		})
	}
	counted := map[string]float64{
		"downloaded_bytes_total": 100, "wasted_bytes_total": 10, "uploaded_bytes_total": 14, "pieces_failed_total": 4, "peers_banned_total": 2,
		"disk_writes_total": 6, "disk_write_seconds_total": 1.2, "disk_syncs_total": 4, "disk_sync_seconds_total": 4,
	}
	want := map[string]float64{
		"downloads{state=Downloading}": 2, "wanted_bytes": 200, "verified_bytes": 80,
		"download_bytes_per_second": 20, "upload_bytes_per_second": 6, "peers": 8, "peers_complete": 4,
		"trackers{answer=good}": 2, "trackers{answer=bad}": 2, "web_seeds{answer=bad}": 2,
		"downloads_in_dht{answer=good}": 1, "downloads_in_dht{answer=bad}": 1, "downloads_short_of_space": 2,
	}
	maps.Copy(want, counted)
	if diff := cmp.Diff(want, notZero(values(t, d))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.Forget(types.NamespacedName{Namespace: "ns", Name: "a"})
	d.Forget(types.NamespacedName{Namespace: "ns", Name: "b"})
	if diff := cmp.Diff(counted, notZero(values(t, d))); diff != "" {
		t.Errorf("after both are gone (-want +got):\n%s", diff)
	}
}

// A counter of Prometheus never falls, and a run that begins again counts on.
func TestCountersGoOnOverRuns(t *testing.T) {
	d := New(zero)
	for _, n := range []int64{10, 30, 30, 0, 5, 5, math.MaxInt64} {
		d.Saw(object("a"), status("Downloading"), &download.Progress{BytesDownloaded: n})
	}
	if got, want := values(t, d)["downloaded_bytes_total"], 30+float64(math.MaxInt64); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// A new leader does not count again what the one before has counted.
func TestWhatAnEarlierProcessCountedIsNotCountedAgain(t *testing.T) {
	td := object("a")
	before := metav1.NewTime(zero.Add(-time.Hour))
	td.Status = v1alpha1.TorrentDownloadStatus{
		StartTime: &before, Progress: &v1alpha1.Progress{BytesUploaded: 100}, Worker: v1alpha1.WorkerStatus{Restarts: 3},
	}
	next := status("Downloading")
	next.Worker.Restarts = 4
	d := New(zero)
	p := &download.Progress{BytesDownloaded: 1000, BytesUploaded: 110, PiecesFailed: 5}
	d.Saw(td, next, p)
	p.BytesDownloaded, p.PiecesFailed = 1001, 6
	d.Saw(td, next, p)
	want := map[string]float64{
		"downloads{state=Downloading}": 1, "downloaded_bytes_total": 1, "uploaded_bytes_total": 10, "pieces_failed_total": 1, "worker_restarts_total": 1,
	}
	if diff := cmp.Diff(want, notZero(values(t, d))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEachCompletionIsTimedOnce(t *testing.T) {
	began, ended := metav1.NewTime(zero), metav1.NewTime(zero.Add(90*time.Second))
	complete := status("Complete", v1alpha1.ConditionComplete)
	complete.StartTime, complete.CompletionTime = &began, &ended
	d := New(zero)
	d.Saw(object("a"), status("Downloading"), nil)
	d.Saw(object("a"), complete, nil)
	d.Saw(object("a"), complete, nil)
	earlier := object("b") // It was complete before this process began.
	earlier.Status = *complete
	d.Saw(earlier, complete, nil)
	again := object("a") // Under the same name, another object.
	again.UID = "c"
	d.Saw(again, complete, nil)
	got := values(t, d)
	if n, sum := got["download_duration_seconds_count"], got["download_duration_seconds_sum"]; n != 2 || sum != 180 {
		t.Errorf("%v completions in %v s, want 2 in 180", n, sum)
	}
}

// Whatever users name their objects, and whatever workers say, the number of
// series is bounded.
func TestTheNumberOfSeriesIsBounded(t *testing.T) {
	d := New(zero)
	for i := range 5000 {
		name := fmt.Sprintf("download-%d", i)
		d.Saw(object(name), status(fmt.Sprintf("Reason%d", i), v1alpha1.ConditionStalled), &download.Progress{
			Name: name, Trackers: []download.Tracker{{URL: "http://" + name, LastError: name}},
		})
	}
	for _, reason := range hindrances {
		d.Saw(object(reason), status(reason, v1alpha1.ConditionStalled), nil)
	}
	got := slices.Collect(maps.Keys(values(t, d)))
	if most := len(states) + len(hindrances) + 27; len(got) > most {
		t.Errorf("%d series, want %d at most", len(got), most)
	}
}
