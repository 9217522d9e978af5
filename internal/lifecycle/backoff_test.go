package lifecycle

import (
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// fetched is a snapshot of a download that works and has received bytes.
func fetched(state download.State, verified int) *download.Progress {
	p := snapshot(state, verified)
	p.BytesDownloaded = 64 << 20
	return p
}

// waits lets a download fail, and returns how long it is left alone then.
func (w *world) waits(p *download.Progress) time.Duration {
	w.t.Helper()
	d := w.sees(p).decide()
	if doing(d) != "" {
		w.t.Fatalf("it does %q at once", doing(d))
	}
	return d.Recheck
}

// A full volume takes bytes from the network before it refuses them: that is
// no progress.
func TestBytesThatLeadNowhereDoNotResetTheBackoff(t *testing.T) {
	w := fresh(t).downloading()
	failed := func() *download.Progress {
		return with(fetched(download.StateFailed, 420), failure("InsufficientSpace", false))
	}
	wait := w.waits(failed())
	for range 10 {
		if d := w.after(wait).decide(); doing(d) != "run" {
			t.Fatal("it is not tried again")
		}
		w.sees(unresolved(download.StateResolving, nil)).decide()
		w.after(time.Second).sees(fetched(download.StateDownloading, 420)).decide()
		wait = w.waits(failed())
	}
	if wait < maxBackoff/2 {
		t.Errorf("after ten failures it is tried again after %v", wait)
	}
}

func TestVerifiedPiecesResetTheBackoff(t *testing.T) {
	w := fresh(t).downloading()
	verified := 420
	failed := func() *download.Progress {
		return with(fetched(download.StateFailed, verified), failure("VolumeError", false))
	}
	wait := w.waits(failed())
	for range 10 {
		w.after(wait).decide()
		verified++
		w.after(time.Second).sees(fetched(download.StateDownloading, verified)).decide()
		wait = w.waits(failed())
	}
	if wait > 2*firstBackoff {
		t.Errorf("after ten attempts with progress it waits %v", wait)
	}
}
