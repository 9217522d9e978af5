package lifecycle

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// request says what is wanted of the executor, from spec, annotations
// and what earlier runs left. The info hash that the source yielded first is pinned like one
// of spec.verification, because a source that changes its mind must not mix
// two torrents in one folder.
func (s *situation) request() download.Request {
	spec, resume := &s.td.Spec, s.resume()
	q := download.Request{
		BytesUploaded: resume.BytesUploaded,
		CompletedAt:   resume.CompletedAt,
		InfoHash:      strings.ToLower(spec.Verification.InfoHash),
		Trackers:      spec.Discovery.Trackers,
		Peers:         spec.Discovery.Peers,
		WebSeeds:      spec.Discovery.WebSeeds,
		NoPEX:         spec.Discovery.PEX == v1alpha1.Disabled,
		NoDHT:         spec.Discovery.DHT == v1alpha1.Disabled,
		Local:         spec.Discovery.Local == v1alpha1.Enabled,
		PeerFilter:    peerFilter(spec.Discovery.PeerFilter),
		Encryption:    download.Encryption(spec.Network.Encryption),
		Files:         files(spec.Files),
		Volume:        download.Volume{ClaimName: s.claimName(), ClaimUID: s.in.Claim.UID, Path: spec.Volume.Path},
		Seeding: download.Seeding{
			Policy:       download.SeedPolicy(spec.Seeding.Policy),
			RatioPercent: int(spec.Seeding.RatioPercent),
			Duration:     time.Duration(spec.Seeding.DurationSeconds) * time.Second,
		},
		Limits:       limits(spec.Limits),
		Preallocate:  spec.Volume.Preallocate != nil && *spec.Volume.Preallocate,
		StallTimeout: v1alpha1.DefaultStallTimeoutSeconds * time.Second,
		Neighbours:   s.neighbours(),
		Worker:       worker(spec.Worker),
		Inbound:      inbound(spec.Network),
	}
	if s.in.SourceProblem == nil {
		q.Source = s.in.Source
	}
	if s.in.CredentialsProblem == nil {
		q.Credentials = s.in.Credentials
	}
	if q.InfoHash == "" {
		q.InfoHash = resume.InfoHash
	}
	if q.Seeding.Policy == "" {
		q.Seeding.Policy = download.SeedNone
	}
	if t := spec.Retry.StallTimeoutSeconds; t != nil {
		q.StallTimeout = time.Duration(*t) * time.Second
	}
	// A token of a retry does nothing to a download that starts anyway, so it
	// stays; one of a check would have everything hashed at each start.
	q.RetryToken = s.token(v1alpha1.AnnotationRetryRequestedAt)
	if s.verifyRequested() {
		q.VerifyToken = s.token(v1alpha1.AnnotationVerifyRequestedAt)
	}
	return q
}

// resume is what a download that starts now goes on from, and what one that
// runs went on from when it started.
func (s *situation) resume() Resume {
	if s.p != nil {
		r := s.in.Memory.Resume
		if s.p.State == download.StateFailed && r.InfoHash == "" {
			r.InfoHash = s.td.Status.InfoHash.V1 // It is begun again, perhaps from another source.
		}
		return r
	}
	r := Resume{InfoHash: s.td.Status.InfoHash.V1}
	if p := s.td.Status.Progress; p != nil {
		r.BytesUploaded = p.BytesUploaded
	}
	if t := s.td.Status.CompletionTime; t != nil {
		r.CompletedAt = t.Time
	}
	return r
}

// worker is spec.worker as JSON, the same for the same; "" if nothing is in it.
func worker(w v1alpha1.WorkerSpec) string {
	if equality.Semantic.DeepEqual(w, v1alpha1.WorkerSpec{}) {
		return ""
	}
	b, _ := json.Marshal(w) // It came as JSON.
	return string(b)
}

func inbound(n v1alpha1.Network) download.Inbound {
	in := download.Inbound{Port: int(n.ListenPort), Service: string(n.Service)}
	if n.Service == v1alpha1.ServiceNone {
		in.Service = ""
	}
	return in
}

func peerFilter(f v1alpha1.PeerFilter) download.PeerFilter {
	return download.PeerFilter{Allow: prefixes(f.Allow), Deny: prefixes(f.Deny)}
}

// prefixes reads networks that the API has validated. What could not be read
// would be a network without addresses.
func prefixes(cidrs []string) (out []netip.Prefix) {
	for _, c := range cidrs {
		p, _ := netip.ParsePrefix(c)
		out = append(out, p)
	}
	return out
}

func files(f v1alpha1.Files) download.Files {
	return download.Files{
		Include: f.Include, Exclude: f.Exclude, High: f.Priority.High, Low: f.Priority.Low,
		Sequential: f.Order == v1alpha1.OrderSequential,
	}
}

func limits(l v1alpha1.Limits) download.Limits {
	out := download.Limits{MaxPeers: int(l.MaxPeers)}
	if q := l.DownloadBytesPerSecond; q != nil {
		out.DownloadBytesPerSecond = q.Value()
	}
	if q := l.UploadBytesPerSecond; q != nil {
		out.UploadBytesPerSecond = q.Value()
	}
	return out
}
