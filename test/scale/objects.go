package main

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

const (
	// torrentKey is the key of a ConfigMap with a .torrent file, and
	// torrentSize how many bytes that has: some hundred gigabytes in pieces of
	// 16 MiB.
	torrentKey  = "a.torrent"
	torrentSize = 128 << 10
	// pieceCount and pieceLength are of all torrents.
	pieceCount  = 4000
	pieceLength = 4 << 20
	// relatives is how many downloads of a namespace are of the same torrent.
	relatives = 10
)

// aTorrent is as large as a .torrent file, and as hard to compress. Nobody
// reads it: that is a worker's business.
func aTorrent(n int) []byte {
	b := make([]byte, torrentSize)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b) // It can't fail.
	return b
}

// hashOf is the info hash of a download's torrent.
func hashOf(i int) string {
	sum := sha1.Sum([]byte(fmt.Sprint("torrent ", i%namespaces, i/namespaces/relatives)))
	return hex.EncodeToString(sum[:])
}

// prefix begins the names of all downloads.
const prefix = "dataset-"

func nameOf(i int) string { return fmt.Sprintf(prefix+"%05d", i) }

// number is the download that a name stands for.
func number(name string) (i int) {
	fmt.Sscanf(name, prefix+"%d", &i) //nolint:errcheck // All have such names.
	return i
}

// make makes one download: the first ones have not begun yet, and of the others
// two in five are suspended half-way and three are complete. Their statuses are
// what an operator has written some time ago.
func (w *world) make(ctx context.Context, i int) error {
	td := &v1alpha1.TorrentDownload{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace(i), Name: nameOf(i), Labels: map[string]string{"team": namespace(i)}},
		Spec: v1alpha1.TorrentDownloadSpec{
			Source: sourceOf(i),
			Volume: v1alpha1.Volume{ClaimName: w.claim(i), Path: fmt.Sprintf("downloads/%05d", i)},
		},
	}
	w.downloads[i] = td
	halfway := i >= w.active && i%5 < 2
	if halfway {
		td.Spec.Suspend = ptr.To(true)
	}
	if i < w.active {
		return w.Create(ctx, td)
	}
	td.Generation = 1 // As it is about to be.
	running := snapshot(i, download.StateDownloading, 0.42)
	settle(td, &running)
	if !halfway {
		done := snapshot(i, download.StateComplete, 1)
		settle(td, &done)
	}
	settle(td, nil)
	return w.Create(ctx, td)
}

// settle gives a download the status that the operator gives it when the
// executor shows p.
func settle(td *v1alpha1.TorrentDownload, p *download.Progress) {
	in := lifecycle.Inputs{Claim: lifecycle.Claim{Exists: true}}
	if p != nil {
		suspend := td.Spec.Suspend
		td.Spec.Suspend = nil
		defer func() { td.Spec.Suspend = suspend }()
	}
	td.Status = lifecycle.Next(time.Now(), td, in, p).Status
}

// sourceOf is where a torrent comes from: a server, a ConfigMap, or peers.
func sourceOf(i int) v1alpha1.Source {
	switch i % 4 {
	case 0, 1:
		return v1alpha1.Source{MetainfoFrom: &v1alpha1.MetainfoSource{ConfigMapKeyRef: &v1alpha1.KeyReference{Name: "torrents", Key: torrentKey}}}
	case 2:
		return v1alpha1.Source{URL: &v1alpha1.URLSource{Address: fmt.Sprintf("https://datasets.example.org/%d.torrent", i)}}
	default:
		return v1alpha1.Source{Magnet: "magnet:?xt=urn:btih:" + hashOf(i) + "&tr=https://tracker.example.org/announce"}
	}
}

// snapshot is what a worker tells of a download that has come so far.
func snapshot(i int, state download.State, share float64) download.Progress {
	verified := int(share * pieceCount)
	have := make([]byte, pieceCount/8)
	for piece := range verified {
		have[piece/8] |= 0x80 >> (piece % 8)
	}
	p := download.Progress{
		At: time.Now(), State: state, InfoHash: hashOf(i), Name: nameOf(i),
		BytesTotal: pieceCount * pieceLength, BytesVerified: int64(verified) * pieceLength, BytesDownloaded: int64(verified) * pieceLength,
		BytesUploaded: int64(verified) * pieceLength / 3,
		Pieces:        download.Pieces{Length: pieceLength, Total: pieceCount, Verified: verified, Have: have},
		Trackers:      []download.Tracker{{URL: "https://tracker.example.org", NextAnnounce: time.Now().Add(20 * time.Minute), Seeds: 12, Peers: 40}},
	}
	switch state {
	case download.StateComplete:
		p.CompletedAt = time.Now()
	case download.StateDownloading:
		p.DownloadBytesPerSecond, p.LastReceived = int64(50+rand.IntN(50))<<20, time.Now()
		p.Pieces.InProgress = min(20, pieceCount-verified)
		p.Peers = download.Peers{Connected: 30 + rand.IntN(10), Seeds: 10, Known: 120}
	}
	return p
}
