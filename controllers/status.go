package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

// crowded is when to try again to write telemetry for which the budget of all
// downloads had no room.
const crowded = time.Second

// report writes the status if it is worth a write, and then tells the events.
// It returns when to come back for a write that is not worth it yet; 0 if
// there is none.
func (r *TorrentDownloadReconciler) report(ctx context.Context, td *v1alpha1.TorrentDownload, d lifecycle.Decision) (time.Duration, error) {
	key, now := client.ObjectKeyFromObject(td), time.Now()
	write, kind, recheck := lifecycle.Worth(&td.Status, &d.Status, r.lastWrite(td), now, lifecycle.Budget{
		Interval: lifecycle.Spread(string(td.UID), r.ProgressMinInterval),
		Refresh:  refresh,
	})
	switch {
	case kind == lifecycle.NoWrite:
	case !write:
		statuses.Coalesced.WithLabelValues("interval").Inc()
		return recheck, nil
	case kind == lifecycle.Transition:
		if err := r.writes.Wait(ctx); err != nil {
			return 0, err
		}
	case !r.writes.Allow():
		statuses.Coalesced.WithLabelValues("budget").Inc()
		return lifecycle.Spread(string(td.UID), crowded), nil
	}
	if write {
		if err := r.writeStatus(ctx, td, d.Status); err != nil {
			return 0, err
		}
		statuses.Writes.WithLabelValues(string(kind)).Inc()
		r.known.wrote(key, now)
	}
	r.tell(td, d.Events)
	return 0, nil
}

// writeStatus patches the status of td, unless td was changed meanwhile: then
// the decision was about something that is not true any more.
func (r *TorrentDownloadReconciler) writeStatus(ctx context.Context, td *v1alpha1.TorrentDownload, status v1alpha1.TorrentDownloadStatus) error {
	before := td.DeepCopy()
	td.Status = status
	if td.Status.Progress != nil {
		now := metav1.Now()
		td.Status.Progress.LastUpdateTime = &now
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, td, patch); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	return nil
}

// reportFailure says why a decision could not be carried out, where somebody
// waits for it: on an object that is being deleted. Anything else is tried
// again before anybody notices.
func (r *TorrentDownloadReconciler) reportFailure(ctx context.Context, td *v1alpha1.TorrentDownload, d lifecycle.Decision, why error) error {
	if td.DeletionTimestamp.IsZero() || d.Stop == nil {
		return nil
	}
	r.tell(td, []lifecycle.Event{{Warning: true, Reason: "CleanupFailed", Note: lifecycle.Redact(why.Error())}})
	d.Events = nil
	_, err := r.report(ctx, td, d)
	return err
}

// lastWrite is when the status was last written, by this process or before.
func (r *TorrentDownloadReconciler) lastWrite(td *v1alpha1.TorrentDownload) time.Time {
	at := r.known.get(client.ObjectKeyFromObject(td)).written
	if p := td.Status.Progress; at.IsZero() && p != nil && p.LastUpdateTime != nil {
		at = p.LastUpdateTime.Time
	}
	return at
}

// action is what the operator says in its events that it was doing.
const action = "Download"

// tell records events about td.
func (r *TorrentDownloadReconciler) tell(td *v1alpha1.TorrentDownload, events []lifecycle.Event) {
	for _, e := range events {
		kind := corev1.EventTypeNormal
		if e.Warning {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Eventf(td, nil, kind, e.Reason, action, "%s", e.Note)
	}
}
