package lifecycle

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// disturb changes something at random: what a person, the cluster or an
// executor may do at any time, in any order.
func (w *world) disturb(random *rand.Rand) {
	pick := func(n int) bool { return random.IntN(n) == 0 }
	spec := &w.td.Spec
	before := *spec.DeepCopy()
	switch random.IntN(11) {
	case 10:
		spec.Files.Include = [][]string{nil, {"a"}}[random.IntN(2)]
	case 0:
		yes := pick(2)
		spec.Suspend = &yes
	case 1:
		spec.Seeding.Policy = []v1alpha1.SeedingPolicy{"", v1alpha1.SeedingNone, v1alpha1.SeedingForever}[random.IntN(3)]
	case 2:
		spec.DeletionPolicy = []v1alpha1.DeletionPolicy{"", v1alpha1.DeletionDelete, v1alpha1.DeletionRetain}[random.IntN(3)]
	case 3:
		w.in.Claim = Claim{Exists: !pick(3), Deleting: pick(4), Lost: pick(6), OnePod: pick(2), Requested: 1 << 30, Capacity: []int64{0, 1 << 20, 1 << 40}[random.IntN(3)]}
	case 4:
		if w.in.SourceProblem = nil; pick(3) {
			w.in.SourceProblem = failure(v1alpha1.ReasonSourceNotFound, pick(2))
		}
		if w.in.CredentialsProblem = nil; pick(3) {
			w.in.CredentialsProblem = failure(v1alpha1.ReasonSourceNotFound, pick(2))
		}
	case 5:
		if w.in.Rivals = nil; pick(3) {
			w.in.Rivals = []Rival{{Name: "r", Path: "imagenet", Content: []string{"", "imagenet", "other"}[random.IntN(3)], Started: pick(2), Active: pick(2)}}
		}
	case 6:
		w.annotated([]string{v1alpha1.AnnotationRetryRequestedAt, v1alpha1.AnnotationVerifyRequestedAt}[random.IntN(2)], w.now.String())
	case 7:
		w.restarted()
	default:
		w.sees(anySnapshot(random))
		if w.p.Selection = w.td.Status.Selection; pick(4) {
			counting(w.p, spec.Files.Include...)
		}
	}
	if !reflect.DeepEqual(before, *spec) {
		w.td.Generation++
	}
	w.after(time.Duration(random.IntN(100)) * time.Second)
}

// anySnapshot is one of any state, with or without metadata and a failure.
func anySnapshot(random *rand.Rand) *download.Progress {
	states := []download.State{
		download.StateResolving, download.StateWaiting, download.StateChecking, download.StateDownloading, download.StateStalled,
		download.StateFinishing, download.StateSeeding, download.StateComplete, download.StateFailed, "",
	}
	p := snapshot(states[random.IntN(len(states))], random.IntN(1001))
	if random.IntN(4) == 0 {
		p = unresolved(p.State, nil)
	}
	if random.IntN(3) == 0 {
		reasons := []string{"MetainfoInvalid", "MetainfoUnavailable", "ClaimPending", "VolumeError", "InsufficientSpace", "NoPeers", "", "no reason"}
		p.Err = failure(reasons[random.IntN(len(reasons))], random.IntN(2) == 0)
	}
	p.BytesDownloaded, p.BytesUploaded, p.DownloadBytesPerSecond = random.Int64N(9), random.Int64N(9), random.Int64N(9)
	return p
}

// TestWhateverHappensTheRulesHold walks at random, and after each step checks
// what no decision may break; decide itself checks the conditions.
func TestWhateverHappensTheRulesHold(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := fresh(t)
		for range 60 {
			w.disturb(random)
			before, memory := w.td.DeepCopy(), w.in.Memory
			d := w.decide()
			switch suspended := w.td.Spec.Suspend; {
			case d.Run != nil && suspended != nil && *suspended:
				t.Errorf("a suspended download runs")
			case d.Run != nil && (w.in.SourceProblem != nil || w.in.CredentialsProblem != nil):
				t.Errorf("it runs without a source or credentials")
			case d.Run != nil && !d.Run.ResolveOnly && !w.in.Claim.usable():
				t.Errorf("it runs without a claim")
			case d.Stop != nil && d.Stop.Data == download.Erase:
				t.Errorf("data of an object that stays is erased")
			case w.p != nil && on(&w.td.Status, v1alpha1.ConditionComplete) && before.Status.Selection != w.td.Status.Selection &&
				w.p.Selection != w.td.Status.Selection:
				t.Errorf("it is complete, but what is there of the selected files is not known")
			case w.td.Status.ObservedGeneration > w.td.Generation:
				t.Errorf("observedGeneration is ahead")
			case len(d.Events) > 0 && !transition(&before.Status, &w.td.Status):
				t.Errorf("events %q without a transition", reasons(d.Events))
			}
			again := *w
			again.td, again.in.Memory = before, memory
			same(t, Next(w.now, again.td, again.in, w.p), d)
			if t.Failed() {
				t.Fatalf("seed %d; conditions: %s", seed, w.conditions())
			}
		}
		w.comesThrough(seed)
	}
}

// comesThrough lets every disturbance end: whatever was before, the download
// completes, and is deleted.
func (w *world) comesThrough(seed uint64) {
	w.t.Helper()
	no := false
	w.changed(func(s *v1alpha1.TorrentDownloadSpec) {
		s.Suspend, s.DeletionPolicy, s.Files = &no, v1alpha1.DeletionDelete, v1alpha1.Files{}
	})
	w.in.SourceProblem, w.in.CredentialsProblem, w.in.Rivals, w.in.Claim = nil, nil, nil, Claim{Exists: true}
	if d := w.sees(nil).decide(); d.Run == nil && !on(&w.td.Status, v1alpha1.ConditionReady) {
		w.t.Fatalf("seed %d: at last it does %q; conditions: %s", seed, doing(d), w.conditions())
	}
	w.sees(snapshot(download.StateDownloading, 1)).decide()
	w.stands(status.InProgressStatus, "Downloading")
	w.sees(snapshot(download.StateComplete, 1000)).decide()
	w.stands(status.CurrentStatus, "Complete")
	if d := w.deleted().decide(); doing(d) != "erase" || !d.RemoveFinalizer {
		w.t.Fatalf("seed %d: deleted it does %q", seed, doing(d))
	}
}
