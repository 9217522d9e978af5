package report

import (
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var when = time.Date(2026, 3, 4, 5, 6, 7, 890, time.UTC)

// someRequest has a value in every field.
func someRequest() download.Request {
	return download.Request{
		Source: download.Source{URL: &download.URL{
			Address: "https://example.org/a.torrent", Headers: map[string]string{"Authorization": "Basic c2VjcmV0"},
			CABundle: []byte("PEM"), SHA256: "ab",
		}},
		ResolveOnly: true, InfoHash: "0123456789012345678901234567890123456789",
		Trackers: []string{"http://tracker.example.org/announce"}, Peers: []string{"192.0.2.1:6881"},
		WebSeeds: []string{"http://example.org/files/"}, NoPEX: true, NoDHT: true, Local: true,
		PeerFilter: download.PeerFilter{
			Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Deny: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")},
		},
		Encryption: download.EncryptionRequire,
		Credentials: []download.Credential{{
			Origin: "https://tracker.example.org", Headers: map[string]string{"X-Key": "k"}, CABundle: []byte("PEM"),
		}},
		Volume:  download.Volume{ClaimName: "datasets", Path: "a/b", ClaimUID: "claim-uid"},
		Files:   download.Files{Include: []string{"*.iso"}, Exclude: []string{"b"}, High: []string{"c"}, Low: []string{"d"}, Sequential: true},
		Seeding: download.Seeding{Policy: download.SeedRatio, RatioPercent: 150, Duration: time.Hour},
		Limits:  download.Limits{DownloadBytesPerSecond: 1, UploadBytesPerSecond: 2, MaxPeers: 3}, Preallocate: true,
		StallTimeout: time.Minute, Neighbours: []string{"10.0.0.1:6881"}, Worker: `{"fsGroup":1}`,
		Inbound: download.Inbound{Port: 6881, Service: "NodePort"}, RetryToken: "r", VerifyToken: "v",
		BytesUploaded: 4, CompletedAt: when,
	}
}

// someProgress has a value in every field that goes over the wire.
func someProgress() download.Progress {
	return download.Progress{
		At: when, State: download.StateStalled, InfoHash: "0123456789012345678901234567890123456789", Name: "näme <1>",
		Selection: "s", BytesTotal: 100, BytesVerified: 40, BytesDownloaded: 50, BytesWasted: 10, BytesUploaded: 60,
		DownloadBytesPerSecond: 7, UploadBytesPerSecond: 8, PiecesFailed: 5, PeersBanned: 6,
		Disk: download.Disk{Writes: 11, Syncs: 12, Writing: 13, Syncing: 14, Short: 15}, DHT: download.DHTSilent,
		Pieces: download.Pieces{Length: 10, Total: 10, Verified: 4, InProgress: 1, Have: []byte{0xf0, 0x00}},
		Peers:  download.Peers{Connected: 3, Seeds: 2, Known: 9}, Checked: 0.5, LastReceived: when.Add(time.Second), CompletedAt: when.Add(time.Minute),
		Trackers: []download.Tracker{{URL: "http://tracker.example.org", LastError: "gone", NextAnnounce: when, Seeds: -1, Peers: 4}},
		WebSeeds: []download.WebSeed{{URL: "http://example.org", LastError: "404", NextTry: when}},
		Private:  true, Address: "10.0.0.2:6881", NodeName: "node-1",
		Err: &download.Failure{Reason: download.ReasonNoPeers, Message: "nobody is there; add peers", Permanent: true},
	}
}

func someID() download.ID { return download.ID{Namespace: "ml", Name: "imagenet", UID: "u-1"} }

func someOrder() Order {
	return Order{ID: someID(), Task: Download, Revision: "7", Request: someRequest(), Endpoint: "torrent-operator-workers.system.svc:8444"}
}

func somePush() Push { return Push{ID: someID(), Revision: "7", Progress: someProgress()} }

func someReply() Reply {
	r := someRequest()
	return Reply{Revision: "8", Request: &r}
}

// someResult is without what a result leaves out.
func someResult() Result {
	p := someProgress()
	p.Pieces.Have, p.Trackers, p.WebSeeds = nil, nil, nil
	return Result{Progress: p, Revision: "7"}
}

// someDetail has a value in every field.
func someDetail() download.Detail {
	return download.Detail{
		Progress: someProgress(), Active: []int{4, 5},
		Peers: []download.Peer{{
			Address: "192.0.2.1:6881", Client: "someone 1.0", Source: "tracker", Since: when, Downloaded: 1, Uploaded: 2,
			DownloadBytesPerSecond: 3, UploadBytesPerSecond: 4, Pieces: 5, Choking: true, Interested: true, Choked: true, Wanted: true, Snubbed: true,
		}},
		Files: []download.File{{Path: "a/b", Size: 100, Verified: 40, Selected: true}}, FileCount: 2,
	}
}
