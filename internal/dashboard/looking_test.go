package dashboard

import (
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// lookAt is what is told of a download whose worker knows these trackers.
func lookAt(trackers ...download.Tracker) look {
	return newLook(&v1alpha1.TorrentDownload{}, &download.Detail{Progress: download.Progress{Trackers: trackers}}, "", nil)
}

func TestACloseLookShowsWhatTrackersSaid(t *testing.T) {
	next := time.Date(2031, 5, 4, 3, 2, 1, 0, time.UTC)
	got := lookAt(
		download.Tracker{URL: "http://tracker.example.org", Seeds: 3, Peers: -1, NextAnnounce: next},
		download.Tracker{URL: "udp://gone.example.org:80", Seeds: -1, Peers: -1, LastError: "no\x1b[2J answer"},
	).Trackers
	if len(got) != 2 {
		t.Fatalf("of two trackers %d are shown", len(got))
	}
	want := []trackerLook{
		{URL: "http://tracker.example.org", Seeds: 3, Peers: -1, Next: next},
		{URL: "udp://gone.example.org:80", Seeds: -1, Peers: -1, Error: got[1].Error},
	}
	if got[0] != want[0] || got[1] != want[1] {
		t.Errorf("the trackers are shown as %+v, want %+v", got, want)
	}
	for _, r := range got[1].Error {
		if r < ' ' {
			t.Errorf("a tracker's words keep the control character %q", r)
		}
	}
	if got[1].Error == "" {
		t.Error("an error of a tracker is not shown")
	}
}

func TestNoMoreTrackersAreShownThanTheLimit(t *testing.T) {
	for n, want := range map[int]int{maxTrackers - 1: maxTrackers - 1, maxTrackers: maxTrackers, maxTrackers + 1: maxTrackers} {
		if got := len(lookAt(make([]download.Tracker, n)...).Trackers); got != want {
			t.Errorf("of %d trackers %d are shown, want %d", n, got, want)
		}
	}
}
