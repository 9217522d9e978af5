package lifecycle

import (
	"testing"
	"time"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// TestBetterRightToAPlace has a download whose torrent is called imagenet, in
// folder imagenet, meet one that has its files in the same place.
func TestBetterRightToAPlace(t *testing.T) {
	created := start.Add(-time.Minute)
	for _, c := range []struct {
		name    string
		started bool // This download has started.
		rival   Rival
		yields  bool
	}{
		{"older", false, Rival{UID: "zzz", Created: created.Add(-time.Second)}, true},
		{"younger", false, Rival{UID: "000", Created: created.Add(time.Second)}, false},
		{"of the same second with a smaller UID", false, Rival{UID: "000", Created: created}, true},
		{"of the same second with a greater UID", false, Rival{UID: "zzz", Created: created}, false},
		{"younger, but there already", false, Rival{Created: created.Add(time.Second), Started: true}, true},
		{"older, but too late", true, Rival{Created: created.Add(-time.Second)}, false},
		{"older, and both have started", true, Rival{Created: created.Add(-time.Second), Started: true}, true},
		{"younger, and both have started", true, Rival{Created: created.Add(time.Second), Started: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := fresh(t)
			w.in.Claim.Exists = c.started // Without a claim it does not start.
			w.decide()
			w.sees(snapshot(download.StateWaiting, 0)).decide()
			w.in.Claim.Exists = true
			c.rival.Name, c.rival.Path, c.rival.Content = "r", "imagenet", "imagenet"
			w.in.Rivals = []Rival{c.rival}
			d := w.decide()
			if !c.yields {
				if doing(d) != "run" {
					t.Errorf("it does %q", doing(d))
				}
				return
			}
			if doing(d) != "stop" || reasons(d.Events) != "!PathConflict" {
				t.Errorf("it does %q and tells %q", doing(d), reasons(d.Events))
			}
			w.stands(status.FailedStatus, "PathConflict")
			w.condition("VolumeReady", "False PathConflict")
			w.in.Rivals = nil
			if d := w.sees(nil).decide(); doing(d) != "run" {
				t.Errorf("the place is free and it does %q", doing(d))
			}
		})
	}
}

// TestPlacesThatMeet: what counts is where the files go, not the folder that
// they are in.
func TestPlacesThatMeet(t *testing.T) {
	for _, c := range []struct {
		name, path, content string
		conflict            bool
	}{
		{"the same place", "imagenet", "imagenet", true},
		{"another torrent in the same folder", "imagenet", "other", false},
		{"not resolved yet", "imagenet", "", false},
		{"a folder within this torrent's own", "imagenet/imagenet/val", "x", true},
		{"this torrent's place within its own", "", "imagenet", true},
		{"beside it in the root", "", "other", false},
		{"elsewhere", "elsewhere", "imagenet", false},
	} {
		w := fresh(t)
		w.in.Rivals = []Rival{{Name: "r", Path: c.path, Content: c.content, Started: true}}
		first := w.decide()
		if wants := map[bool]string{true: "resolve", false: "run"}[c.path != "elsewhere"]; doing(first) != wants {
			t.Errorf("%s: before the name is known it does %q, want %q", c.name, doing(first), wants)
		}
		w.sees(snapshot(download.StateWaiting, 0)).decide()
		d := w.decide()
		if wants := map[bool]string{true: "stop", false: "run"}[c.conflict]; doing(d) != wants {
			t.Errorf("%s: it does %q, want %q", c.name, doing(d), wants)
		}
	}
}

func TestDownloadThatWritesYieldsToNobody(t *testing.T) {
	w := fresh(t).downloading()
	w.in.Rivals = []Rival{{Name: "r", Path: "imagenet", Content: "imagenet", Started: true}}
	if d := w.decide(); doing(d) != "run" {
		t.Errorf("it does %q", doing(d))
	}
}

func TestCompleteDownloadYieldsToNobody(t *testing.T) {
	w := fresh(t).completed()
	w.in.Rivals = []Rival{{Name: "r", Path: "imagenet", Content: "imagenet", Started: true}}
	w.restarted().decide()
	w.stands(status.CurrentStatus, "Complete")
}
