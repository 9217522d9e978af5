package lifecycle

import (
	"testing"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// A volume that was refused from the first was never written to, so nobody has
// to wait for its files to be removed.
func TestDeletionDoesNotHangOnAVolumeThatWasAlwaysRefused(t *testing.T) {
	for _, reason := range []string{download.ReasonVolumeDenied, download.ReasonClaimNotLocal, download.ReasonClaimPending} {
		w := fresh(t).changed(deletion(v1alpha1.DeletionDelete))
		w.decide()
		w.sees(with(snapshot(download.StateFailed, 0), failure(reason, true))).decide()
		for name, p := range map[string]*download.Progress{"at once": w.p, "after a restart": nil} {
			again := *w
			again.td = w.td.DeepCopy()
			again.p = p
			d := again.deleted().decide()
			if doing(d) != "stop" || reasons(d.Events) != "CleanupSkipped" || !d.RemoveFinalizer {
				t.Errorf("%s, %s: it does %q, tells %q", reason, name, doing(d), reasons(d.Events))
			}
		}
	}
}

func TestDeletionErasesWhatWasWrittenBeforeTheVolumeWasRefused(t *testing.T) {
	for name, before := range map[string]*world{
		"with pieces":   fresh(t).changed(deletion(v1alpha1.DeletionDelete)).downloading(),
		"before pieces": fresh(t).changed(deletion(v1alpha1.DeletionDelete)),
	} {
		if name == "before pieces" {
			before.decide()
			before.sees(snapshot(download.StateDownloading, 0)).decide()
		}
		before.sees(with(snapshot(download.StateFailed, 0), failure(download.ReasonVolumeError, false))).decide()
		if d := before.deleted().decide(); doing(d) != "erase" {
			t.Errorf("%s: it does %q", name, doing(d))
		}
	}
	w := fresh(t).changed(deletion(v1alpha1.DeletionDelete)).downloading()
	w.sees(with(snapshot(download.StateFailed, 420), failure(download.ReasonVolumeDenied, true))).decide()
	if d := w.deleted().decide(); doing(d) != "erase" {
		t.Errorf("denied since: it does %q", doing(d))
	}
}

// Two that have the same files and are both to be erased must not each leave
// them to the other.
func TestFilesAreNotLeftToOneThatErasesThemToo(t *testing.T) {
	for erases, want := range map[bool]string{true: "erase", false: "stop"} {
		w := fresh(t).changed(deletion(v1alpha1.DeletionDelete)).downloading()
		w.in.Rivals = []Rival{{Name: "r", Path: "imagenet", InfoHash: hash, Erases: erases}}
		if d := w.deleted().decide(); doing(d) != want {
			t.Errorf("the other erases %t: it does %q", erases, doing(d))
		}
	}
}
