package lifecycle

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// How soon to look again where nothing might wake the operator.
const (
	// recheckRunning is for a download that runs: wake-ups may be lost.
	recheckRunning = 30 * time.Second
	// recheckWaiting is for something in the cluster that is missing.
	recheckWaiting = 30 * time.Second
	// recheckEnding is for what was stopped and has not ended yet.
	recheckEnding = 5 * time.Second
	// recheckStuck is for what a person must repair, out of our sight.
	recheckStuck = 5 * time.Minute
)

func suspended(s *situation) (ruling, bool) {
	if !s.suspended() {
		return ruling{}, false
	}
	return ruling{
		standing: standsSuspended,
		reason:   v1alpha1.ReasonSuspended,
		message:  "Suspended. Set spec.suspend to false to go on.",
		act:      stop,
	}, true
}

// keep says how a download is stopped whose data stays. The status tells of a
// suspension without more only when what ran has ended, so nothing has run of
// this generation since.
func (s *situation) keep(r ruling) download.Disposal {
	c := ready(s.td.Status.Conditions)
	told := c != nil && c.Reason == r.reason && c.Message == r.message && s.td.Status.ObservedGeneration == s.td.Generation
	if r.standing == standsSuspended && told && s.p == nil {
		return download.Kept
	}
	return download.Keep
}

// atRest leaves a complete download alone, after a restart of the operator too.
func atRest(s *situation) (ruling, bool) {
	resting := s.p == nil || s.p.State == download.StateComplete
	if !resting || !s.wasComplete() || s.verifyRequested() || s.seedingWanted() {
		return ruling{}, false
	}
	return ruling{standing: standsComplete, act: leave}, true
}

func sourceProblem(s *situation) (ruling, bool) {
	f := s.in.SourceProblem
	if f == nil || s.underWay() {
		return ruling{}, false
	}
	return s.missing(f), true
}

// keyProblem leaves a download that runs as it is: with what was given before.
// Unlike the source, it has need of its credentials all the time.
func keyProblem(s *situation) (ruling, bool) {
	f := s.in.CredentialsProblem
	if f == nil {
		return ruling{}, false
	}
	r := s.missing(f)
	if p := s.p; p != nil && (p.State == download.StateComplete || p.State == download.StateSeeding) && p.Selection == s.selection() {
		r.standing = standsComplete // It came to that without them.
	}
	return r, true
}

// missing waits for something in the cluster that a person has to put there.
func (s *situation) missing(f *download.Failure) ruling {
	r := ruling{standing: standsWorking, reason: f.Reason, message: f.Message, recheck: recheckWaiting, attempts: s.attempts()}
	if f.Permanent {
		r.standing = standsStalled
	}
	return s.hold(r)
}

// unknown leaves what was reported as it is and starts the download again. A
// spec that nobody has acted upon yet makes it pending.
func unknown(s *situation) (ruling, bool) {
	if s.p != nil {
		return ruling{}, false
	}
	if s.wasComplete() {
		return ruling{standing: standsComplete, act: run, recheck: recheckRunning, attempts: s.attempts()}, true
	}
	r := ruling{standing: standsAsBefore, act: run, recheck: recheckRunning, attempts: s.attempts()}
	if !s.reported() || s.retryRequested() {
		r.standing, r.reason, r.message = standsWorking, v1alpha1.ReasonPending, messages[v1alpha1.ReasonPending]
	}
	return r, true
}

// starting leaves what was reported as it is while a download that has been
// there before is opened again, so that conditions do not flap. That includes
// a check that has only begun, for there may be nothing to hash; and after a
// failure all of it, for it may fail again for the same reason.
func starting(s *situation) (ruling, bool) {
	again := s.attempts() > 0
	opening := s.p.State == download.StateResolving || s.p.State == download.StateWaiting ||
		s.p.State == download.StateChecking && (s.p.Checked == 0 || again)
	if !opening || s.p.Err != nil || !s.reported() || s.td.Status.InfoHash.V1 == "" && !again {
		return ruling{}, false
	}
	return ruling{standing: standsAsBefore, act: run, recheck: recheckRunning, attempts: s.attempts()}, true
}

func failed(s *situation) (ruling, bool) {
	if s.p.State != download.StateFailed {
		return ruling{}, false
	}
	f := s.failure(download.ReasonInternalError)
	r := ruling{standing: standsStalled, reason: f.Reason, message: f.Message, act: run, recheck: recheckStuck}
	if !f.Permanent {
		r = s.retry(r, f)
	}
	if r.reason == v1alpha1.ReasonBackoffLimitExceeded {
		return r, true
	}
	if !f.Permanent && !personReasons[f.Reason] {
		r.standing = standsWorking
	}
	if metadataReasons[f.Reason] {
		r = s.hold(r)
	}
	if r.standing == standsWorking && !waitingReasons[f.Reason] {
		r.reason, r.message = v1alpha1.ReasonRetrying, "It failed and is tried again. "+f.Reason+": "+f.Message
	}
	return r, true
}

func waiting(s *situation) (ruling, bool) {
	if s.p.State != download.StateWaiting {
		return ruling{}, false
	}
	f := s.failure(v1alpha1.ReasonWaiting)
	r := ruling{standing: standsWorking, reason: f.Reason, message: f.Message, act: run, recheck: recheckWaiting, attempts: s.attempts()}
	if f.Permanent || personReasons[f.Reason] {
		r.standing = standsStalled
		return r, true
	}
	return s.hold(r), true
}

