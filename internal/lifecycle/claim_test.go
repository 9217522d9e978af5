package lifecycle

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestRequestsTellAClaimFromOneThatWasMadeAgain(t *testing.T) {
	w := fresh(t)
	w.in.Claim.UID = "first"
	w.downloading()
	if got := w.decide().Run.Volume; got != (download.Volume{ClaimName: "datasets", ClaimUID: "first", Path: "imagenet"}) {
		t.Errorf("%+v", got)
	}
	w.in.Claim.UID = "second"
	if got := w.decide().Run.Volume.ClaimUID; got != "second" {
		t.Errorf("the claim is %q", got)
	}
}

// templated is a world whose claim is to be made, and does not exist.
func templated(t *testing.T, size string) *world {
	w := fresh(t)
	w.td.Spec.Volume = v1alpha1.Volume{ClaimTemplate: &v1alpha1.ClaimTemplate{}}
	if size != "" {
		q := resource.MustParse(size)
		w.td.Spec.Volume.ClaimTemplate.Size = &q
	}
	w.in.Claim = Claim{}
	return w
}

// made is what an order makes of the claim: bound, with what it asks for.
func (w *world) made(o *ClaimOrder) *world {
	w.t.Helper()
	if o == nil || !o.Make {
		w.t.Fatalf("no claim is to be made: %+v; conditions: %s", o, w.conditions())
	}
	w.in.Claim = Claim{Exists: true, UID: "claim", Ours: true, Requested: o.Size, Capacity: o.Size, Class: "fast"}
	if o.Owned {
		w.in.Claim.Owner = string(w.td.UID)
	}
	return w
}

// says checks that Ready's message mentions something.
func (w *world) says(want ...string) {
	w.t.Helper()
	for _, s := range want {
		if m := ready(w.td.Status.Conditions).Message; !strings.Contains(m, s) {
			w.t.Errorf("message %q does not mention %q", m, s)
		}
	}
}

func TestClaimOfAGivenSizeIsMadeAtOnce(t *testing.T) {
	w := templated(t, "2Gi")
	d := w.decide()
	if doing(d) != "" || d.Claim == nil || *d.Claim != (ClaimOrder{Make: true, Size: 2 << 30}) || d.Recheck == 0 {
		t.Fatalf("it does %q and orders %+v", doing(d), d.Claim)
	}
	w.stands(status.InProgressStatus, "ClaimPending")
	if got := w.td.Status.Volume.ClaimName; got != "imagenet" {
		t.Errorf("status.volume.claimName is %q", got)
	}
	w.made(d.Claim)
	d = w.decide()
	if doing(d) != "run" || d.Claim != nil || d.Run.Volume.ClaimName != "imagenet" {
		t.Errorf("the claim is there, it does %q and orders %+v", doing(d), d.Claim)
	}
}

func TestMetadataIsResolvedWithoutAVolumeWhereItTellsTheSize(t *testing.T) {
	w := templated(t, "")
	if d := w.decide(); doing(d) != "resolve" || d.Claim != nil {
		t.Fatalf("it does %q and orders %+v", doing(d), d.Claim)
	}
	w.sees(unresolved(download.StateResolving, nil)).decide()
	w.stands(status.InProgressStatus, "Resolving")
	d := w.sees(snapshot(download.StateWaiting, 0)).decide()
	stored := int64(1000<<20 + 1000*resumePerPiece)
	if d.Claim == nil || d.Claim.Size != claimSize(stored) || d.Claim.Size < 1256<<20 || d.Claim.Size > 1300<<20 {
		t.Fatalf("it orders %+v", d.Claim)
	}
	w.made(d.Claim)
	if d = w.decide(); doing(d) != "run" || d.Claim != nil {
		t.Errorf("the claim is there, it does %q and orders %+v", doing(d), d.Claim)
	}
	w.restarted()
	if d = w.decide(); doing(d) != "run" || d.Claim != nil {
		t.Errorf("after a restart it does %q and orders %+v", doing(d), d.Claim)
	}
}

// A claim of a class that waits for its first consumer is bound when something
// mounts it: nothing waits for it to be bound.
func TestClaimThatWaitsForItsFirstConsumerIsUsed(t *testing.T) {
	w := templated(t, "2Gi")
	w.made(w.decide().Claim)
	w.in.Claim.Capacity = 0
	w.sees(snapshot(download.StateWaiting, 0))
	if d := w.decide(); doing(d) != "run" {
		t.Errorf("it does %q", doing(d))
	}
}

