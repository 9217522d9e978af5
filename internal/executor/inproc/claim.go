package inproc

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// claimPoll is how often a missing or unbound claim is looked at again. The
// reader is a cache, so a look costs nothing.
const claimPoll = 2 * time.Second

// Claims are the [Volumes] of an operator: PersistentVolumes of this node to
// which claims are bound, hostPath and local ones.
type Claims struct {
	Reader   client.Reader // Reads claims, volumes and the node.
	NodeName string        // The node on which this process runs.
	Roots    []string      // Folders of the node below which volumes may lie.
}

// Folder implements [Volumes].
func (c Claims) Folder(ctx context.Context, namespace string, v download.Volume) (string, error) {
	pv, err := c.bound(ctx, namespace, v.ClaimName)
	if err != nil {
		return "", err
	}
	return c.folder(ctx, pv)
}

// bound returns the volume to which a claim is bound. The error is a
// [download.Failure] if a person has to know.
func (c Claims) bound(ctx context.Context, namespace, claim string) (*corev1.PersistentVolume, error) {
	var pvc corev1.PersistentVolumeClaim
	switch err := c.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: claim}, &pvc); {
	case apierrors.IsNotFound(err):
		return nil, nowhere(download.ReasonClaimNotFound, "there is no PersistentVolumeClaim %q in namespace %q; create it, the download begins by itself then", claim, namespace)
	case err != nil:
		return nil, fmt.Errorf("reading PersistentVolumeClaim %s/%s: %w", namespace, claim, err)
	case pvc.Status.Phase == corev1.ClaimLost:
		return nil, nowhere(download.ReasonVolumeError, "PersistentVolumeClaim %q has lost its volume %q; create the claim again", claim, pvc.Spec.VolumeName)
	case pvc.Status.Phase != corev1.ClaimBound || pvc.Spec.VolumeName == "":
		return nil, nowhere(download.ReasonClaimPending, "PersistentVolumeClaim %q is not bound to a volume yet; in-process downloads start no Pod, so a class that waits for the first consumer never binds it: bind it to a hostPath or local volume of node %q", claim, c.NodeName)
	}
	pv := &corev1.PersistentVolume{}
	if err := c.Reader.Get(ctx, client.ObjectKey{Name: pvc.Spec.VolumeName}, pv); err != nil {
		return nil, fmt.Errorf("reading PersistentVolume %s of claim %s/%s: %w", pvc.Spec.VolumeName, namespace, claim, err)
	}
	if ref := pv.Spec.ClaimRef; ref == nil || ref.UID != pvc.UID {
		return nil, nowhere(download.ReasonClaimPending, "PersistentVolume %q does not name claim %q as its own; wait until it does, or bind the claim to another volume", pv.Name, claim)
	}
	return pv, nil
}

// folder finds the folder of this node that is a volume. The error is a
// [download.Failure] if a person has to know.
func (c Claims) folder(ctx context.Context, pv *corev1.PersistentVolume) (string, error) {
	path := localPath(pv)
	if path == "" {
		return "", nowhereForGood(download.ReasonClaimNotLocal, "the claim is bound to PersistentVolume %q, which is neither hostPath nor local; in-process downloads can write to no other kind: create the TorrentDownload again with a claim of such a volume on node %q", pv.Name, c.NodeName)
	}
	if err := c.onThisNode(ctx, pv); err != nil {
		return "", err
	}
	return c.below(path, pv.Name)
}

// localPath returns the folder that a volume is, or "" if it is not one of a
// node's own.
func localPath(pv *corev1.PersistentVolume) string {
	switch {
	case pv.Spec.HostPath != nil:
		return pv.Spec.HostPath.Path
	case pv.Spec.Local != nil:
		return pv.Spec.Local.Path
	}
	return ""
}

// onThisNode checks the volume's node affinity, if it has one.
func (c Claims) onThisNode(ctx context.Context, pv *corev1.PersistentVolume) error {
	if pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		if pv.Spec.Local != nil {
			return download.FailForGood(download.ReasonClaimNotLocal, "local PersistentVolume %q has no node affinity, so nothing says that its data is on node %q; give it one, or create the TorrentDownload again with another claim", pv.Name, c.NodeName)
		}
		return nil
	}
	var node corev1.Node
	if err := c.Reader.Get(ctx, client.ObjectKey{Name: c.NodeName}, &node); err != nil {
		return fmt.Errorf("reading Node %s: %w; --node-name must be the name of the node on which the operator runs", c.NodeName, err)
	}
	match, err := nodeaffinity.NewLazyErrorNodeSelector(pv.Spec.NodeAffinity.Required).Match(&node)
	if err != nil {
		return fmt.Errorf("the node affinity of PersistentVolume %s: %w", pv.Name, err)
	}
	if !match {
		return download.FailForGood(download.ReasonClaimNotLocal, "PersistentVolume %q lies on another node than %q, on which the operator runs; use a claim whose volume is there", pv.Name, c.NodeName)
	}
	return nil
}

// below checks that path, with all symbolic links followed, lies under one of
// the allowed roots.
func (c Claims) below(path, pv string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", download.Fail(download.ReasonVolumeError, "the folder of PersistentVolume %q can't be opened on node %q: %v; create it, or mount there what belongs there", pv, c.NodeName, err)
	}
	inside := func(root string) bool {
		root, err := filepath.EvalSymlinks(root)
		if err != nil {
			return false
		}
		rel, err := filepath.Rel(root, target)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
	}
	if !slices.ContainsFunc(c.Roots, inside) {
		return "", download.FailForGood(download.ReasonVolumeDenied, "PersistentVolume %q lies at %s, which is below none of the folders that the operator may write to; an administrator can allow it with --local-volume-root", pv, target)
	}
	return target, nil
}

// nowhere returns a failure that may pass and wraps [ErrNowhere].
func nowhere(reason, format string, args ...any) error {
	return &nowhereError{download.Fail(reason, format, args...)}
}

// nowhereForGood is nowhere, permanently.
func nowhereForGood(reason, format string, args ...any) error {
	return &nowhereError{download.FailForGood(reason, format, args...)}
}

// nowhereError is a failure that wraps [ErrNowhere].
type nowhereError struct{ why *download.Failure }

func (e *nowhereError) Error() string   { return e.why.Message }
func (e *nowhereError) Unwrap() []error { return []error{e.why, ErrNowhere} }

// waiting says whether a failure is about a claim that may still come.
func waiting(f *download.Failure) bool {
	return f.Reason == download.ReasonClaimNotFound || f.Reason == download.ReasonClaimPending
}