// stalled reports a download that goes on trying: to get pieces, or to find out
// what its magnet link names.
func stalled(s *situation) (ruling, bool) {
	resolving := s.p.State == download.StateResolving && s.p.Err != nil && !metadataReasons[s.p.Err.Reason]
	if s.p.State != download.StateStalled && !resolving {
		return ruling{}, false
	}
	f := s.p.Err
	switch {
	case f != nil:
		f = s.failure(download.ReasonNoPeers)
	case trackersDown(s.p):
		f = noTracker(s.p)
	default:
		f = &download.Failure{Reason: download.ReasonNoPeers, Message: messages[download.ReasonNoPeers]}
	}
	return ruling{standing: standsStalled, reason: f.Reason, message: f.Message, act: run, recheck: recheckRunning}, true
}

func complete(s *situation) (ruling, bool) {
	if s.p.State != download.StateComplete && s.p.State != download.StateSeeding {
		return ruling{}, false
	}
	r := ruling{standing: standsComplete, act: run, recheck: recheckRunning}
	if s.p.Err != nil { // It has trouble with its seeding.
		f := s.failure(v1alpha1.ReasonPending)
		r.reason, r.message = f.Reason, f.Message
	}
	if s.seedingWanted() && (s.p.Err != nil || s.p.State != download.StateSeeding) {
		r.attempts = s.attempts() // What comes next may fail as it did before.
	}
	return r, true
}

// working is the last rule: whatever the executor does, it is at work.
func working(s *situation) (ruling, bool) {
	r := ruling{standing: standsWorking, reason: string(s.p.State), act: run, recheck: recheckRunning}
	if !validReason(r.reason) {
		r.reason = v1alpha1.ReasonPending
	}
	switch {
	case s.p.Err != nil:
		f := s.failure(r.reason)
		r.reason, r.message = f.Reason, f.Message
	case s.p.State == download.StateDownloading && trackersDown(s.p):
		f := noTracker(s.p)
		r.reason, r.message = f.Reason, f.Message
	default:
		r.message = messages[r.reason]
	}
	if s.p.BytesVerified <= s.verified() && (s.p.InfoHash == "" || s.td.Status.InfoHash.V1 != "") {
		r.attempts = s.attempts()
	}
	if s.p.State == download.StateResolving {
		r = s.hold(r)
	}
	return r, true
}

// hold lets a complete download stay complete while something that only its
// seeding needs has trouble: the data is on the volume all the same. The
// trouble shows in condition Seeding.
func (s *situation) hold(r ruling) ruling {
	if s.wasComplete() {
		r.standing = standsComplete
	}
	return r
}

// failure is the snapshot's failure, with every field filled in and fit for a
// condition.
func (s *situation) failure(reason string) *download.Failure {
	f := download.Failure{Reason: reason}
	if s.p.Err != nil {
		f = *s.p.Err
	}
	if same, ok := sameReasons[f.Reason]; ok {
		f.Reason = same
	}
	if !validReason(f.Reason) {
		f.Reason = reason
	}
	if f.Message == "" {
		f.Message = messages[f.Reason]
	}
	if f.Message == "" {
		f.Message = f.Reason
	}
	f.Message = sentence(f.Message)
	return &f
}

// trackersDown says that peers can't be found because no tracker answers.
func trackersDown(p *download.Progress) bool {
	if len(p.Trackers) == 0 || p.Peers.Known > 0 {
		return false
	}
	for _, t := range p.Trackers {
		if t.LastError == "" {
			return false
		}
	}
	return true
}

func noTracker(p *download.Progress) *download.Failure {
	which := p.Trackers[0].URL
	if n := len(p.Trackers); n > 1 {
		which = fmt.Sprintf("%s and %d others", which, n-1)
	}
	more := "trackers or peers"
	if p.Private { // It uses no trackers but its own (BEP 27).
		more = "peers"
	}
	return &download.Failure{
		Reason: download.ReasonTrackerUnreachable,
		Message: fmt.Sprintf("No tracker answers (%s), so no peers can be found. It goes on trying. "+
			"Check that the address is right and can be reached from here, or add %s to spec.discovery.", which, more),
	}
}

func (s *situation) suspended() bool { return s.td.Spec.Suspend != nil && *s.td.Spec.Suspend }

// underWay says that the download runs and has no need of its source.
func (s *situation) underWay() bool {
	return s.p != nil && s.p.InfoHash != "" && s.p.State != download.StateFailed
}

// reported says that the status is about this generation of the object.
func (s *situation) reported() bool {
	return s.td.Status.ObservedGeneration == s.td.Generation && ready(s.td.Status.Conditions) != nil
}

// wasComplete says that the status calls it complete, and means the files that
// are selected now.
func (s *situation) wasComplete() bool {
	return meta.IsStatusConditionTrue(s.td.Status.Conditions, v1alpha1.ConditionComplete) &&
		s.td.Status.Selection == s.selection()
}

// selection names the files that are wanted.
func (s *situation) selection() string { return files(s.td.Spec.Files).Selection() }

// selecting waits for the executor to hear that other files are wanted: what it
// says still counts those that were.
func selecting(s *situation) (ruling, bool) {
	if s.p.Selection == s.selection() {
		return ruling{}, false
	}
	return ruling{
		standing: standsWorking, reason: v1alpha1.ReasonPending, message: "Other files were selected; what is there of them is about to be looked at.",
		act: run, recheck: recheckRunning,
	}, true
}

// seedingWanted says that a complete download has something to serve, as far
// as the status and the spec tell.
func (s *situation) seedingWanted() bool {
	if p := s.td.Spec.Seeding.Policy; p == "" || p == v1alpha1.SeedingNone {
		return false
	}
	c := meta.FindStatusCondition(s.td.Status.Conditions, v1alpha1.ConditionSeeding)
	done := c != nil && c.Reason == v1alpha1.ReasonSeedingDone
	return !done || s.td.Status.ObservedGeneration != s.td.Generation
}
