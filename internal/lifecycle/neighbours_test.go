package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestNeighboursAreTold(t *testing.T) {
	w := fresh(t)
	w.in.Neighbours = []Neighbour{{Address: "10.0.0.2:6881", Known: true}, {Address: "10.0.0.1:6881", Known: true}, {Address: "10.0.0.2:6881", Known: true}, {Known: true}}
	first := w.decide().Run
	if want := []string{"10.0.0.1:6881", "10.0.0.2:6881"}; !slices.Equal(first.Neighbours, want) {
		t.Errorf("got %v, want %v", first.Neighbours, want)
	}
	slices.Reverse(w.in.Neighbours)
	same(t, *w.decide().Run, *first)
}

// A private torrent's peers come from its tracker alone (BEP 27), unless the
// administrator says otherwise; so does one that may be private.
func TestNeighboursOfAPrivateTorrentAreNotTold(t *testing.T) {
	secret := snapshot(download.StateDownloading, 1)
	secret.Private = true
	for name, c := range map[string]struct {
		n Neighbour
		p *download.Progress
	}{
		"the neighbour knows it":    {Neighbour{Address: "a:1", Known: true, Private: true}, nil},
		"the neighbour knows less":  {Neighbour{Address: "a:1"}, nil},
		"the download itself knows": {Neighbour{Address: "a:1", Known: true}, secret},
	} {
		w := fresh(t)
		w.in.Neighbours = []Neighbour{c.n}
		if d := w.sees(c.p).decide(); len(d.Run.Neighbours) != 0 {
			t.Errorf("%s: %v", name, d.Run.Neighbours)
		}
		w.in.SharePrivate = true
		if d := w.decide(); len(d.Run.Neighbours) != 1 {
			t.Errorf("%s, and it is allowed: %v", name, d.Run.Neighbours)
		}
	}
}

func TestNeighboursAreBounded(t *testing.T) {
	for n, want := range map[int]int{maxNeighbours - 1: maxNeighbours - 1, maxNeighbours: maxNeighbours, maxNeighbours + 1: maxNeighbours} {
		w := fresh(t)
		for i := range n {
			w.in.Neighbours = append(w.in.Neighbours, Neighbour{Address: fmt.Sprintf("10.0.0.%d:1", i), Known: true})
		}
		if got := len(w.decide().Run.Neighbours); got != want {
			t.Errorf("of %d it is told %d", n, got)
		}
	}
}

func TestInfoHashIsKnownAsEarlyAsCanBe(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*v1alpha1.TorrentDownload)
		want   string
	}{
		"nobody knows": {func(*v1alpha1.TorrentDownload) {}, ""},
		"found":        {func(td *v1alpha1.TorrentDownload) { td.Status.InfoHash.V1 = hash }, hash},
		"pinned":       {func(td *v1alpha1.TorrentDownload) { td.Spec.Verification.InfoHash = strings.ToUpper(hash) }, hash},
		"the source":   {func(td *v1alpha1.TorrentDownload) { td.Spec.Source.InfoHash = strings.ToUpper(hash) }, hash},
		"a magnet link": {func(td *v1alpha1.TorrentDownload) {
			td.Spec.Source.Magnet = "magnet:?dn=a&xt=urn:btih:" + hash + "&tr=b"
		}, hash},
		"base32 of that": {func(td *v1alpha1.TorrentDownload) {
			td.Spec.Source.Magnet = "magnet:?xt=urn:btih:aerukz4jvpg66ajdivtytk6n54asgrlh"
		}, hash},
		"no magnet link": {func(td *v1alpha1.TorrentDownload) { td.Spec.Source.Magnet = "magnet:?xt=urn:btmh:1220" + hash }, ""},
	} {
		td := fresh(t).td
		c.change(td)
		if got := InfoHash(td); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
