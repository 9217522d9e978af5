package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/torrent-operator/torrent-operator/internal/version"
)

// Status counts the writes of statuses.
type Status struct {
	// Writes are those that succeeded, by what they were about.
	Writes *prometheus.CounterVec
	// Coalesced are changes of telemetry that were left for a later write, by
	// why: "interval" or "budget".
	Coalesced *prometheus.CounterVec
}

// NewStatus counts from 0.
func NewStatus() *Status {
	return &Status{
		Writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "status_writes_total",
			Help: "Writes of the status of TorrentDownloads, by kind: transition or telemetry.",
		}, []string{"kind"}),
		Coalesced: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "status_coalesced_total",
			Help: "Changes of telemetry that were left for a later write, by cause: interval, as --progress-min-interval wants it, or budget, because --status-write-qps was used up.",
		}, []string{"cause"}),
	}
}

// Describe implements [prometheus.Collector].
func (s *Status) Describe(to chan<- *prometheus.Desc) {
	s.Writes.Describe(to)
	s.Coalesced.Describe(to)
}

// Collect implements [prometheus.Collector].
func (s *Status) Collect(to chan<- prometheus.Metric) { s.Writes.Collect(to); s.Coalesced.Collect(to) }

// Build says what runs.
func Build(of version.Info) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "Always 1: its labels say what this program was built from.",
		ConstLabels: prometheus.Labels{"version": of.Version, "commit": of.Commit, "goversion": of.Go},
	})
	g.Set(1)
	return g
}
