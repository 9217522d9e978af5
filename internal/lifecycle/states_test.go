package lifecycle

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// doing is what a decision wants done, in a word.
func doing(d Decision) string {
	switch {
	case d.Run != nil && d.Run.ResolveOnly:
		return "resolve"
	case d.Run != nil:
		return "run"
	case d.Stop != nil && d.Stop.Data == download.Erase:
		return "erase"
	case d.Stop != nil:
		return "stop"
	}
	return ""
}

func failure(reason string, permanent bool) *download.Failure {
	return &download.Failure{Reason: reason, Message: "What happened and what to do about " + reason + ".", Permanent: permanent}
}

// with returns a snapshot with a failure.
func with(p *download.Progress, f *download.Failure) *download.Progress {
	p.Err = f
	return p
}

// unresolved is a snapshot from before the metadata is known.
func unresolved(state download.State, f *download.Failure) *download.Progress {
	return &download.Progress{State: state, Err: f}
}

// TestTableOfConditions holds every row of the table of conditions, for a
// download that was underway before, and the two conditions that tell about
// metadata and volume.
func TestTableOfConditions(t *testing.T) {
	const (
		works = status.InProgressStatus
		stuck = status.FailedStatus
		done  = status.CurrentStatus
	)
	for _, row := range []struct {
		name             string
		p                *download.Progress
		kstatus          status.Status
		reason           string
		metadata, volume string
		do               string
		events           string
	}{
		{"resolving", unresolved(download.StateResolving, nil), works, "Resolving", "False Resolving", "False Pending", "run", "Resolving"},
		{"resolving with trouble", unresolved(download.StateResolving, failure("MetainfoUnavailable", false)), works, "MetainfoUnavailable",
			"False MetainfoUnavailable", "False Pending", "run", "MetainfoUnavailable"},
		{"resolving, and nobody tells what the magnet link names", unresolved(download.StateResolving, failure("NoPeers", false)), stuck, "NoPeers",
			"False Resolving", "False Pending", "run", "!NoPeers"},
		{"waiting for its turn", snapshot(download.StateWaiting, 0), works, "Waiting", "True Resolved", "False Pending", "run", "Resolved Waiting"},
		{"waiting for the claim to be bound", with(snapshot(download.StateWaiting, 0), failure("ClaimPending", false)), works, "ClaimPending",
			"True Resolved", "False ClaimPending", "run", "Resolved ClaimPending"},
		{"waiting, and needs a person", with(snapshot(download.StateWaiting, 0), failure("ClaimNotLocal", true)), stuck, "ClaimNotLocal",
			"True Resolved", "False ClaimNotLocal", "run", "Resolved !ClaimNotLocal"},
		{"checking", snapshot(download.StateChecking, 10), works, "Checking", "True Resolved", "True Mounted", "run", "Resolved Checking"},
		{"downloading", snapshot(download.StateDownloading, 10), works, "Downloading", "True Resolved", "True Mounted", "run", "Resolved Downloading"},
		{"corrupt peers", with(snapshot(download.StateDownloading, 10), failure("CorruptPeers", false)), works, "CorruptPeers",
			"True Resolved", "True Mounted", "run", "Resolved CorruptPeers"},
		{"finishing", snapshot(download.StateFinishing, 1000), works, "Finishing", "True Resolved", "True Mounted", "run", "Resolved Finishing"},
		{"complete", snapshot(download.StateComplete, 1000), done, "Complete", "True Resolved", "True Mounted", "run", "Resolved Complete"},
		{"no peers", snapshot(download.StateStalled, 10), stuck, "NoPeers", "True Resolved", "True Mounted", "run", "Resolved !NoPeers"},
		{"stalled for a reason that is known", with(snapshot(download.StateStalled, 10), failure("CorruptPeers", false)), stuck, "CorruptPeers",
			"True Resolved", "True Mounted", "run", "Resolved !CorruptPeers"},
		{"bad metainfo", unresolved(download.StateFailed, failure("MetainfoInvalid", true)), stuck, "MetainfoInvalid",
			"False MetainfoInvalid", "False Pending", "run", "!MetainfoInvalid"},
		{"pinned hash differs", unresolved(download.StateFailed, failure("InfoHashMismatch", true)), stuck, "InfoHashMismatch",
			"False InfoHashMismatch", "False Pending", "run", "!InfoHashMismatch"},
		{"foreign content under a wanted name", with(snapshot(download.StateFailed, 0), failure("PathConflict", true)), stuck, "PathConflict",
			"True Resolved", "False PathConflict", "run", "Resolved !PathConflict"},
		{"no space, tried again all the same", with(snapshot(download.StateFailed, 5), failure("InsufficientSpace", false)), stuck, "InsufficientSpace",
			"True Resolved", "False InsufficientSpace", "", "Resolved !InsufficientSpace"},
		{"trying again", with(snapshot(download.StateFailed, 5), failure("VolumeError", false)), works, "Retrying",
			"True Resolved", "False VolumeError", "", "Resolved !Retrying"},
		{"the address does not answer", unresolved(download.StateFailed, failure("MetainfoUnavailable", false)), works, "Retrying",
			"False MetainfoUnavailable", "False Pending", "", "!Retrying"},
		{"another holds the volume", with(snapshot(download.StateFailed, 5), failure("VolumeBusy", false)), works, "VolumeBusy",
			"True Resolved", "False VolumeBusy", "", "Resolved VolumeBusy"},
		{"failed without a word", snapshot(download.StateFailed, 5), works, "Retrying", "True Resolved", "False Pending", "", "Resolved !Retrying"},
		{"a reason that is none", with(snapshot(download.StateFailed, 5), &download.Failure{Reason: "oh no", Permanent: true}), stuck, "InternalError",
			"True Resolved", "False Pending", "run", "Resolved !InternalError"},
		{"a state that is none", &download.Progress{}, works, "Pending", "False Pending", "False Pending", "run", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := fresh(t)
			if d := w.decide(); doing(d) != "run" || len(d.Events) != 0 {
				t.Errorf("at first: %s, events %q", doing(d), reasons(d.Events))
			}
			w.stands(status.InProgressStatus, "Pending")
			d := w.sees(row.p).decide()
			w.stands(row.kstatus, row.reason)
			w.condition(v1alpha1.ConditionMetadataResolved, row.metadata)
			w.condition(v1alpha1.ConditionVolumeReady, row.volume)
			if doing(d) != row.do {
				t.Errorf("it does %q, want %q", doing(d), row.do)
			}
			if got := reasons(d.Events); got != row.events {
				t.Errorf("events %q, want %q", got, row.events)
			}
			if w.td.Status.ObservedGeneration != 1 {
				t.Errorf("observedGeneration is %d", w.td.Status.ObservedGeneration)
			}
			if again := w.decide(); len(again.Events) != 0 {
				t.Errorf("the same again tells %q: events are told once for each transition", reasons(again.Events))
			}
		})
	}
}

