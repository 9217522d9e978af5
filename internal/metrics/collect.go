package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const prefix = "torrent_operator_"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// The gauges are of now, the counters since this process began.
var (
	descDownloads = desc("downloads", "TorrentDownloads by state, which is that of docs/metrics.md.", "state")
	descHindered  = desc("downloads_hindered", "TorrentDownloads that do not go on, by the reason of docs/conditions.md, or Other.", "reason")
	descWanted    = desc("wanted_bytes", "Size of the wanted files of all TorrentDownloads whose torrent is known.")
	descVerified  = desc("verified_bytes", "How much of torrent_operator_wanted_bytes is in verified pieces.")
	descDown      = desc("download_bytes_per_second", "Rate at which downloads receive, as they tell it themselves.")
	descUp        = desc("upload_bytes_per_second", "Rate at which downloads send, as they tell it themselves.")
	descPeers     = desc("peers", "Peers to which downloads are connected.")
	descSeeds     = desc("peers_complete", "How many of torrent_operator_peers have every piece.")
	descTrackers  = desc("trackers", "Trackers that downloads ask, by how their last answer was: good or bad.", "answer")
	descDHT       = desc("downloads_in_dht", "TorrentDownloads that look for peers in the DHT, by how its nodes answer them: good, or bad if none has for 15 minutes.", "answer")
	descShort     = desc("downloads_short_of_space", "TorrentDownloads whose volume has less free than they still have to write.")
	descWebSeeds  = desc("web_seeds", "Web seeds that downloads ask, by how their last answer was: good or bad.", "answer")

	descTotals = [kinds]*prometheus.Desc{
		downloaded:   desc("downloaded_bytes_total", "Payload received, wasted bytes included."),
		wasted:       desc("wasted_bytes_total", "How much of torrent_operator_downloaded_bytes_total came twice or failed its hash."),
		uploaded:     desc("uploaded_bytes_total", "Payload sent to peers."),
		failedPieces: desc("pieces_failed_total", "Pieces whose hash was wrong, which were fetched again."),
		bannedPeers:  desc("peers_banned_total", "Peers and web seeds that were proved to have sent wrong bytes."),
		writes:       desc("disk_writes_total", "How often something was written to files of torrents."),
		writing:      desc("disk_write_seconds_total", "How long torrent_operator_disk_writes_total took."),
		syncs:        desc("disk_syncs_total", "How often a file of a torrent was made durable."),
		syncing:      desc("disk_sync_seconds_total", "How long torrent_operator_disk_syncs_total took."),
		restarts:     desc("worker_restarts_total", "Worker Pods that ended before they were done."),
	}
)

// Describe implements [prometheus.Collector].
func (d *Downloads) Describe(to chan<- *prometheus.Desc) {
	for _, each := range []*prometheus.Desc{
		descDownloads, descHindered, descWanted, descVerified, descDown, descUp, descPeers, descSeeds, descTrackers, descWebSeeds,
		descDHT, descShort,
	} {
		to <- each
	}
	for _, each := range descTotals {
		to <- each
	}
	d.times.Describe(to)
}

// Collect implements [prometheus.Collector].
func (d *Downloads) Collect(to chan<- prometheus.Metric) {
	gauge := func(of *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, labels...)
	}
	sum := d.sum()
	for _, state := range states {
		gauge(descDownloads, float64(sum.states[state]), state)
	}
	for reason, n := range sum.reasons {
		gauge(descHindered, float64(n), reason)
	}
	gauge(descWanted, sum.wanted)
	gauge(descVerified, sum.done)
	gauge(descDown, sum.down)
	gauge(descUp, sum.up)
	gauge(descPeers, float64(sum.peers))
	gauge(descSeeds, float64(sum.seeds))
	gauge(descTrackers, float64(sum.works.trackers), "good")
	gauge(descTrackers, float64(sum.refuses.trackers), "bad")
	gauge(descWebSeeds, float64(sum.works.webSeeds), "good")
	gauge(descWebSeeds, float64(sum.refuses.webSeeds), "bad")
	gauge(descDHT, float64(sum.works.dht), "good")
	gauge(descDHT, float64(sum.refuses.dht), "bad")
	gauge(descShort, float64(sum.short))
	for kind, total := range sum.total {
		if kind == writing || kind == syncing {
			total /= float64(time.Second)
		}
		to <- prometheus.MustNewConstMetric(descTotals[kind], prometheus.CounterValue, total)
	}
	d.times.Collect(to)
}

// sums is of all downloads. Bytes are floats, as Prometheus has them: workers
// tell numbers of which the sum might not fit otherwise.
type sums struct {
	states, reasons        map[string]int
	wanted, done, down, up float64
	peers, seeds           int
	works, refuses         struct{ trackers, webSeeds, dht int }
	short                  int
	total                  [kinds]float64
}

func (d *Downloads) sum() sums {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := sums{states: map[string]int{}, reasons: map[string]int{}, total: d.total}
	for _, s := range d.seen {
		out.states[s.state]++
		if s.reason != "" {
			out.reasons[s.reason]++
		}
		out.wanted, out.done = out.wanted+float64(s.wanted), out.done+float64(s.done)
		out.down, out.up = out.down+float64(s.down), out.up+float64(s.up)
		out.peers, out.seeds = out.peers+s.peers, out.seeds+s.seeds
		out.works.trackers, out.refuses.trackers = out.works.trackers+s.works.trackers, out.refuses.trackers+s.refuses.trackers
		out.works.dht, out.refuses.dht, out.short = out.works.dht+s.works.dht, out.refuses.dht+s.refuses.dht, out.short+s.short
		out.works.webSeeds, out.refuses.webSeeds = out.works.webSeeds+s.works.webSeeds, out.refuses.webSeeds+s.refuses.webSeeds
	}
	return out
}
