package inproc

import (
	"errors"
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

// A reconcile that is under way when the operator stops must not begin what
// nobody would stop any more.
func TestNothingBeginsAfterClose(t *testing.T) {
	w := newWorld(t)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Ensure(t.Context(), id("a"), w.request("a")); err == nil {
		t.Error("a download was begun")
	}
	if _, err := w.Observe(t.Context(), id("a")); !errors.Is(err, download.ErrUnknown) {
		t.Errorf("it runs: %v", err)
	}
}

// The path and the query of an address may be a passkey, and net/http tells
// them to whom a redirect leads.
func TestARedirectDoesNotTellWhereItCameFrom(t *testing.T) {
	w := newWorld(t)
	seen := make(chan http.Header, 1)
	other := w.serve(httptest.NewServer, func(rw http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		w.serveFile(rw, r)
	})
	first := w.serve(httptest.NewServer, func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, other.URL, http.StatusFound)
	})
	w.ensure("a", w.from(download.URL{Address: first.URL + "/download?passkey=s3cret"}))
	w.awaitState("a", download.StateComplete)
	if got := (<-seen).Get("Referer"); got != "" {
		t.Errorf("another host got %q", got)
	}
}

// A Secret made of a file ends in a newline more often than not.
func TestANewlineAtTheEndOfAHeaderIsNotPartOfIt(t *testing.T) {
	w := newWorld(t)
	seen := make(chan string, 1)
	s := w.serve(httptest.NewServer, func(rw http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		w.serveFile(rw, r)
	})
	w.ensure("a", w.from(download.URL{Address: s.URL, Headers: map[string]string{"Authorization": "Bearer s3cret\n"}}))
	w.await("a", "answered", func(p download.Progress) bool { return p.Err != nil || p.InfoHash != "" })
	if p := w.observe("a"); p.Err != nil {
		t.Fatal(p.Err)
	}
	if got := <-seen; got != "Bearer s3cret" {
		t.Errorf("the server got %q", got)
	}
}
