package podexec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// order is what a download's Secret says: what the Pod that runs was given, or
// what the next one will be. Its fixed part is changed only while none runs.
type order struct {
	task    report.Task
	attempt int // Of a seeder, the attempt that completed the download.
	request download.Request
	oneNode bool // The claim can be mounted by one node at a time.
}

func (o *order) revision() string { return revision(&o.request) }

// revision names a request: requests that differ have different names.
func revision(r *download.Request) string {
	b, err := json.Marshal(r)
	if err != nil { // A request is made of nothing that can't be encoded.
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// secret is the Secret that holds an order.
func (o *order) secret(id download.ID, endpoint string, ca []byte) (*corev1.Secret, error) {
	sent := report.Order{ID: id, Task: o.task, Revision: o.revision(), Request: o.request, Endpoint: endpoint}
	b, err := report.EncodeOrder(sent)
	if plain, _ := json.Marshal(sent); len(plain)+len(ca) > maxSecret || len(b)+len(ca) > maxSecret { //nolint:errchkjson // Its length is what is looked at.
		return nil, download.FailForGood(download.ReasonTooLarge,
			"what the worker has to know takes %d KiB, and a Secret holds %d; if it is the .torrent file that is so large, serve it over HTTP and name its address in spec.source.url of a new TorrentDownload", len(plain)>>10, maxSecret>>10)
	}
	if err != nil {
		return nil, download.Fail(download.ReasonInternalError, "the worker can't be told what is wanted: %v", err)
	}
	s := &corev1.Secret{
		ObjectMeta: meta(id, baseName(id)),
		Data:       map[string][]byte{report.OrderKey: b, report.CAKey: ca},
	}
	s.Annotations[annotationAttempt] = strconv.Itoa(o.attempt)
	return s, nil
}

// annotationAttempt tells the attempt of a Secret's order.
const annotationAttempt = domain + "attempt"

// readOrder reads what a Secret says; nil if that is nothing that could be
// understood, as after somebody else has changed it.
func readOrder(s *corev1.Secret, id download.ID) *order {
	o, err := report.DecodeOrder(s.Data[report.OrderKey])
	if err != nil || o.ID != id {
		return nil
	}
	attempt, err := strconv.Atoi(s.Annotations[annotationAttempt])
	if err != nil {
		return nil
	}
	return &order{task: o.Task, attempt: attempt, request: o.Request}
}

// fits says whether a worker that was given a request can go on for another
// one. A pin that names what the worker has found anyway is no change.
func fits(given, want *download.Request, found string) bool {
	a, b := given.Fixed(), want.Fixed()
	if a.InfoHash == "" && (found == "" || strings.EqualFold(b.InfoHash, found)) || b.InfoHash == "" {
		a.InfoHash = b.InfoHash
	}
	if b.Inbound.Service == string(corev1.ServiceTypeNodePort) {
		a.Inbound.Port = b.Inbound.Port // It is the Service's that counts.
	}
	if a.ResolveOnly && b.ResolveOnly {
		a.Volume, b.Volume = download.Volume{}, download.Volume{}
	}
	return same(&a, &b)
}

// asks says whether two requests ask for the same, so that what came of the one
// holds for the other: whatever changes by itself is left out.
func asks(given, want *download.Request, found string) bool {
	if !fits(given, want, found) {
		return false
	}
	a, b := *given, *want
	a.InfoHash, a.Inbound = b.InfoHash, b.Inbound
	a.Neighbours, b.Neighbours = nil, nil
	a.BytesUploaded, b.BytesUploaded = 0, 0
	a.CompletedAt, b.CompletedAt = time.Time{}, time.Time{}
	a.VerifyToken, b.VerifyToken = "", "" // Acted upon by whoever compares.
	return same(&a, &b)
}

// same compares requests as they are written down: an empty list is none.
func same(a, b *download.Request) bool {
	return reflect.DeepEqual(a, b) || revision(canonical(a)) == revision(canonical(b))
}

// canonical is a request after one way through JSON, in which empty lists and
// maps are absent.
func canonical(r *download.Request) *download.Request {
	out := *r
	for _, list := range []*[]string{
		&out.Trackers, &out.Peers, &out.WebSeeds, &out.Neighbours,
		&out.Files.Include, &out.Files.Exclude, &out.Files.High, &out.Files.Low,
	} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	if len(out.Credentials) == 0 {
		out.Credentials = nil
	}
	if len(out.PeerFilter.Allow) == 0 {
		out.PeerFilter.Allow = nil
	}
	if len(out.PeerFilter.Deny) == 0 {
		out.PeerFilter.Deny = nil
	}
	return &out
}

// seeds says that a complete download is to serve others.
func seeds(r *download.Request) bool {
	return r.Seeding.Policy != "" && r.Seeding.Policy != download.SeedNone
}
