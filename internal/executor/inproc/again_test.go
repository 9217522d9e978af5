package inproc

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// The pin comes after the first failure: what was resolved already and is what
// is pinned is not fetched again, because a link may be good for once only.
func TestWhatIsPinnedAfterwardsIsNotFetchedAgain(t *testing.T) {
	w := newWorld(t)
	var fetched atomic.Int32
	s := w.serve(httptest.NewServer, func(rw http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		w.serveFile(rw, r)
	})
	r := w.from(download.URL{Address: s.URL})
	r.ResolveOnly = true
	w.ensure("a", r)
	w.await("a", "resolved", func(p download.Progress) bool { return p.InfoHash != "" })
	r.ResolveOnly, r.InfoHash = false, w.torrent("a").meta.InfoHash.String()
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
	if n := fetched.Load(); n != 1 {
		t.Errorf("the .torrent file was fetched %d times", n)
	}
}
