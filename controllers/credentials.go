package controllers

import (
	"context"
	"time"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

// How long what was read for spec.discovery.credentials counts while the
// download runs, since there is no right to watch Secrets; and how long that
// something of it is missing does.
const (
	credentialsLife = time.Minute
	problemLife     = 10 * time.Second
)

// credentials are those of spec.discovery as last read.
type credentials struct {
	given      []download.Credential
	problem    *download.Failure
	generation int64 // Of the object, when they were read.
	until      time.Time
}

// readCredentials puts the credentials into in, and reads them anew if that is
// due: they may change at any time, unlike the source. What is read is taken
// from left.
func (r *TorrentDownloadReconciler) readCredentials(ctx context.Context, td *v1alpha1.TorrentDownload, p *download.Progress, m *memory, in *lifecycle.Inputs, left *allowance) error {
	wanted := td.Spec.Discovery.Credentials
	if len(wanted) == 0 || !td.DeletionTimestamp.IsZero() {
		m.credentials = credentials{}
		return nil
	}
	running := p != nil && p.State != download.StateFailed
	if c := &m.credentials; !running || c.generation != td.Generation || !time.Now().Before(c.until) {
		fresh := credentials{generation: td.Generation, until: time.Now().Add(credentialsLife)}
		for _, w := range wanted {
			headers, bundle, problem, err := r.server(ctx, td.Namespace, w.HeadersSecretRef, w.CABundleRef, left)
			if err != nil {
				return err
			}
			if problem != nil {
				fresh = credentials{generation: td.Generation, until: time.Now().Add(problemLife), problem: problem}
				break
			}
			fresh.given = append(fresh.given, download.Credential{Origin: w.Origin, Headers: headers, CABundle: bundle})
		}
		m.credentials = fresh
	}
	in.Credentials, in.CredentialsProblem = m.credentials.given, m.credentials.problem
	return nil
}
