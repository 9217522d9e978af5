package process

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// stopping is how long a download that is told to stop may take.
const stopping = 5 * time.Second

// stopped is the exit code of a download that a signal ended.
const stopped = 7

func TestASignalStopsADownloadThatThenGoesOn(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Large pieces, so that there is a part of one to be kept.
			const size = 48<<20 + 4711
			tor := newTorrent(t, layout{name: "data", pieceLength: 4 << 20, size: size}, random(10, size))
			o := newOrdeal(t, tor, &peer{pace: rate.NewLimiter(16<<20, block.Size)})
			r := o.begin(t)
			<-o.when(func(l *ledger) bool { return l.greets == len(o.peers) && l.fresh >= size/3 })
			r.signal(signal)
			if code := r.wait(t, stopping); code != stopped {
				t.Errorf("exit code %d", code)
			}
			if line := r.stderr(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "the same command goes on from there") {
				t.Errorf("standard error is %q", line)
			}
			o.bury(t, r)
			had, sent := r.last().BytesDownloaded, o.total
			if had == 0 {
				t.Error("the process does not tell how much it had fetched")
			}
			o.finish(t)
			if again := o.total - sent; again > size-had {
				t.Errorf("%d of %d bytes were there, and still %d were fetched", had, size, again)
			}
		})
	}
}

func TestTheSecondSignalEndsItAtOnce(t *testing.T) {
	t.Parallel()
	goodbye, gone := make(chan struct{}, 1), make(chan struct{})
	tracker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("event") == "stopped" {
			goodbye <- struct{}{}
			<-gone // It would be waited for.
			return
		}
		w.Write([]byte("d8:intervali1800e5:peers0:e")) //nolint:errcheck // The test will see.
	}))
	defer tracker.Close()
	defer close(gone)
	tor := newTorrent(t, layout{name: "data", pieceLength: 64 << 10, size: 8 << 20}, random(11, 8<<20))
	pace := rate.NewLimiter(1<<20, block.Size)
	o := newOrdeal(t, tor, &peer{pace: pace})
	r := o.begin(t, "--tracker", tracker.URL+"/announce")
	<-o.when(func(l *ledger) bool { return l.fresh > 1<<20 })
	r.signal(syscall.SIGINT)
	select {
	case <-goodbye:
	case <-time.After(patience):
		t.Fatal("the tracker is not told that the download stops")
	}
	began := time.Now()
	r.signal(syscall.SIGINT)
	if code := r.wait(t, stopping); code != stopped {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v more", took)
	}
	o.bury(t, r)
	pace.SetLimit(rate.Inf)
	o.finish(t)
}
