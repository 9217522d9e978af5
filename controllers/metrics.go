package controllers

import (
	"time"

	registry "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/torrent-operator/torrent-operator/internal/metrics"
	"github.com/torrent-operator/torrent-operator/internal/version"
)

// What this process counts. See docs/metrics.md.
var (
	downloads = metrics.New(time.Now())
	statuses  = metrics.NewStatus()
)

func init() {
	registry.Registry.MustRegister(downloads, statuses, metrics.Build(version.Read()))
}
