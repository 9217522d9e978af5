package lifecycle

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// transitions are the events that follow from a change of conditions: one for
// each new reason of Ready, one for the metadata being known, and one for
// seeding to begin or end.
func transitions(old, next []metav1.Condition) []Event {
	var events []Event
	tell := func(t string, warning bool) {
		if c := meta.FindStatusCondition(next, t); c != nil && changed(meta.FindStatusCondition(old, t), c) {
			events = append(events, Event{Warning: warning, Reason: c.Reason, Note: c.Message})
		}
	}
	if meta.IsStatusConditionTrue(next, v1alpha1.ConditionMetadataResolved) {
		tell(v1alpha1.ConditionMetadataResolved, false)
	}
	if c := ready(next); c != nil && c.Reason != v1alpha1.ReasonPending {
		stalled := meta.IsStatusConditionTrue(next, v1alpha1.ConditionStalled)
		tell(v1alpha1.ConditionReady, stalled || c.Reason == v1alpha1.ReasonRetrying)
	}
	switch c := meta.FindStatusCondition(next, v1alpha1.ConditionSeeding); {
	case c == nil:
	case c.Reason == v1alpha1.ReasonSeeding, c.Reason == v1alpha1.ReasonSeedingDone:
		tell(v1alpha1.ConditionSeeding, false)
	case metadataReasons[c.Reason] && meta.IsStatusConditionTrue(next, v1alpha1.ConditionReady):
		tell(v1alpha1.ConditionSeeding, true)
	}
	return events
}

// changed says whether a condition made a transition.
func changed(old, next *metav1.Condition) bool {
	if old == nil || next == nil {
		return old != next
	}
	return old.Status != next.Status || old.Reason != next.Reason
}
