package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

// inputs reads what a decision about td needs, and nothing else.
func (r *TorrentDownloadReconciler) inputs(ctx context.Context, td *v1alpha1.TorrentDownload, p *download.Progress, m *memory) (lifecycle.Inputs, error) {
	in := lifecycle.Inputs{Memory: m.Memory}
	var err error
	if in.Claim, err = r.claim(ctx, td, p); err != nil {
		return in, err
	}
	if !td.DeletionTimestamp.IsZero() {
		if in.NamespaceDeleting, err = r.namespaceDeleting(ctx, td.Namespace); err != nil {
			return in, err
		}
	}
	// What runs already had its place for itself when it began, and what is at
	// rest needs none. A claim that goes with its object is to be of no use to
	// others.
	wanted := lifecycle.NeedsSource(td, p)
	begins := wanted && (p == nil || td.Status.StartTime == nil)
	owns := td.Spec.Volume.ClaimTemplate != nil && td.Spec.DeletionPolicy == v1alpha1.DeletionDelete
	if begins || owns || !td.DeletionTimestamp.IsZero() {
		if in.Rivals, err = r.rivals(ctx, td); err != nil {
			return in, err
		}
	}
	if !wanted {
		m.rest(td)
		return in, nil
	}
	in.SharePrivate = r.SharePrivate
	if in.Neighbours, err = r.neighbours(ctx, td); err != nil {
		return in, err
	}
	left := allowance(maxRead)
	if err := r.readSource(ctx, td, p, m, &in, &left); err != nil {
		return in, err
	}
	return in, r.readCredentials(ctx, td, p, m, &in, &left)
}

// readSource puts the source into in: as read now if the download begins, and
// as read then if it runs, or if the object goes and it can't be read any more.
// What that takes is taken from left.
func (r *TorrentDownloadReconciler) readSource(ctx context.Context, td *v1alpha1.TorrentDownload, p *download.Progress, m *memory, in *lifecycle.Inputs, left *allowance) error {
	if p != nil && p.State != download.StateFailed && m.source != nil {
		in.Source = *m.source
		*left -= allowance(m.sourceSize)
		return nil
	}
	before, size := m.source, m.sourceSize
	m.source = nil
	s, problem, err := r.source(ctx, td, left)
	switch {
	case err != nil:
		return err
	case problem == nil:
		in.Source = s
		m.source, m.sourceSize = &s, maxRead-int(*left)
	case before != nil && !td.DeletionTimestamp.IsZero(): // It went with the object, and says which files go too.
		in.Source, m.source, *left = *before, before, allowance(maxRead-size)
	default:
		in.SourceProblem, *left = problem, maxRead // Nothing of it is held.
	}
	return nil
}

func (r *TorrentDownloadReconciler) namespaceDeleting(ctx context.Context, name string) (bool, error) {
	var ns corev1.Namespace
	if err := r.Reader.Get(ctx, client.ObjectKey{Name: name}, &ns); apierrors.IsNotFound(err) {
		return true, nil
	} else if err != nil {
		return false, fmt.Errorf("reading namespace %s: %w", name, err)
	}
	return !ns.DeletionTimestamp.IsZero(), nil
}

// rivals are the other downloads of the same claim.
func (r *TorrentDownloadReconciler) rivals(ctx context.Context, td *v1alpha1.TorrentDownload) ([]lifecycle.Rival, error) {
	var list v1alpha1.TorrentDownloadList
	if err := r.Client.List(ctx, &list, client.InNamespace(td.Namespace),
		client.MatchingFields{byClaim: lifecycle.ClaimName(td)}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the downloads of claim %s: %w", lifecycle.ClaimName(td), err)
	}
	var rivals []lifecycle.Rival
	for i := range list.Items {
		if other := &list.Items[i]; other.UID != td.UID {
			rivals = append(rivals, lifecycle.RivalOf(other))
		}
	}
	return rivals, nil
}

// neighbours are the other downloads of the same torrent in the namespace. Each
// decision asks for them anew, and one that runs is decided upon every half
// minute and whenever its progress changes: so a new address gets to all of
// them without anybody being woken for it.
func (r *TorrentDownloadReconciler) neighbours(ctx context.Context, td *v1alpha1.TorrentDownload) ([]lifecycle.Neighbour, error) {
	hash := lifecycle.InfoHash(td)
	if hash == "" {
		return nil, nil
	}
	var list v1alpha1.TorrentDownloadList
	if err := r.Client.List(ctx, &list, client.InNamespace(td.Namespace),
		client.MatchingFields{byInfoHash: hash}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the downloads of torrent %s: %w", hash, err)
	}
	var out []lifecycle.Neighbour
	for i := range list.Items {
		other := &list.Items[i]
		if other.UID == td.UID {
			continue
		}
		p, err := r.observe(ctx, idOf(other))
		if err != nil {
			return nil, err
		}
		if p != nil && p.Address != "" {
			out = append(out, lifecycle.Neighbour{Address: p.Address, Known: p.InfoHash != "", Private: p.Private})
		}
	}
	return out, nil
}
