package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

// claim reads what a decision needs to know of the claim of td. One that the
// operator has made, and that has the name of a TorrentDownload with a template,
// is that download's.
func (r *TorrentDownloadReconciler) claim(ctx context.Context, td *v1alpha1.TorrentDownload, p *download.Progress) (lifecycle.Claim, error) {
	var pvc corev1.PersistentVolumeClaim
	key := client.ObjectKey{Namespace: td.Namespace, Name: lifecycle.ClaimName(td)}
	if err := r.Client.Get(ctx, key, &pvc); apierrors.IsNotFound(err) {
		return lifecycle.Claim{}, nil
	} else if err != nil {
		return lifecycle.Claim{}, fmt.Errorf("reading PersistentVolumeClaim %s: %w", key, err)
	}
	c := lifecycle.Claim{
		Exists:    true,
		Deleting:  !pvc.DeletionTimestamp.IsZero(),
		Lost:      pvc.Status.Phase == corev1.ClaimLost,
		UID:       string(pvc.UID),
		Ours:      pvc.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy,
		Requested: pvc.Spec.Resources.Requests.Storage().Value(),
		Capacity:  pvc.Status.Capacity.Storage().Value(),
		MountToGrow: slices.ContainsFunc(pvc.Status.Conditions, func(c corev1.PersistentVolumeClaimCondition) bool {
			return c.Type == corev1.PersistentVolumeClaimFileSystemResizePending && c.Status == corev1.ConditionTrue
		}),
		OnePod: slices.Contains(pvc.Spec.AccessModes, corev1.ReadWriteOncePod),
		Class:  ptr.Deref(pvc.Spec.StorageClassName, ""),
	}
	for i := range pvc.OwnerReferences {
		if o := &pvc.OwnerReferences[i]; o.Kind == v1alpha1.Kind && strings.HasPrefix(o.APIVersion, v1alpha1.GroupVersion.Group+"/") {
			c.Owner = string(o.UID)
		}
	}
	var err error
	if c.Class != "" && lifecycle.MayGrow(td, c, p) {
		c.Expandable, err = r.expandable(ctx, c.Class)
	}
	return c, err
}

// expandable says whether claims of a class may grow.
func (r *TorrentDownloadReconciler) expandable(ctx context.Context, class string) (bool, error) {
	var sc storagev1.StorageClass
	if err := r.Reader.Get(ctx, client.ObjectKey{Name: class}, &sc); apierrors.IsNotFound(err) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("reading StorageClass %s: %w", class, err)
	}
	return ptr.Deref(sc.AllowVolumeExpansion, false), nil
}

// arrangeClaim carries an order out. The failure says that the API server does
// not let that be done; the error is any other.
func (r *TorrentDownloadReconciler) arrangeClaim(ctx context.Context, td *v1alpha1.TorrentDownload, o *lifecycle.ClaimOrder) (*download.Failure, error) {
	name := lifecycle.ClaimName(td)
	if o.Make {
		return r.refused(name, "made", r.Client.Create(ctx, newClaim(td, o)))
	}
	var pvc corev1.PersistentVolumeClaim
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: td.Namespace, Name: name}, &pvc); err != nil {
		return nil, fmt.Errorf("reading PersistentVolumeClaim %s: %w", name, err)
	}
	before := pvc.DeepCopy()
	pvc.OwnerReferences = slices.DeleteFunc(pvc.OwnerReferences, func(ref metav1.OwnerReference) bool { return ref.UID == td.UID })
	if o.Owned {
		pvc.OwnerReferences = append(pvc.OwnerReferences, v1alpha1.OwnedBy(td.Name, td.UID))
	}
	if o.Size > 0 {
		pvc.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(o.Size, resource.BinarySI)}
	}
	return r.refused(name, "changed", r.Client.Patch(ctx, &pvc, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}

// newClaim is the claim of a template.
func newClaim(td *v1alpha1.TorrentDownload, o *lifecycle.ClaimOrder) *corev1.PersistentVolumeClaim {
	t := td.Spec.Volume.ClaimTemplate
	pvc := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: td.Namespace, Name: lifecycle.ClaimName(td), Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: t.StorageClassName,
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(o.Size, resource.BinarySI)},
			},
		},
	}
	for _, m := range t.AccessModes {
		pvc.Spec.AccessModes = append(pvc.Spec.AccessModes, corev1.PersistentVolumeAccessMode(m))
	}
	if o.Owned {
		pvc.OwnerReferences = []metav1.OwnerReference{v1alpha1.OwnedBy(td.Name, td.UID)}
	}
	return pvc
}

// refused tells what the API server does not allow from what may pass.
func (r *TorrentDownloadReconciler) refused(claim, done string, err error) (*download.Failure, error) {
	switch {
	case err == nil, apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil, nil
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return download.Fail(download.ReasonQuotaExceeded,
			"PersistentVolumeClaim %s can't be %s: a ResourceQuota of the namespace has no room for it. Raise the quota, or delete other claims.", claim, done), nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return download.Fail(v1alpha1.ReasonClaimRefused, "PersistentVolumeClaim %s can't be %s: %v", claim, done, err), nil
	}
	return nil, fmt.Errorf("PersistentVolumeClaim %s can't be %s now: %w", claim, done, err)
}
