package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	statusWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "torrent_operator_status_writes_total",
		Help: "Writes of the status of TorrentDownloads, by kind: transition or telemetry.",
	}, []string{"kind"})
	statusCoalesced = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "torrent_operator_status_coalesced_total",
		Help: "Changes of telemetry that were not written by themselves, to be written together with later ones.",
	})
)

func init() {
	metrics.Registry.MustRegister(statusWrites, statusCoalesced)
}
