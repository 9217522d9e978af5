//go:build e2e

package pods

import (
	"fmt"
	"testing"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// publisher is a download whose claim, "origin", holds everything before it
// begins, so that it is the only one that has it. It sends 1 MiB in a second.
func (w *world) publisher(t *torrent, size int) *v1alpha1.TorrentDownload {
	w.Helper()
	maker := w.pod("maker", "content", "/data", t.name, fmt.Sprint(size))
	mountClaim(&maker.Spec, "/data", "origin")
	w.create(w.claim("origin", "64Mi"), maker)
	w.said(maker)
	td := w.download("publisher", t, v1alpha1.Volume{ClaimName: "origin"})
	td.Spec.Seeding.Policy = v1alpha1.SeedingForever
	td.Spec.Limits.UploadBytesPerSecond = quantity("1Mi")
	w.create(td)
	return await(w, td, "seeding", func(td *v1alpha1.TorrentDownload) bool {
		return is(v1alpha1.ConditionSeeding)(td) && td.Status.Worker.PodName != ""
	})
}

// TestFourDownloadsServeEachOtherWhatOnePublisherHas has no tracker at all: the
// operator tells the downloads of a namespace about each other. What the
// publisher may send in a second is what all of them wait for.
func TestFourDownloadsServeEachOtherWhatOnePublisherHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const size = 24 << 20
	album := w.describe("album", size)
	publisher := w.publisher(album, size)
	var copies []*v1alpha1.TorrentDownload
	for i := range 4 {
		name := fmt.Sprintf("copy-%d", i+1)
		td := w.download(name, album, v1alpha1.Volume{ClaimName: name})
		w.create(w.claim(name, "64Mi"), td)
		copies = append(copies, td)
	}
	for _, td := range copies {
		w.mustComplete(td, td.Name, "album", album)
	}
	// What is counted is known for certain when it has ended.
	w.change(publisher, func(spec *v1alpha1.TorrentDownloadSpec) { spec.Seeding.Policy = v1alpha1.SeedingNone })
	publisher = await(w, publisher, "not seeding any more", func(td *v1alpha1.TorrentDownload) bool {
		return !is(v1alpha1.ConditionSeeding)(td) && td.Status.Worker.PodName == ""
	})
	sent := float64(publisher.Status.Progress.BytesUploaded) / size
	t.Logf("for %d copies the publisher has sent %.2f", len(copies), sent)
	if sent < 1 || sent > 1.5 {
		t.Errorf("for %d copies the publisher has sent %.2f, not 1 to 1.5", len(copies), sent)
	}
}