// TestMessagesSayWhatToDo looks for the hint in the messages that lifecycle
// itself writes.
func TestMessagesSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*world)
		want []string
	}{
		{"no peers", func(w *world) { w.sees(snapshot(download.StateStalled, 1)) }, []string{"goes on trying", "spec.discovery"}},
		{"no claim", func(w *world) { w.in.Claim = Claim{} }, []string{"datasets", "Create it", "by itself"}},
		{"claim on its way out", func(w *world) { w.in.Claim.Deleting = true }, []string{"datasets", "being deleted", "Create it again"}},
		{"conflict", func(w *world) {
			w.td.Status.Name = "imagenet"
			w.in.Rivals = []Rival{{Name: "older", Path: "imagenet", Content: "imagenet", Created: start.Add(-time.Hour)}}
		}, []string{"older", "imagenet/imagenet of claim datasets", "spec.volume.path"}},
		{"suspended", func(w *world) { yes := true; w.td.Spec.Suspend = &yes }, []string{"spec.suspend", "false"}},
		{"failed silently", func(w *world) { w.sees(with(snapshot(download.StateFailed, 1), &download.Failure{Permanent: true})) }, []string{"log"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := fresh(t)
			c.set(w)
			w.decide()
			message := ready(w.td.Status.Conditions).Message
			for _, want := range c.want {
				if !strings.Contains(message, want) {
					t.Errorf("%q does not mention %q", message, want)
				}
			}
		})
	}
}

