package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/tracker"
)

// makePrivate makes the torrent a private one, with other trackers.
func (o *torrent) makePrivate(t *testing.T, announce string) {
	t.Helper()
	var err error
	o.meta, err = metainfo.Create(t.Context(), filepath.Join(o.dir, o.name), metainfo.CreateOptions{
		PieceLength: 64 << 10, Private: true, Announce: [][]string{{announce}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.file, err = o.meta.Marshal(); err != nil {
		t.Fatal(err)
	}
}

// TestAPrivateTorrentIsToldToItsOwnTrackersAlone: BEP 27. Trackers that a user
// adds are for other torrents, and no condition speaks of them.
func TestAPrivateTorrentIsToldToItsOwnTrackersAlone(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	var mu sync.Mutex
	told := map[string]bool{} // By info hash.
	answer := tracker.NewServer(time.Second, nil)
	added := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		told[r.URL.Query().Get("info_hash")] = true
		mu.Unlock()
		answer.ServeHTTP(rw, r)
	})
	knows := func(o *torrent) bool {
		mu.Lock()
		defer mu.Unlock()
		return told[string(o.meta.InfoHash[:])]
	}
	add := func(td *v1alpha1.TorrentDownload) { td.Spec.Discovery.Trackers = []string{added + "/announce"} }
	down := freeAddress(t)

	own, lonely, public := newTorrent(t, "own", 1<<20), newTorrent(t, "lonely", 1<<20), newTorrent(t, "public", 1<<20, "http://"+down+"/announce")
	own.makePrivate(t, newTracker(t))
	lonely.makePrivate(t, "http://"+down+"/announce")
	own.seed(t)
	w.download("own", own.file, add, stallsAfter(2))
	w.download("lonely", lonely.file, add, stallsAfter(2))
	w.download("public", public.file, add, stallsAfter(2))

	w.completes("own") // By its own tracker, which alone knows the seeder.
	td := w.stalls("lonely", "TrackerUnreachable")
	w.says(td, down)
	if said := message(td); strings.Contains(said, strings.TrimPrefix(added, "http://")) || strings.Contains(said, "others") {
		t.Errorf("it speaks of a tracker that is not the torrent's: %s", said)
	}
	w.stalls("public", "NoPeers") // Of its trackers one answers.
	if knows(own) || knows(lonely) || !knows(public) {
		t.Errorf("the tracker that was added was told of the private torrents (%v, %v), and of the public one (%v)", knows(own), knows(lonely), knows(public))
	}
}