func TestClaimGoesWithTheObjectAsThePolicySays(t *testing.T) {
	for policy, owned := range map[v1alpha1.DeletionPolicy]bool{v1alpha1.DeletionRetain: false, v1alpha1.DeletionDelete: true} {
		w := templated(t, "2Gi").changed(deletion(policy))
		d := w.decide()
		if d.Claim == nil || d.Claim.Owned != owned || d.AddFinalizer {
			t.Errorf("%s: it orders %+v, finalizer %t", policy, d.Claim, d.AddFinalizer)
		}
		w.made(d.Claim)
		other := map[bool]v1alpha1.DeletionPolicy{true: v1alpha1.DeletionRetain, false: v1alpha1.DeletionDelete}[owned]
		if d = w.changed(deletion(other)).decide(); d.Claim == nil || *d.Claim != (ClaimOrder{Owned: !owned}) {
			t.Errorf("%s after %s: it orders %+v", other, policy, d.Claim)
		}
	}
}

// A claim that another download names must not take that one's data along: then
// only this torrent's own files are removed.
func TestClaimThatOthersUseDoesNotGoWithTheObject(t *testing.T) {
	w := templated(t, "2Gi").changed(deletion(v1alpha1.DeletionDelete))
	w.made(w.decide().Claim)
	w.decide()
	w.sees(snapshot(download.StateDownloading, 420)).decide()
	w.in.Rivals = []Rival{{Name: "b", Path: "elsewhere"}}
	if d := w.decide(); d.Claim == nil || d.Claim.Owned || !d.AddFinalizer {
		t.Errorf("it orders %+v, finalizer %t", d.Claim, d.AddFinalizer)
	}
	w.in.Claim.Owner = ""
	if d := w.deleted().decide(); doing(d) != "erase" {
		t.Errorf("it does %q", doing(d))
	}
}

func TestForeignClaimOfTheNameIsAConflict(t *testing.T) {
	w := templated(t, "2Gi").changed(deletion(v1alpha1.DeletionDelete))
	w.in.Claim = Claim{Exists: true, Capacity: 1 << 40}
	if d := w.decide(); doing(d) != "stop" || d.Claim != nil {
		t.Errorf("it does %q and orders %+v", doing(d), d.Claim)
	}
	w.stands(status.FailedStatus, "ClaimConflict")
	w.condition(v1alpha1.ConditionVolumeReady, "False ClaimConflict")
	w.says("PersistentVolumeClaim imagenet", "spec.volume.claimName")
}

func TestClaimOfAnObjectThatIsGoneIsWaitedFor(t *testing.T) {
	w := templated(t, "2Gi")
	w.in.Claim = Claim{Exists: true, Ours: true, Owner: "an earlier one"}
	if d := w.decide(); doing(d) != "stop" || d.Claim != nil || d.Recheck == 0 {
		t.Errorf("it does %q and orders %+v", doing(d), d.Claim)
	}
	w.says("being deleted", "A new one is made")
	w.in.Claim = Claim{}
	if d := w.decide(); d.Claim == nil || !d.Claim.Make {
		t.Error("no new one is made")
	}
}

// A claim that was kept is taken again by an object of its name.
func TestKeptClaimIsUsedAgain(t *testing.T) {
	w := templated(t, "2Gi")
	w.in.Claim = Claim{Exists: true, Ours: true, Requested: 2 << 30, Capacity: 2 << 30}
	if d := w.decide(); doing(d) != "run" || d.Claim != nil {
		t.Errorf("it does %q and orders %+v", doing(d), d.Claim)
	}
}

func TestRefusedClaimIsToldAndAskedForAgain(t *testing.T) {
	w := templated(t, "2Gi")
	w.in.ClaimRefused = download.Fail(download.ReasonQuotaExceeded, "No room. Raise the quota.")
	if d := w.decide(); d.Claim == nil || !d.Claim.Make || d.Recheck == 0 {
		t.Errorf("it orders %+v", d.Claim)
	}
	w.stands(status.FailedStatus, "QuotaExceeded")
	w.in.ClaimRefused = nil
	w.decide()
	w.stands(status.InProgressStatus, "ClaimPending")
}

func TestLostVolumeNeedsAPerson(t *testing.T) {
	w := fresh(t).downloading()
	w.in.Claim.Lost = true
	if d := w.decide(); doing(d) != "stop" {
		t.Errorf("it does %q", doing(d))
	}
	w.stands(status.FailedStatus, "ClaimLost")
	w.condition(v1alpha1.ConditionVolumeReady, "False ClaimLost")
}