func TestRequestSaysAllThatTheSpecWants(t *testing.T) {
	w := fresh(t)
	yes, stall := true, int32(60)
	down, up := quantity("100Mi"), quantity("2k")
	w.td.Spec = v1alpha1.TorrentDownloadSpec{
		Source: w.td.Spec.Source,
		Volume: v1alpha1.Volume{ClaimName: "c", Path: "a/b", Preallocate: &yes},
		Discovery: v1alpha1.Discovery{
			Trackers: []string{"http://t/announce"}, Peers: []string{"h:1"}, WebSeeds: []string{"http://w/"}, PEX: v1alpha1.Disabled, DHT: v1alpha1.Disabled, Local: v1alpha1.Enabled,
			PeerFilter: v1alpha1.PeerFilter{Allow: []string{"10.0.0.0/8"}, Deny: []string{"2001:db8::/32"}},
		},
		Network:      v1alpha1.Network{Encryption: v1alpha1.EncryptionRequire},
		Verification: v1alpha1.Verification{InfoHash: strings.ToUpper(hash)},
		Seeding:      v1alpha1.Seeding{Policy: v1alpha1.SeedingDuration, DurationSeconds: 90},
		Limits:       v1alpha1.Limits{DownloadBytesPerSecond: &down, UploadBytesPerSecond: &up, MaxPeers: 7},
		Retry:        v1alpha1.Retry{StallTimeoutSeconds: &stall},
	}
	got := *w.decide().Run
	want := download.Request{
		Source: w.in.Source, InfoHash: hash, Trackers: []string{"http://t/announce"}, Peers: []string{"h:1"}, WebSeeds: []string{"http://w/"}, NoPEX: true, NoDHT: true, Local: true,
		PeerFilter: download.PeerFilter{
			Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Deny: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")},
		},
		Encryption: download.EncryptionRequire,
		Volume:     download.Volume{ClaimName: "c", Path: "a/b"},
		Seeding:    download.Seeding{Policy: download.SeedDuration, Duration: 90 * time.Second},
		Limits:     download.Limits{DownloadBytesPerSecond: 100 << 20, UploadBytesPerSecond: 2000, MaxPeers: 7}, Preallocate: true, StallTimeout: time.Minute,
	}
	same(t, got, want)

	w = fresh(t)
	w.td.Spec.Seeding = v1alpha1.Seeding{}
	got = *w.decide().Run
	if got.StallTimeout != 900*time.Second || got.Seeding.Policy != download.SeedNone {
		t.Errorf("defaults are %v and %q", got.StallTimeout, got.Seeding.Policy)
	}
}

// TestRequestsStayTheSame: an executor compares requests, so nothing that the
// status counts may make two of them differ while a download runs.
func TestRequestsStayTheSame(t *testing.T) {
	w := fresh(t)
	w.td.Spec.Seeding = v1alpha1.Seeding{Policy: v1alpha1.SeedingForever}
	first := w.decide().Run
	for i, state := range []download.State{"Resolving", "Checking", "Downloading", "Finishing", "Seeding", "Seeding"} {
		p := snapshot(state, min(1000, 250*i))
		p.BytesUploaded, p.CompletedAt = int64(i)<<20, w.now
		d := w.after(time.Minute).sees(p).decide()
		if d.Run == nil {
			t.Fatalf("nothing is run in state %s", state)
		}
		same(t, *d.Run, *first)
	}
	// Only the next start goes on from what was counted.
	d := w.restarted().decide()
	if d.Run.InfoHash != hash || d.Run.BytesUploaded != 5<<20 || d.Run.CompletedAt.IsZero() {
		t.Errorf("after a restart it goes on from %q, %d bytes, %v", d.Run.InfoHash, d.Run.BytesUploaded, d.Run.CompletedAt)
	}
}

