// Package lifecycle decides what happens next to a TorrentDownload and what
// its status says: [Next] for the decision, [Worth] for whether the new status
// is worth a write. It is pure. Time is an argument, the cluster and the
// executor are values that somebody else has read, and nothing is carried out
// here; package controllers does both, and is the only caller.
package lifecycle

import (
	"time"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Inputs is what the cluster says about one TorrentDownload besides the object
// itself, and what the caller remembers from the last decision.
type Inputs struct {
	// Source is the resolved spec.source. It is not looked at where
	// SourceProblem is set.
	Source download.Source
	// SourceProblem says why spec.source could not be resolved; nil if it was.
	// A permanent one needs a person, any other is waited for.
	SourceProblem *download.Failure
	// Credentials and CredentialsProblem are the same of
	// spec.discovery.credentials.
	Credentials        []download.Credential
	CredentialsProblem *download.Failure
	// Claim is the claim of the name [ClaimName].
	Claim Claim
	// ClaimRefused says why [Decision.Claim], decided a moment ago, could not
	// be carried out; nil if it could.
	ClaimRefused *download.Failure
	// Rivals are the other downloads of the same claim. They are not needed
	// for one that has started.
	Rivals []Rival
	// Neighbours are the other downloads of the same torrent in the namespace
	// that are known to run.
	Neighbours []Neighbour
	// SharePrivate says that downloads of a private torrent may be told each
	// other's addresses, besides its tracker.
	SharePrivate bool
	// Ending says what an earlier Stop still waits for, and Predecessor what
	// does so of an earlier object of this name; "" for nothing.
	Ending, Predecessor string
	// NamespaceDeleting says that the namespace is being deleted.
	NamespaceDeleting bool
	// Memory is [Decision.Memory] of the last decision; the zero value after
	// a restart of the operator.
	Memory Memory
}

// Memory is what goes from one decision into the next beside the object. To
// lose it, by a restart of the operator, costs nothing but a shorter wait.
type Memory struct {
	// LastAttempt is when status.retries last rose.
	LastAttempt time.Time
	// Verified is the most bytes that were seen in verified pieces. Progress
	// is what goes beyond it.
	Verified int64
	// Resume is what earlier runs left, as it was when this one began. It
	// stays the same while a download runs, so that requests do too.
	Resume Resume
}

// Resume is what a download goes on from.
type Resume struct {
	InfoHash      string
	BytesUploaded int64
	CompletedAt   time.Time
}

// Decision is what is to be done about one TorrentDownload. The fields are in
// the order in which they are carried out; if one of them fails, the rest
// waits for the next decision.
type Decision struct {
	// AddFinalizer: v1alpha1.Finalizer is put on the object before anything
	// runs.
	AddFinalizer bool
	// Claim is what is to be done about the claim of
	// spec.volume.claimTemplate; nil leaves it alone.
	Claim *ClaimOrder
	// Run is what the executor is to ensure; nil leaves it alone.
	Run *download.Request
	// Stop ends the download; nil leaves it alone. Never set together with
	// Run.
	Stop *Stop
	// Delete: the object has been finished for as long as
	// spec.ttlSecondsAfterFinished says.
	Delete bool
	// RemoveFinalizer: the object may go, or needs no finalizer any more.
	RemoveFinalizer bool
	// Status is what the status is to say. See [Worth] for when it is
	// written.
	Status v1alpha1.TorrentDownloadStatus
	// Events are told once the above has succeeded and Status was written.
	Events []Event
	// Recheck is when to decide again at the latest; zero is when something
	// changes.
	Recheck time.Duration
	// Memory goes into the next decision's [Inputs].
	Memory Memory
}

// Stop is an order to end a download.
type Stop struct {
	Request download.Request // Says where the data is.
	Data    download.Disposal
}

// Event is one line for the events.k8s.io API. Its reason and note follow the
// rules of a condition's reason and message.
type Event struct {
	Warning bool
	Reason  string
	Note    string
}

// rules are asked in this order, and the first that has something to say
// decides. The last one always has.
var rules = []rule{
	deleted,       // the object goes, and with it its data or not
	suspended,     // spec.suspend
	atRest,        // complete, and nothing more is wanted of it
	predecessor,   // an earlier object of this name has not ended yet
	tooLate,       // spec.retry.activeDeadlineSeconds is over
	pathConflict,  // an older download has the place of its files
	sourceProblem, // a ConfigMap, Secret or key is missing or refused
	keyProblem,    // one that trackers or web seeds need; what runs goes on
	claimTrouble,  // the claim is not there yet, on its way out, lost, or not ours
	tooSmall,      // the wanted files do not fit into the claim
	claimTaken,    // another download has a claim that one Pod at a time can have
	gaveUp,        // spec.retry.backoffLimit was reached before
	unknown,       // the executor knows nothing: the status stays as it is
	selecting,     // the executor counts other files
	starting,      // the executor begins again: the status stays as it is
	failed,        // a person is needed, or it is tried again
	waiting,       // for the volume, or for its turn
	stalled,       // no byte for spec.retry.stallTimeoutSeconds
	complete,      // every piece is verified and durable
	working,       // resolving, checking, downloading, finishing
}

// A rule looks at the situation and gives its ruling, or says that it has none.
type rule func(*situation) (ruling, bool)

// situation is all that a rule may look at. It is not changed.
type situation struct {
	now time.Time
	td  *v1alpha1.TorrentDownload
	in  Inputs
	p   *download.Progress // nil if the executor does not know the download.
}

// Next decides what happens next to td, given what the cluster says and the
// executor's latest snapshot (nil if it does not know the download). td is not
// changed.
func Next(now time.Time, td *v1alpha1.TorrentDownload, in Inputs, p *download.Progress) Decision {
	s := &situation{now: now, td: td, in: in, p: p}
	var r ruling
	for _, ask := range rules {
		var decided bool
		if r, decided = ask(s); decided {
			break
		}
	}
	return s.decide(r)
}

// NeedsSource says whether a decision about td needs spec.source to be
// resolved. One that is suspended or at rest does not, so whoever decides about
// thousands of those need not read thousands of ConfigMaps.
func NeedsSource(td *v1alpha1.TorrentDownload, p *download.Progress) bool {
	s := &situation{td: td, p: p}
	if s.deleting() {
		return s.hasFinalizer() && td.Spec.DeletionPolicy == v1alpha1.DeletionDelete
	}
	_, isSuspended := suspended(s)
	_, isAtRest := atRest(s)
	return !isSuspended && !isAtRest
}

// standing is a row of the table of conditions: how the download stands.
type standing int

const (
	standsWorking   standing = iota // Ready False, Reconciling True
	standsStalled                   // Ready False, Stalled True
	standsSuspended                 // Ready False (True if complete before), neither of the others
	standsComplete                  // Ready True, neither of the others
	standsAsBefore                  // conditions stay as they are
)

// act is what a ruling wants done.
type act int

const (
	leave   act = iota // nothing; what runs goes on
	run                // ensure the download
	resolve            // ensure that its metadata is resolved, without a volume
	stop               // stop it, keep the data
	erase              // stop it, remove the data
)

// ruling is what a rule decided.
type ruling struct {
	standing        standing
	reason, message string // Of Ready; where the download is complete, of Seeding.
	act             act
	recheck         time.Duration
	attempts        int    // Goes into status.retries.
	makeClaim       bool   // The claim of the template is to be made.
	letGo           bool   // The finalizer is removed.
	event           *Event // Told besides what follows from the conditions.
}

// decide turns a ruling into a decision.
func (s *situation) decide(r ruling) Decision {
	d := Decision{
		AddFinalizer:    !s.deleting() && s.wantsFinalizer() && !s.hasFinalizer(),
		RemoveFinalizer: s.hasFinalizer() && (r.letGo || !s.deleting() && !s.wantsFinalizer()),
		Claim:           s.claimOrder(r),
		Recheck:         r.recheck,
		Memory:          Memory{LastAttempt: s.in.Memory.LastAttempt, Resume: s.resume()},
	}
	d.Delete, d.Recheck = s.expired(r, d.Recheck)
	if left := s.timeLeft(); left > 0 && d.Recheck > left {
		d.Recheck = left
	}
	switch r.act {
	case run, resolve:
		if s.in.SourceProblem == nil {
			q := s.request()
			q.ResolveOnly = r.act == resolve || s.resolveFirst()
			d.Run = &q
		}
	case stop:
		d.Stop = &Stop{Request: s.request(), Data: s.keep(r)}
	case erase:
		d.Stop = &Stop{Request: s.request(), Data: download.Erase}
	}
	if d.Stop != nil && s.in.Ending != "" {
		s.stillEnding(&r, &d)
	}
	if r.attempts > s.attempts() {
		d.Memory.LastAttempt = s.now
	}
	d.Memory.Verified = s.verified()
	if s.p != nil && s.p.Selection == s.selection() {
		d.Memory.Verified = max(d.Memory.Verified, s.p.BytesVerified)
	}
	d.Status = s.status(r, d.Run)
	if d.Events = transitions(s.td.Status.Conditions, d.Status.Conditions); r.event != nil {
		d.Events = append(d.Events, *r.event)
	}
	return d
}

// verified is the most bytes that were seen in verified pieces of the files that
// are wanted now.
func (s *situation) verified() int64 {
	if s.td.Status.Selection != s.selection() {
		return 0
	}
	n := s.in.Memory.Verified
	if p := s.td.Status.Progress; p != nil {
		n = max(n, p.BytesVerified)
	}
	return n
}