func TestClaimGrowsWhereItsClassLetsIt(t *testing.T) {
	w := templated(t, "2Gi")
	w.made(w.decide().Claim)
	w.decide()
	w.sees(snapshot(download.StateDownloading, 1)).decide()
	three := resource.MustParse("3Gi")
	w.changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Volume.ClaimTemplate.Size = &three })
	if !MayGrow(w.td, w.in.Claim, w.p) {
		t.Fatal("whether the class lets it grow is not looked up")
	}
	d := w.decide()
	if d.Claim != nil || doing(d) != "run" {
		t.Errorf("its class does not let it grow: it orders %+v and does %q", d.Claim, doing(d))
	}
	w.condition(v1alpha1.ConditionVolumeReady, "True ClaimNotExpandable")
	w.in.Claim.Expandable = true
	if d = w.decide(); d.Claim == nil || *d.Claim != (ClaimOrder{Size: 3 << 30}) || doing(d) != "run" {
		t.Errorf("it orders %+v and does %q", d.Claim, doing(d))
	}
	w.in.Claim.Requested = 3 << 30
	if d = w.decide(); d.Claim != nil {
		t.Errorf("it orders %+v once more", d.Claim)
	}
	w.condition(v1alpha1.ConditionVolumeReady, "True Mounted")
}

func TestInsufficientSpaceIsNoticedBeforeAnythingRuns(t *testing.T) {
	for capacity, want := range map[int64]string{1000<<20 - 1: "stop", 1000 << 20: "run", 1000<<20 + 1: "run", 0: "run"} {
		w := fresh(t)
		w.in.Claim.Capacity, w.in.Claim.Requested = capacity, capacity
		w.td.Status.Name = "imagenet"
		w.sees(snapshot(download.StateWaiting, 0))
		if d := w.decide(); doing(d) != want {
			t.Errorf("capacity %d: it does %q, want %q", capacity, doing(d), want)
		}
		if want == "stop" {
			w.stands(status.FailedStatus, "InsufficientSpace")
			w.says("1048576000 bytes (1.0GiB)", "1048575999", "Select fewer files")
			w.sees(nil).decide() // The executor has forgotten it.
			w.stands(status.FailedStatus, "InsufficientSpace")
		}
	}
}

func TestClaimTooSmallForTheFilesGrowsFirst(t *testing.T) {
	w := templated(t, "")
	w.in.Claim = Claim{Exists: true, Ours: true, Requested: 500 << 20, Capacity: 500 << 20, Class: "fast"}
	w.sees(snapshot(download.StateWaiting, 0)).decide()
	w.stands(status.FailedStatus, "InsufficientSpace")
	w.says("StorageClass fast does not allow that")
	w.in.Claim.Expandable = true
	d := w.decide()
	if d.Claim == nil || d.Claim.Size < 1000<<20 || doing(d) != "stop" {
		t.Fatalf("it orders %+v and does %q", d.Claim, doing(d))
	}
	w.stands(status.InProgressStatus, "ClaimResizing")
	w.in.Claim.Requested = d.Claim.Size
	if d = w.decide(); doing(d) != "stop" || d.Claim != nil {
		t.Errorf("while it grows it does %q and orders %+v", doing(d), d.Claim)
	}
	w.in.Claim.MountToGrow = true // The rest is done when a Pod mounts it.
	if d = w.decide(); doing(d) != "run" {
		t.Errorf("it does %q", doing(d))
	}
}

func TestOneOfTwoHasAClaimForOnePodAtATime(t *testing.T) {
	w := fresh(t)
	w.in.Claim.OnePod = true
	w.in.Rivals = []Rival{{Name: "older", Path: "elsewhere", Created: start.Add(-time.Hour), Active: true}}
	if d := w.decide(); doing(d) != "resolve" || d.Recheck == 0 {
		t.Errorf("it does %q", doing(d))
	}
	w.stands(status.InProgressStatus, "VolumeBusy")
	w.says("older", "by itself")
	w.in.Rivals[0].Active = false
	if d := w.decide(); doing(d) != "run" {
		t.Errorf("the other is done, and it does %q", doing(d))
	}
	w.sees(snapshot(download.StateDownloading, 1))
	w.in.Rivals[0].Active = true
	if d := w.decide(); doing(d) != "run" {
		t.Errorf("it has the claim, and does %q", doing(d))
	}
	w = fresh(t)
	w.in.Rivals = []Rival{{Name: "older", Path: "elsewhere", Created: start.Add(-time.Hour), Active: true}}
	if d := w.decide(); doing(d) != "run" {
		t.Errorf("with a claim for many it does %q", doing(d))
	}
}

func TestWhoHasNeedOfItsClaim(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		w    *world
		want bool
	}{
		"new":       {fresh(t), true},
		"running":   {fresh(t).downloading(), true},
		"complete":  {fresh(t).completed(), false},
		"suspended": {fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Suspend = &yes }), false},
		"seeding":   {fresh(t).changed(func(s *v1alpha1.TorrentDownloadSpec) { s.Seeding.Policy = v1alpha1.SeedingForever }).completed(), true},
		"deleted":   {fresh(t).downloading().deleted(), false},
	} {
		if got := RivalOf(c.w.td).Active; got != c.want {
			t.Errorf("%s: Active is %t", name, got)
		}
	}
}
