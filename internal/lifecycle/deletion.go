package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Reasons of the events that tell what became of the data of a deleted object.
const (
	eventErased  = "DataErased"
	eventSkipped = "CleanupSkipped"
)

// deleted stops the download of an object that goes. Its data goes too if
// spec.deletionPolicy says so and nothing speaks against it; whatever happens,
// the object never hangs on something that is going away itself.
func deleted(s *situation) (ruling, bool) {
	if !s.deleting() {
		return ruling{}, false
	}
	r := ruling{standing: standsAsBefore, act: stop, letGo: true}
	if !s.hasFinalizer() || !s.wantsFinalizer() {
		return r, true
	}
	if why := s.keepData(); why != "" {
		r.event = &Event{Reason: eventSkipped, Note: "The data was left in the claim: " + why + "."}
		return r, true
	}
	r.standing, r.reason, r.act = standsWorking, v1alpha1.ReasonDeleting, erase
	r.message = fmt.Sprintf("The download is being stopped and its files removed from claim %s. To let the object go without that, set the annotation %s to \"true\".",
		s.claimName(), v1alpha1.AnnotationSkipCleanup)
	if f := s.in.SourceProblem; f != nil {
		r.message += " Which files they are is told by the source, but: " + f.Message
	}
	r.event = &Event{Reason: eventErased, Note: fmt.Sprintf("The torrent's own files were removed from claim %s.", s.claimName())}
	return r, true
}

// keepData says why the data of a deleted object is not removed although its
// policy is Delete; "" if it is to be removed.
func (s *situation) keepData() string {
	claim := s.claimName()
	switch {
	case s.td.Annotations[v1alpha1.AnnotationSkipCleanup] == "true":
		return "the annotation " + v1alpha1.AnnotationSkipCleanup + " asks for it"
	case s.in.NamespaceDeleting:
		return "the namespace is being deleted too"
	case !s.in.Claim.Exists:
		return "claim " + claim + " does not exist any more"
	case s.in.Claim.Deleting:
		return "claim " + claim + " is being deleted too"
	case s.td.Status.StartTime == nil || !s.everResolved() || s.refusedVolume():
		return "this download never wrote to it"
	}
	for i := range s.in.Rivals {
		if rival := &s.in.Rivals[i]; s.sharesFiles(rival) {
			return "TorrentDownload " + rival.Name + " has the same files"
		}
	}
	return ""
}

// everResolved says that it was known once which torrent it is: before, nothing
// is written.
func (s *situation) everResolved() bool {
	return s.td.Status.InfoHash.V1 != "" || s.p != nil && s.p.InfoHash != ""
}

// refusedVolume says that the volume was not to be written to, and that no
// piece is known to have been written before.
func (s *situation) refusedVolume() bool {
	if p := s.td.Status.Progress; p != nil && p.BytesVerified > 0 {
		return false
	}
	c := meta.FindStatusCondition(s.td.Status.Conditions, v1alpha1.ConditionVolumeReady)
	return c != nil && refusedReasons[c.Reason]
}

func (s *situation) deleting() bool { return !s.td.DeletionTimestamp.IsZero() }

func (s *situation) hasFinalizer() bool {
	return slices.Contains(s.td.Finalizers, v1alpha1.Finalizer)
}

// wantsFinalizer: only the removal of data has to be waited for, where it does
// not go with a claim of its own. What runs for an object that is gone is
// stopped by the caller.
func (s *situation) wantsFinalizer() bool {
	return s.td.Spec.DeletionPolicy == v1alpha1.DeletionDelete && !s.claimGoes()
}

// expired says whether a finished object goes by itself now, and if not yet,
// when to look again.
func (s *situation) expired(r ruling, recheck time.Duration) (bool, time.Duration) {
	ttl := s.td.Spec.TTLSecondsAfterFinished
	if _, resting := atRest(s); ttl == nil || !resting || r.standing != standsComplete || !s.reported() || s.td.Status.CompletionTime == nil {
		return false, recheck
	}
	since := s.td.Status.CompletionTime.Time
	if c := meta.FindStatusCondition(s.td.Status.Conditions, v1alpha1.ConditionSeeding); c != nil && c.Reason == v1alpha1.ReasonSeedingDone {
		since = c.LastTransitionTime.Time
	}
	left := since.Add(time.Duration(*ttl) * time.Second).Sub(s.now)
	return left <= 0, max(left, 0)
}

// stillEnding says that what was to be stopped has not ended yet. Only the
// removal of data is waited for before the object goes.
func (s *situation) stillEnding(r *ruling, d *Decision) {
	d.Recheck = recheckEnding
	if r.act == erase {
		d.RemoveFinalizer, r.event = false, nil
	}
	if r.message != "" {
		r.message += " What runs has not ended yet: " + sentence(s.in.Ending)
	}
}

// predecessor waits for what runs for an object that had this name before.
func predecessor(s *situation) (ruling, bool) {
	if s.in.Predecessor == "" {
		return ruling{}, false
	}
	return ruling{
		standing: standsWorking, reason: download.ReasonWorkerEnding, act: leave, recheck: recheckEnding,
		message: "The download of an earlier TorrentDownload of this name has not ended yet: " + sentence(s.in.Predecessor),
	}, true
}
