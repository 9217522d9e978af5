package inproc

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// from asks for torrent "a" as an address serves it.
func (w *world) from(u download.URL) download.Request {
	w.Helper()
	r := w.request("a")
	r.Source = download.Source{URL: &u}
	return r
}

// serve answers every request, over HTTP or HTTPS.
func (w *world) serve(start func(http.Handler) *httptest.Server, h http.HandlerFunc) *httptest.Server {
	w.Helper()
	s := start(h)
	s.Config.ErrorLog = nil
	w.Cleanup(s.Close)
	return s
}

func (w *world) serveFile(rw http.ResponseWriter, _ *http.Request) {
	_, _ = rw.Write(w.torrent("a").file)
}

func TestAURLIsFetchedOnceForADownload(t *testing.T) {
	w := newWorld(t)
	var fetched atomic.Int32
	s := w.serve(httptest.NewServer, func(rw http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		w.serveFile(rw, r)
	})
	sum := sha256.Sum256(w.torrent("a").file)
	r := w.from(download.URL{Address: s.URL + "/a.torrent", SHA256: strings.ToUpper(hex.EncodeToString(sum[:]))})
	r.ResolveOnly = true
	w.ensure("a", r)
	w.await("a", "resolved", func(p download.Progress) bool { return p.InfoHash != "" })
	r.ResolveOnly = false
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
	if n := fetched.Load(); n != 1 {
		t.Errorf("the .torrent file was fetched %d times", n)
	}
}

func TestHeadersGoToTheHostThatTheyAreFor(t *testing.T) {
	w := newWorld(t)
	seen := make(chan http.Header, 2)
	other := w.serve(httptest.NewServer, func(rw http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		w.serveFile(rw, r)
	})
	first := w.serve(httptest.NewServer, func(rw http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		http.Redirect(rw, r, other.URL+"/elsewhere", http.StatusFound)
	})
	w.ensure("a", w.from(download.URL{Address: first.URL, Headers: map[string]string{"X-Api-Key": "s3cret"}}))
	w.awaitState("a", download.StateComplete)
	if got := (<-seen).Get("X-Api-Key"); got != "s3cret" {
		t.Errorf("the first host got %q", got)
	}
	if got := (<-seen).Get("X-Api-Key"); got != "" {
		t.Errorf("another host got %q", got)
	}
}

func TestACABundleIsTrustedInsteadOfTheSystem(t *testing.T) {
	w := newWorld(t)
	s := w.serve(httptest.NewTLSServer, w.serveFile)
	w.fails("stranger", w.from(download.URL{Address: s.URL}), download.ReasonMetainfoUnavailable, false, "certificate")
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	w.fails("wrong", w.from(download.URL{Address: s.URL, CABundle: []byte("no certificate")}), download.ReasonMetainfoUnavailable, true, "CA bundle")
	w.ensure("a", w.from(download.URL{Address: s.URL, CABundle: bundle}))
	w.awaitState("a", download.StateComplete)
}

func TestWhatIsWrongWithASource(t *testing.T) {
	w := newWorld(t)
	s := w.serve(httptest.NewServer, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/passkey/a.torrent":
			w.serveFile(rw, r)
		case "/passkey/page":
			_, _ = rw.Write([]byte("<html>please log in</html>"))
		default:
			http.NotFound(rw, r)
		}
	})
	host := strings.TrimPrefix(s.URL, "http://")
	for _, c := range []struct {
		name      string
		change    func(*download.Request)
		reason    string
		permanent bool
		says      []string
	}{
		{"not-found", func(r *download.Request) { r.Source.URL.Address = s.URL + "/passkey/nothing" }, download.ReasonMetainfoUnavailable, false, []string{host, "404", "check the URL"}},
		{"a-page", func(r *download.Request) { r.Source.URL.Address = s.URL + "/passkey/page" }, download.ReasonMetainfoInvalid, true, []string{".torrent"}},
		{"another-checksum", func(r *download.Request) { r.Source.URL.SHA256 = strings.Repeat("0", 64) }, download.ReasonChecksumMismatch, true, []string{host, "SHA-256"}},
		{"another-hash", func(r *download.Request) { r.InfoHash = strings.Repeat("0", 40) }, download.ReasonInfoHashMismatch, true, []string{w.torrent("a").meta.InfoHash.String(), strings.Repeat("0", 40), "spec.verification.infoHash"}},
		{"garbage", func(r *download.Request) { r.Source = download.Source{Metainfo: []byte("d4:infoi1ee")} }, download.ReasonMetainfoInvalid, true, []string{".torrent"}},
		{"nothing", func(r *download.Request) { r.Source = download.Source{} }, download.ReasonMetainfoInvalid, true, []string{".torrent"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.from(download.URL{Address: s.URL + "/passkey/a.torrent"})
			c.change(&r)
			w.fails(c.name, r, c.reason, c.permanent, c.says...)
			p := w.observe(c.name)
			if strings.Contains(p.Err.Message, "passkey") {
				t.Errorf("the message tells a path: %s", p.Err.Message)
			}
			if p.InfoHash != "" {
				t.Errorf("it has info hash %s although it was refused", p.InfoHash)
			}
		})
	}
}

func TestADeniedAddressIsRefusedForGood(t *testing.T) {
	w := newWorld(t)
	w.guard.Deny = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	s := w.serve(httptest.NewServer, w.serveFile)
	w.fails("a", w.from(download.URL{Address: s.URL}), download.ReasonAddressDenied, true, "127.0.0.1", "--allow-cidrs")
}
