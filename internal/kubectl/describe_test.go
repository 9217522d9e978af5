package kubectl

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/client"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

func described(s *sight, most int) string {
	var out strings.Builder
	(&description{out: &out, now: noon, style: termui.Style{ASCII: true}, width: 60, most: most}).write(s)
	return out.String()
}

func TestADescriptionIsForAPerson(t *testing.T) {
	td := halfway("imagenet")
	td.Spec.Source.URL = &v1alpha1.URLSource{Address: "https://example.org/a.torrent?passkey=secret"}
	td.Spec.Seeding = v1alpha1.Seeding{Policy: v1alpha1.SeedingRatio, RatioPercent: 150}
	td.Spec.Limits.MaxPeers = 7
	td.Status.InfoHash.V1 = strings.Repeat("ab", 20)
	td.Status.Worker.PodName, td.Status.Worker.NodeName = "imagenet-0-x", "node-1"
	s := &sight{
		td: td,
		detail: download.Detail{
			Progress: download.Progress{
				BytesTotal: 8 << 20, BytesVerified: 4 << 20, DownloadBytesPerSecond: 1 << 20,
				Pieces: download.Pieces{Total: 8, Verified: 4, Have: []byte{0b11010010}}, Peers: download.Peers{Connected: 1},
				Trackers: []download.Tracker{
					{URL: "http://tracker.example.org", Seeds: 4, Peers: -1, NextAnnounce: noon.Add(90 * time.Second)}, {URL: "udp://t.example.org", LastError: "timed out\x1b", Seeds: -1, Peers: -1},
				},
				WebSeeds: []download.WebSeed{{URL: "http://mirror.example.org"}},
			},
			Active: []int{2},
			Peers: []download.Peer{
				{Address: "192.0.2.1:6881", Client: "evil\x1b[31m", Source: "tracker", Since: noon.Add(-time.Minute), Pieces: 8, Wanted: true, DownloadBytesPerSecond: 1 << 20, Downloaded: 4 << 20},
				{Address: "192.0.2.2:6881", Source: "pex", Since: noon, Pieces: 1, Interested: true, Choked: true, Snubbed: true},
			},
			Files: []download.File{{Path: "imagenet/a", Size: 8 << 20, Verified: 4 << 20, Selected: true}, {Path: "imagenet/b", Size: 1}}, FileCount: 2,
		},
		events: []client.Event{{At: noon.Add(-time.Minute), Reason: "Downloading", Note: "Pieces are being fetched.", Count: 2}},
	}
	got := described(s, mostRows)
	if *write {
		if err := os.WriteFile("testdata/describe.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/describe.txt")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
	if strings.Contains(got, "secret") || strings.Contains(got, "\x1b") {
		t.Error("it shows a passkey, or what a stranger sends to a terminal")
	}
	if short := described(s, 1); strings.Count(short, "  and 1 more; --all lists them\n") != 2 {
		t.Errorf("what is left out is not said:\n%s", short)
	}
}

func TestADescriptionSaysWhatItCantShow(t *testing.T) {
	got := described(&sight{td: stuck("zoo"), noDetail: errors.New("it waits"), noEvents: errors.New("no rights")}, mostRows)
	for _, want := range []string{"Stalled (NoPeers)", "Add trackers or peers.", "are not shown. it waits\n", "Events are not shown: no rights\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
}