func TestWaitsForTheClaimAndResolvesMeanwhile(t *testing.T) {
	w := fresh(t)
	w.in.Claim = Claim{}
	if d := w.decide(); doing(d) != "resolve" || d.Recheck == 0 {
		t.Errorf("it does %q and looks again after %v", doing(d), d.Recheck)
	}
	w.stands(status.InProgressStatus, "ClaimNotFound")
	w.condition(v1alpha1.ConditionReconciling, "True ClaimNotFound")
	w.condition(v1alpha1.ConditionVolumeReady, "False ClaimNotFound")
	if w.td.Status.StartTime != nil {
		t.Error("it has a startTime before it touched a volume")
	}

	w.sees(snapshot(download.StateWaiting, 0)).decide()
	w.stands(status.InProgressStatus, "ClaimNotFound")
	w.condition(v1alpha1.ConditionMetadataResolved, "True Resolved")
	if w.td.Status.InfoHash.V1 != hash || w.td.Status.Progress.BytesTotal != 1000<<20 {
		t.Errorf("what was resolved is not told: %+v", w.td.Status)
	}

	w.in.Claim.Exists = true
	if d := w.decide(); doing(d) != "run" {
		t.Errorf("the claim is there and it does %q", doing(d))
	}
	w.sees(snapshot(download.StateDownloading, 1)).decide()
	w.stands(status.InProgressStatus, "Downloading")
	w.condition(v1alpha1.ConditionVolumeReady, "True Mounted")
}

func TestBadMetadataIsHeardOverAMissingClaim(t *testing.T) {
	w := fresh(t)
	w.in.Claim = Claim{}
	w.decide()
	d := w.sees(unresolved(download.StateFailed, failure("UnsupportedTorrent", true))).decide()
	w.stands(status.FailedStatus, "UnsupportedTorrent")
	if doing(d) != "resolve" {
		t.Errorf("without a claim it does %q", doing(d))
	}
}

func TestClaimThatGoesAwayStopsTheDownload(t *testing.T) {
	w := fresh(t).downloading()
	w.in.Claim.Deleting = true
	if d := w.decide(); doing(d) != "stop" {
		t.Errorf("it does %q", doing(d))
	}
	w.stands(status.InProgressStatus, "ClaimNotFound")
	w.condition(v1alpha1.ConditionVolumeReady, "False ClaimNotFound")
}

func TestSourceThatIsMissingIsWaitedFor(t *testing.T) {
	w := fresh(t)
	w.in.SourceProblem = failure(v1alpha1.ReasonSourceNotFound, false)
	if d := w.decide(); doing(d) != "" || d.Recheck == 0 || reasons(d.Events) != "SourceNotFound" {
		t.Errorf("it does %q, looks again after %v and tells %q", doing(d), d.Recheck, reasons(d.Events))
	}
	w.stands(status.InProgressStatus, "SourceNotFound")
	w.condition(v1alpha1.ConditionMetadataResolved, "False SourceNotFound")
	w.in.SourceProblem = nil
	if d := w.decide(); doing(d) != "run" {
		t.Errorf("the source is there and it does %q", doing(d))
	}
}

func TestSecretOfAnotherTypeNeedsAPerson(t *testing.T) {
	w := fresh(t)
	w.in.SourceProblem = failure(v1alpha1.ReasonSecretRefused, true)
	if d := w.decide(); doing(d) != "" || reasons(d.Events) != "!SecretRefused" {
		t.Errorf("it does %q and tells %q", doing(d), reasons(d.Events))
	}
	w.stands(status.FailedStatus, "SecretRefused")
}

func TestSourceThatVanishesDoesNotDisturbWhatRuns(t *testing.T) {
	w := fresh(t).downloading()
	w.in.SourceProblem = failure(v1alpha1.ReasonSourceNotFound, false)
	if d := w.decide(); doing(d) != "" || len(d.Events) != 0 {
		t.Errorf("it does %q and tells %q", doing(d), reasons(d.Events))
	}
	w.stands(status.InProgressStatus, "Downloading")
}

