package report

import (
	"math"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// sane returns a snapshot in which every number is one that it can be, every
// time can be written as JSON, and lists are bounded, whoever made it. A
// snapshot of the engine stays as it is.
func sane(p download.Progress) download.Progress {
	p.BytesTotal = max(0, p.BytesTotal)
	p.BytesVerified = between(0, p.BytesVerified, p.BytesTotal)
	p.BytesDownloaded, p.BytesUploaded = max(0, p.BytesDownloaded), max(0, p.BytesUploaded)
	p.BytesWasted = max(0, p.BytesWasted)
	p.PiecesFailed, p.PeersBanned = max(0, p.PiecesFailed), max(0, p.PeersBanned)
	p.DownloadBytesPerSecond, p.UploadBytesPerSecond = max(0, p.DownloadBytesPerSecond), max(0, p.UploadBytesPerSecond)
	d := &p.Disk
	d.Writes, d.Syncs, d.Short = max(0, d.Writes), max(0, d.Syncs), max(0, d.Short)
	d.Writing, d.Syncing = max(0, d.Writing), max(0, d.Syncing)
	if p.DHT != download.DHTAnswers && p.DHT != download.DHTSilent {
		p.DHT = ""
	}
	n := &p.Pieces
	n.Length, n.Total = max(0, n.Length), between(0, n.Total, math.MaxInt32)
	n.Verified, n.InProgress = between(0, n.Verified, n.Total), between(0, n.InProgress, n.Total)
	if len(n.Have) != (n.Total+7)/8 {
		n.Have = nil
	}
	p.Peers.Connected, p.Peers.Seeds, p.Peers.Known = max(0, p.Peers.Connected), max(0, p.Peers.Seeds), max(0, p.Peers.Known)
	if p.Checked = between(0, p.Checked, 1); math.IsNaN(p.Checked) {
		p.Checked = 0
	}
	for _, t := range []*time.Time{&p.At, &p.LastReceived, &p.CompletedAt} {
		*t = saneTime(*t)
	}
	p.Trackers, p.WebSeeds = saneTrackers(p.Trackers), saneWebSeeds(p.WebSeeds)
	p.Worker = download.Worker{} // It is the operator who knows.
	return p
}

func saneTrackers(list []download.Tracker) []download.Tracker {
	if len(list) == 0 {
		return nil
	}
	out := make([]download.Tracker, min(len(list), MaxList))
	copy(out, list)
	for i := range out {
		t := &out[i]
		t.NextAnnounce, t.Seeds, t.Peers = saneTime(t.NextAnnounce), max(-1, t.Seeds), max(-1, t.Peers)
	}
	return out
}

func saneWebSeeds(list []download.WebSeed) []download.WebSeed {
	if len(list) == 0 {
		return nil
	}
	out := make([]download.WebSeed, min(len(list), MaxList))
	copy(out, list)
	for i := range out {
		out[i].NextTry = saneTime(out[i].NextTry)
	}
	return out
}

// saneTime returns t in UTC and without a clock reading, or no time if its year
// can't be written.
func saneTime(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.Round(0)
}

func between[T int | int64 | float64](low, n, high T) T { return min(max(low, n), high) }
