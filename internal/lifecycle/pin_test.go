package lifecycle

import (
	"testing"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// The torrent that the source yielded first is the one that is wanted, also
// when it is begun again in the same process: the ConfigMap may hold another
// one by then.
func TestWhatIsTriedAgainIsTheSameTorrent(t *testing.T) {
	for _, permanent := range []bool{false, true} {
		w := fresh(t).downloading()
		w.sees(with(snapshot(download.StateFailed, 420), failure("PathConflict", permanent))).decide()
		d := w.annotated(v1alpha1.AnnotationRetryRequestedAt, "now").decide()
		if doing(d) != "run" || d.Run.InfoHash != hash {
			t.Errorf("permanent %t: it does %q with %+v", permanent, doing(d), d.Run)
		}
	}
}

func TestAnErasureIsOfTheSameTorrent(t *testing.T) {
	w := fresh(t).changed(deletion(v1alpha1.DeletionDelete)).downloading()
	w.sees(with(snapshot(download.StateFailed, 420), failure("VolumeError", false))).decide()
	if d := w.deleted().decide(); doing(d) != "erase" || d.Stop.Request.InfoHash != hash {
		t.Errorf("it does %q with %+v", doing(d), d.Stop)
	}
}