func TestCredentialsThatAreMissingAreToldAndLeaveWhatRuns(t *testing.T) {
	w := fresh(t)
	w.in.CredentialsProblem = failure(v1alpha1.ReasonSourceNotFound, false)
	if d := w.decide(); doing(d) != "" || d.Recheck == 0 {
		t.Errorf("it does %q and looks again after %v", doing(d), d.Recheck)
	}
	w.stands(status.InProgressStatus, "SourceNotFound")
	w.condition(v1alpha1.ConditionMetadataResolved, "False Pending")

	w = fresh(t).downloading()
	w.in.CredentialsProblem = failure(v1alpha1.ReasonSecretRefused, true)
	if d := w.decide(); doing(d) != "" || reasons(d.Events) != "!SecretRefused" {
		t.Errorf("it does %q and tells %q", doing(d), reasons(d.Events))
	}
	w.stands(status.FailedStatus, "SecretRefused")
	w.condition(v1alpha1.ConditionMetadataResolved, "True Resolved")
	w.sees(snapshot(download.StateSeeding, 1000)).decide()
	w.stands(status.CurrentStatus, "Complete")

	w = fresh(t)
	w.in.Credentials = []download.Credential{{Origin: "https://tracker.example.org"}}
	if d := w.decide(); doing(d) != "run" || len(d.Run.Credentials) != 1 {
		t.Errorf("it does %q with %+v", doing(d), d.Run)
	}
}

func TestUnreachableTrackerIsNotTheSameAsNoPeers(t *testing.T) {
	down := func(p *download.Progress) *download.Progress {
		p.Trackers = []download.Tracker{
			{URL: "http://tracker.example:80", LastError: "connection refused"}, {URL: "http://b", LastError: "timeout"}, {URL: "http://c", LastError: "x"},
		}
		return p
	}
	w := fresh(t).downloading()
	w.sees(down(snapshot(download.StateDownloading, 1))).decide()
	w.stands(status.InProgressStatus, "TrackerUnreachable")
	if m := ready(w.td.Status.Conditions).Message; !strings.Contains(m, "tracker.example:80") || !strings.Contains(m, "and 2 others") {
		t.Errorf("message %q does not name the tracker", m)
	} else if !strings.Contains(m, "add trackers") {
		t.Errorf("message %q does not say what to do", m)
	}
	private := down(snapshot(download.StateDownloading, 1))
	private.Private = true // It uses no trackers but its own (BEP 27).
	w.sees(private).decide()
	if m := ready(w.td.Status.Conditions).Message; strings.Contains(m, "add trackers") || !strings.Contains(m, "add peers") {
		t.Errorf("message %q does not fit a private torrent", m)
	}
	d := w.sees(down(snapshot(download.StateStalled, 1))).decide()
	w.stands(status.FailedStatus, "TrackerUnreachable")
	if doing(d) != "run" {
		t.Errorf("a stalled download does %q: it has to go on trying", doing(d))
	}

	answered := down(snapshot(download.StateStalled, 1))
	answered.Trackers[1].LastError = ""
	w.sees(answered).decide()
	w.stands(status.FailedStatus, "NoPeers")

	found := down(snapshot(download.StateDownloading, 1))
	found.Peers.Known = 2
	w.sees(found).decide()
	w.stands(status.InProgressStatus, "Downloading")
}

func TestFirstByteClearsNoPeers(t *testing.T) {
	w := fresh(t).downloading()
	w.sees(snapshot(download.StateStalled, 420)).decide()
	w.stands(status.FailedStatus, "NoPeers")
	d := w.after(time.Hour).sees(snapshot(download.StateDownloading, 420)).decide()
	w.stands(status.InProgressStatus, "Downloading")
	w.condition(v1alpha1.ConditionStalled, "")
	if reasons(d.Events) != "Downloading" {
		t.Errorf("events %q", reasons(d.Events))
	}
}

// TestRestartOfTheOperatorChangesNothing goes through what an executor says
// when it opens a download again.
func TestRestartOfTheOperatorChangesNothing(t *testing.T) {
	for name, w := range map[string]*world{
		"downloading": fresh(t).downloading(),
		"complete":    fresh(t).completed(),
		"seeding":     fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Seeding.Policy = v1alpha1.SeedingForever }).completed(),
		"stalled":     fresh(t).downloading().sees(snapshot(download.StateStalled, 420)),
	} {
		w.decide()
		before := w.td.Status.DeepCopy()
		w.after(time.Minute).restarted()
		for _, p := range []*download.Progress{nil, unresolved(download.StateResolving, nil), snapshot(download.StateWaiting, 0)} {
			d := w.sees(p).decide()
			if _, kind, _ := Worth(before, &w.td.Status, start, w.now, Budget{}); kind != NoWrite || len(d.Events) != 0 {
				t.Errorf("%s: a restart is a %s and tells %q; conditions: %s", name, kind, reasons(d.Events), w.conditions())
			}
			if name != "complete" && doing(d) != "run" {
				t.Errorf("%s: after a restart it does %q", name, doing(d))
			}
		}
	}
}

