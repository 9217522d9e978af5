package lifecycle

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// completeMessage is what Ready and Complete say of a complete download.
const completeMessage = "Every wanted piece is verified and durable on the volume."

// conditions sets every condition as the ruling wants it.
func (s *situation) conditions(st *v1alpha1.TorrentDownloadStatus, r ruling) {
	if r.standing == standsAsBefore {
		return
	}
	c := &board{list: &st.Conditions, now: s.now, generation: s.td.Generation}
	s.kstatus(c, r)
	s.aspects(c, st, r)
}

// kstatus sets Ready, Reconciling and Stalled by the table of standings.
func (s *situation) kstatus(c *board, r ruling) {
	switch r.standing {
	case standsWorking:
		c.isFalse(v1alpha1.ConditionReady, r.reason, r.message)
		c.isTrue(v1alpha1.ConditionReconciling, r.reason, r.message)
		c.absent(v1alpha1.ConditionStalled)
	case standsStalled:
		c.isFalse(v1alpha1.ConditionReady, r.reason, r.message)
		c.absent(v1alpha1.ConditionReconciling)
		c.isTrue(v1alpha1.ConditionStalled, r.reason, r.message)
	case standsSuspended:
		if s.wasComplete() {
			c.isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonComplete, completeMessage)
		} else {
			c.isFalse(v1alpha1.ConditionReady, r.reason, r.message)
		}
		c.absent(v1alpha1.ConditionReconciling)
		c.absent(v1alpha1.ConditionStalled)
	case standsComplete:
		c.isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonComplete, completeMessage)
		c.absent(v1alpha1.ConditionReconciling)
		c.absent(v1alpha1.ConditionStalled)
	}
}

// aspects sets the conditions that kstatus does not read.
func (s *situation) aspects(c *board, st *v1alpha1.TorrentDownloadStatus, r ruling) {
	reason, message := r.reason, r.message
	if r.reason == v1alpha1.ReasonRetrying || r.reason == v1alpha1.ReasonBackoffLimitExceeded && s.p != nil {
		f := s.failure(reason)
		reason, message = f.Reason, f.Message
	}
	s.metadataResolved(c, st, r.standing, reason, message)
	s.volumeReady(c, reason, message)
	s.completeness(c, st, r)
	s.seeding(c, r)
}

func (s *situation) metadataResolved(c *board, st *v1alpha1.TorrentDownloadStatus, how standing, reason, message string) {
	switch {
	case metadataReasons[reason] && how != standsComplete && (s.in.SourceProblem != nil || s.in.CredentialsProblem == nil):
		c.isFalse(v1alpha1.ConditionMetadataResolved, reason, message)
	case st.InfoHash.V1 != "":
		c.isTrue(v1alpha1.ConditionMetadataResolved, v1alpha1.ReasonResolved, "The torrent's metainfo is known.")
	case s.p != nil && s.p.State == download.StateResolving:
		c.isFalse(v1alpha1.ConditionMetadataResolved, v1alpha1.ReasonResolving, messages[v1alpha1.ReasonResolving])
	default:
		c.isFalse(v1alpha1.ConditionMetadataResolved, v1alpha1.ReasonPending, "The torrent's metainfo is not known yet.")
	}
}

// volumeReady is told by whoever last had the volume in hand.
func (s *situation) volumeReady(c *board, reason, message string) {
	switch {
	case volumeReasons[reason]:
		c.isFalse(v1alpha1.ConditionVolumeReady, reason, message)
	case s.p != nil && onVolume(s.p.State) && s.in.Claim.usable():
		if why := s.growthRefused(); why != "" {
			c.isTrue(v1alpha1.ConditionVolumeReady, v1alpha1.ReasonClaimNotExpandable,
				"The claim can be written to, but has less than spec.volume.claimTemplate.size. "+why)
			return
		}
		c.isTrue(v1alpha1.ConditionVolumeReady, v1alpha1.ReasonVolumeMounted, "The claim can be written to.")
	case !c.has(v1alpha1.ConditionVolumeReady):
		c.isFalse(v1alpha1.ConditionVolumeReady, v1alpha1.ReasonPending, "The claim was not needed yet.")
	}
}

// completeness takes Complete back only when something turns out to be
// missing: a check or a restart of a complete download says nothing yet.
func (s *situation) completeness(c *board, st *v1alpha1.TorrentDownloadStatus, r ruling) {
	switch {
	case r.standing == standsComplete:
		st.CompletionTime = s.completedAt()
		c.isTrue(v1alpha1.ConditionComplete, v1alpha1.ReasonComplete, completeMessage)
	case s.wasComplete() && !s.fetching():
	default:
		st.CompletionTime = nil
		if p := st.Progress; p != nil && p.Percent == 100 { // From before, when it was complete.
			p.Percent = 99
			p.Summary = summary(p)
		}
		c.isFalse(v1alpha1.ConditionComplete, v1alpha1.ReasonDownloading, "Not every wanted piece is verified and durable yet.")
	}
}

// fetching says that pieces are missing.
func (s *situation) fetching() bool {
	return s.p != nil && (s.p.State == download.StateDownloading || s.p.State == download.StateStalled)
}

func (s *situation) seeding(c *board, r ruling) {
	const t = v1alpha1.ConditionSeeding
	policy := s.td.Spec.Seeding.Policy
	switch {
	case policy == "" || policy == v1alpha1.SeedingNone:
		c.isFalse(t, v1alpha1.ReasonNotSeeding, "spec.seeding.policy is None.")
	case r.standing == standsSuspended:
		c.isFalse(t, v1alpha1.ReasonSuspended, r.message)
	case r.standing != standsComplete:
		c.isFalse(t, v1alpha1.ReasonNotSeeding, "Seeding begins once the download is complete.")
	case r.reason != "":
		c.isFalse(t, r.reason, r.message)
	case s.p == nil:
		if !c.has(t) {
			c.isFalse(t, v1alpha1.ReasonPending, "Seeding is about to start.")
		}
	case s.p.State == download.StateSeeding:
		c.isTrue(t, v1alpha1.ReasonSeeding, "The data is served to other peers.")
	case s.td.Status.ObservedGeneration == s.td.Generation && s.wasComplete():
		c.isFalse(t, v1alpha1.ReasonSeedingDone, "As much was served as spec.seeding asks for.")
	}
}

// board is a list of conditions being written.
type board struct {
	list       *[]metav1.Condition
	now        time.Time
	generation int64
}

func (b *board) set(t string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(b.list, metav1.Condition{
		Type: t, Status: status, Reason: reason, Message: Redact(message),
		ObservedGeneration: b.generation, LastTransitionTime: metav1.Time{Time: b.now},
	})
}

func (b *board) isTrue(t, reason, message string)  { b.set(t, metav1.ConditionTrue, reason, message) }
func (b *board) isFalse(t, reason, message string) { b.set(t, metav1.ConditionFalse, reason, message) }
func (b *board) absent(t string)                   { meta.RemoveStatusCondition(b.list, t) }
func (b *board) has(t string) bool                 { return meta.FindStatusCondition(*b.list, t) != nil }

func ready(list []metav1.Condition) *metav1.Condition {
	return meta.FindStatusCondition(list, v1alpha1.ConditionReady)
}

// onVolume says whether a download in this state has its claim in use.
func onVolume(st download.State) bool {
	switch st {
	case download.StateChecking, download.StateDownloading, download.StateStalled,
		download.StateFinishing, download.StateSeeding, download.StateComplete:
		return true
	}
	return false
}
