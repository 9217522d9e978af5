package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

// afterConflict is how soon to decide again on an object that was changed by
// somebody else meanwhile. The change itself is usually faster.
const afterConflict = 200 * time.Millisecond

// afterEnding is how soon to ask again for the end of what was stopped for an
// object that is gone.
const afterEnding = 5 * time.Second

// Reconcile reads, decides, does, and writes the status once.
func (r *TorrentDownloadReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	td := &v1alpha1.TorrentDownload{}
	if err := r.Client.Get(ctx, req.NamespacedName, td); apierrors.IsNotFound(err) {
		downloads.Forget(req.NamespacedName)
		ending, err := r.leave(ctx, req.NamespacedName, "")
		if ending != "" {
			return ctrl.Result{RequeueAfter: afterEnding}, nil
		}
		return ctrl.Result{}, err
	} else if err != nil {
		return ctrl.Result{}, err
	}
	ending, err := r.leave(ctx, req.NamespacedName, td.UID)
	if err != nil {
		return ctrl.Result{}, err
	}
	result, err := r.advance(ctx, td, ending)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return ctrl.Result{RequeueAfter: afterConflict}, nil
	}
	return result, client.IgnoreNotFound(err)
}

// idOf is what the executor knows td by.
func idOf(td *v1alpha1.TorrentDownload) download.ID {
	return download.ID{Namespace: td.Namespace, Name: td.Name, UID: string(td.UID)}
}

// advance takes one object one step on. predecessor says what of an earlier
// object of its name has not ended yet.
func (r *TorrentDownloadReconciler) advance(ctx context.Context, td *v1alpha1.TorrentDownload, predecessor string) (ctrl.Result, error) {
	key, id := client.ObjectKeyFromObject(td), idOf(td)
	progress, err := r.observe(ctx, id)
	if err != nil {
		return ctrl.Result{}, err
	}
	memory := r.known.get(key)
	if predecessor == "" {
		memory.id = id
	}
	in, err := r.inputs(ctx, td, progress, &memory)
	if err != nil {
		return ctrl.Result{}, err
	}
	in.Predecessor = predecessor
	now := time.Now()
	decision := lifecycle.Next(now, td, in, progress)
	memory.Memory = decision.Memory
	r.known.put(key, memory)

	if err := r.do(ctx, td, id, decision, &in); err != nil {
		return ctrl.Result{}, errors.Join(err, r.reportFailure(ctx, td, decision, err))
	}
	if in.ClaimRefused != nil || in.Ending != "" {
		decision = lifecycle.Next(now, td, in, progress) // Nothing more is done; this is about what is told.
	}
	if decision.RemoveFinalizer {
		if err := r.patchFinalizer(ctx, td, controllerutil.RemoveFinalizer); err != nil {
			return ctrl.Result{}, err
		}
		if !td.DeletionTimestamp.IsZero() {
			r.tell(td, decision.Events)
			return ctrl.Result{}, nil // The object is gone, unless somebody else holds it.
		}
	}
	if decision.Delete {
		return ctrl.Result{}, r.Client.Delete(ctx, td, client.Preconditions{UID: &td.UID, ResourceVersion: &td.ResourceVersion})
	}
	downloads.Saw(td, &decision.Status, progress)
	recheck, err := r.report(ctx, td, decision)
	return ctrl.Result{RequeueAfter: sooner(decision.Recheck, recheck)}, err
}

// observe returns the executor's latest snapshot, or nil if it knows nothing
// of the download.
func (r *TorrentDownloadReconciler) observe(ctx context.Context, id download.ID) (*download.Progress, error) {
	p, err := r.Executor.Observe(ctx, id)
	if errors.Is(err, download.ErrUnknown) {
		return nil, nil
	}
	return &p, executorError("observing the download", err)
}

// do carries a decision out, up to what has to wait for its end. What could not
// be done for a reason that the status has to tell goes into in.
func (r *TorrentDownloadReconciler) do(ctx context.Context, td *v1alpha1.TorrentDownload, id download.ID, d lifecycle.Decision, in *lifecycle.Inputs) error {
	if d.AddFinalizer {
		if err := r.patchFinalizer(ctx, td, controllerutil.AddFinalizer); err != nil {
			return err
		}
	}
	if d.Claim != nil {
		var err error
		if in.ClaimRefused, err = r.arrangeClaim(ctx, td, d.Claim); err != nil {
			return err
		}
	}
	if d.Run != nil {
		if err := r.Executor.Ensure(ctx, id, *d.Run); err != nil {
			return executorError("starting the download", err)
		}
	}
	if d.Stop != nil {
		var err error
		if in.Ending, err = r.stop(ctx, id, d.Stop.Request, d.Stop.Data); err != nil {
			return executorError("stopping the download", err)
		}
	}
	return nil
}

// patchFinalizer changes the finalizers of td, unless it was changed meanwhile.
func (r *TorrentDownloadReconciler) patchFinalizer(ctx context.Context, td *v1alpha1.TorrentDownload, change func(client.Object, string) bool) error {
	before := td.DeepCopy()
	if !change(td, v1alpha1.Finalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, td, patch); err != nil {
		return fmt.Errorf("changing the finalizer: %w", err)
	}
	return nil
}

// leave stops what still runs under an object's name for another object than
// the one with the given UID: it was deleted, and perhaps made again. It returns
// what has not ended yet.
func (r *TorrentDownloadReconciler) leave(ctx context.Context, key types.NamespacedName, uid types.UID) (ending string, err error) {
	old := r.known.get(key)
	if old.id == (download.ID{}) || old.id.UID == string(uid) {
		return "", nil
	}
	if ending, err = r.stop(ctx, old.id, download.Request{}, download.Keep); err != nil {
		return "", executorError("stopping the download of a deleted object", err)
	}
	if ending == "" {
		r.known.forget(key)
	}
	return ending, nil
}

// stop stops a download, and returns what of it has not ended yet.
func (r *TorrentDownloadReconciler) stop(ctx context.Context, id download.ID, q download.Request, data download.Disposal) (ending string, err error) {
	err = r.Executor.Stop(ctx, id, q, data)
	if errors.Is(err, download.ErrEnding) {
		ending, err = lifecycle.Redact(err.Error()), nil
	}
	return ending, err
}

// executorError says what was being done, without what must not be logged.
func executorError(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s", doing, lifecycle.Redact(err.Error()))
}

// sooner is the shorter of two times of which 0 is never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