func TestCompleteDownloadAtRestIsLeftAlone(t *testing.T) {
	w := fresh(t).completed()
	for _, p := range []*download.Progress{snapshot(download.StateComplete, 1000), nil} {
		if d := w.sees(p).decide(); doing(d) != "" || NeedsSource(w.td, w.p) {
			t.Errorf("it does %q", doing(d))
		}
		w.stands(status.CurrentStatus, "Complete")
	}
	w.in.SourceProblem, w.in.Claim, w.in.Rivals = failure(v1alpha1.ReasonSourceNotFound, false), Claim{}, []Rival{{Name: "older", Started: true, Path: "imagenet", Content: "imagenet"}}
	w.decide()
	w.stands(status.CurrentStatus, "Complete")
}

func TestNeedsSourceOnlyForWhatRuns(t *testing.T) {
	yes := true
	deleted := func(p v1alpha1.DeletionPolicy) *world {
		w := fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.DeletionPolicy = p }).downloading()
		return w.deleted()
	}
	for name, c := range map[string]struct {
		w    *world
		want bool
	}{
		"new":             {fresh(t), true},
		"downloading":     {fresh(t).downloading(), true},
		"suspended":       {fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Suspend = &yes }), false},
		"at rest":         {fresh(t).completed().restarted(), false},
		"to be verified":  {fresh(t).completed().restarted().annotated(v1alpha1.AnnotationVerifyRequestedAt, "1"), true},
		"deleted, Retain": {deleted(v1alpha1.DeletionRetain), false},
		"deleted, Delete": {deleted(v1alpha1.DeletionDelete), true},
	} {
		if got := NeedsSource(c.w.td, c.w.p); got != c.want {
			t.Errorf("%s: NeedsSource is %v", name, got)
		}
	}
}

// Whoever stops thousands of suspended downloads when it starts may skip what
// was done before, and nothing else.
func TestASuspensionIsOverOnlyOnceTheStatusTellsOfIt(t *testing.T) {
	suspend := func(yes bool) func(*v1alpha1.TorrentDownloadSpec) {
		return func(s *v1alpha1.TorrentDownloadSpec) { s.Suspend = &yes }
	}
	suspended := func(w *world) *world { return w.changed(suspend(true)).sees(nil) }
	told := func() *world {
		w := suspended(fresh(t).downloading())
		w.decide()
		return w
	}
	ending := suspended(fresh(t).downloading())
	ending.in.Ending = "Pod a has to end"
	ending.decide()
	ending.in.Ending = ""
	complete := suspended(fresh(t).completed())
	complete.decide() // Ready tells that it is complete, and nothing of the suspension.
	for name, c := range map[string]struct {
		w    *world
		want download.Disposal
	}{
		"not told yet":                {suspended(fresh(t).downloading()), download.Keep},
		"told":                        {told(), download.Kept},
		"told, after a restart":       {told().restarted(), download.Kept},
		"told while it still ended":   {ending, download.Keep},
		"it runs in spite of that":    {told().sees(snapshot(download.StateDownloading, 420)), download.Keep},
		"the spec has changed since":  {told().changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Limits.MaxPeers = 7 }), download.Keep},
		"resumed and suspended since": {told().changed(suspend(false)).changed(suspend(true)), download.Keep},
		"complete before":             {complete, download.Keep},
		"deleted":                     {told().deleted(), download.Keep},
	} {
		if d := c.w.decide(); d.Stop == nil || d.Stop.Data != c.want {
			t.Errorf("%s: %+v, want %v", name, d.Stop, c.want)
		}
	}
}
