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
	if in.Claim, err = r.claim(ctx, td); err != nil {
		return in, err
	}
	if !td.DeletionTimestamp.IsZero() {
		if in.NamespaceDeleting, err = r.namespaceDeleting(ctx, td.Namespace); err != nil {
			return in, err
		}
	}
	// What runs already had its place for itself when it began.
	if p == nil || td.Status.StartTime == nil || !td.DeletionTimestamp.IsZero() {
		if in.Rivals, err = r.rivals(ctx, td); err != nil {
			return in, err
		}
	}
	if !lifecycle.NeedsSource(td, p) {
		return in, nil
	}
	if err := r.readCredentials(ctx, td, p, m, &in); err != nil {
		return in, err
	}
	if p == nil || p.State == download.StateFailed || m.source == nil {
		m.source = nil
		s, problem, err := r.source(ctx, td)
		if err != nil {
			return in, err
		}
		if in.SourceProblem = problem; problem == nil {
			m.source = &s
		}
	}
	if m.source != nil {
		in.Source = *m.source
	}
	return in, nil
}

func (r *TorrentDownloadReconciler) claim(ctx context.Context, td *v1alpha1.TorrentDownload) (lifecycle.Claim, error) {
	var pvc corev1.PersistentVolumeClaim
	key := client.ObjectKey{Namespace: td.Namespace, Name: td.Spec.Volume.ClaimName}
	if err := r.Client.Get(ctx, key, &pvc); apierrors.IsNotFound(err) {
		return lifecycle.Claim{}, nil
	} else if err != nil {
		return lifecycle.Claim{}, fmt.Errorf("reading PersistentVolumeClaim %s: %w", key, err)
	}
	return lifecycle.Claim{Exists: true, Deleting: !pvc.DeletionTimestamp.IsZero(), UID: string(pvc.UID)}, nil
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
		client.MatchingFields{byClaim: td.Spec.Volume.ClaimName}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the downloads of claim %s: %w", td.Spec.Volume.ClaimName, err)
	}
	var rivals []lifecycle.Rival
	for i := range list.Items {
		if other := &list.Items[i]; other.UID != td.UID {
			rivals = append(rivals, lifecycle.Rival{
				Name:     other.Name,
				UID:      string(other.UID),
				Created:  other.CreationTimestamp.Time,
				Started:  other.Status.StartTime != nil,
				Erases:   !other.DeletionTimestamp.IsZero() && other.Spec.DeletionPolicy == v1alpha1.DeletionDelete,
				Path:     other.Spec.Volume.Path,
				Content:  other.Status.Name,
				InfoHash: other.Status.InfoHash.V1,
			})
		}
	}
	return rivals, nil
}
