package controllers_test

import (
	"testing"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	registry "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// told are some of the sums that Prometheus is told, by name.
func told(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := registry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

// What the operator decides is what Prometheus is told, before anybody sees it
// in a status.
func TestMetricsTellWhatWasDecided(t *testing.T) {
	before := told(t)
	b := newBench(t)
	id := b.download("a")
	b.stands("a", status.InProgressStatus, "Resolving")
	p := snapshot(download.StateComplete, 1000)
	p.BytesDownloaded, p.PiecesFailed = 12345, 3
	b.fake.Set(id, p)
	td := b.stands("a", status.CurrentStatus, "Complete")
	after := told(t)
	for name, want := range map[string]float64{
		"torrent_operator_downloads":                 1,
		"torrent_operator_downloaded_bytes_total":    12345,
		"torrent_operator_pieces_failed_total":       3,
		"torrent_operator_download_duration_seconds": 1,
		"torrent_operator_verified_bytes":            1000 << 20,
	} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%s has risen by %v, want %v", name, got, want)
		}
	}
	b.remove(td)
	b.await("the download is forgotten", func() bool {
		return told(t)["torrent_operator_downloads"] == before["torrent_operator_downloads"]
	})
}
