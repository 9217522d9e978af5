package tracker

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const goodReply = "d8:intervali1800e5:peers6:\x0a\x00\x00\x01\x1a\xe1e"

// serve starts a tracker that answers as told and returns an announce URL
// with a passkey in its path and in its query.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL + "/secretpasskey1/announce?auth=secretpasskey2"
}

// anywhere allows every address.
func anywhere(netip.Addr) error { return nil }

func newTestClient(t *testing.T) *Client {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	c := NewClient(tr, anywhere)
	t.Cleanup(c.Close)
	return c
}

func TestAnnounceReadsAReply(t *testing.T) {
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/secretpasskey1/announce" || r.URL.Query().Get("auth") != "secretpasskey2" || len(r.URL.Query().Get("info_hash")) != 20 {
			t.Errorf("asked for %s", r.URL)
		}
		if r.UserAgent() != userAgent {
			t.Errorf("user agent %q", r.UserAgent())
		}
		fmt.Fprint(w, goodReply)
	})
	r, err := newTestClient(t).Announce(t.Context(), u, Announce{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Addrs) != 1 || r.Addrs[0] != addrs("10.0.0.1:6881")[0] {
		t.Errorf("%+v", r)
	}
}

func TestUserInformationOfAURLIsSentAsBasicAuthorization(t *testing.T) {
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if user, pass, ok := r.BasicAuth(); !ok || user != "me" || pass != "p@ss" {
			t.Errorf("authorization %q %q", user, pass)
		}
		fmt.Fprint(w, goodReply)
	})
	if _, err := newTestClient(t).Announce(t.Context(), strings.Replace(u, "http://", "http://me:p%40ss@", 1), Announce{}); err != nil {
		t.Fatal(err)
	}
}

func TestGzipIsReadAndBounded(t *testing.T) {
	zeros := make([]byte, 1<<20)
	for _, c := range []struct {
		name  string
		write func(io.Writer)
		err   string
	}{
		{"reply", func(w io.Writer) { fmt.Fprint(w, goodReply) }, ""},
		{"bomb", func(w io.Writer) {
			for range 64 {
				if _, err := w.Write(zeros); err != nil {
					return
				}
			}
		}, "more than 2097152 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept-Encoding") != "gzip" {
					t.Errorf("gzip was not asked for")
				}
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				c.write(z)
				_ = z.Close() // The client has hung up on the bomb.
			})
			_, err := newTestClient(t).Announce(t.Context(), u, Announce{})
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

func TestRepliesUpToTheLimitAreRead(t *testing.T) {
	for _, extra := range []int{-1, 0, 1} {
		size := maxReply + extra
		head := "d3:pad2097130:" // The length's digits do not change around the limit.
		pad := size - len(head) - 1
		head = fmt.Sprintf("d3:pad%d:", pad)
		u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, head+strings.Repeat("x", pad)+"e")
		})
		_, err := newTestClient(t).Announce(t.Context(), u, Announce{})
		if (err == nil) != (extra <= 0) {
			t.Errorf("a reply of the limit%+d bytes: %v", extra, err)
		}
	}
}

func TestRedirectsAreFollowedToALimit(t *testing.T) {
	for _, n := range []int{1, maxRedirects - 1, maxRedirects, maxRedirects + 1, 1 << 30} {
		asked := 0
		u := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked <= n {
				http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, []int{301, 302, 303, 307, 308}[asked%5])
				return
			}
			fmt.Fprint(w, goodReply)
		})
		_, err := newTestClient(t).Announce(t.Context(), u, Announce{})
		if (err == nil) != (n <= maxRedirects) {
			t.Errorf("%d redirects: %v", n, err)
		}
		if want := min(n, maxRedirects) + 1; asked != want {
			t.Errorf("%d redirects: asked %d times, want %d", n, asked, want)
		}
	}
}

func TestRedirectsLeadToHTTPOnly(t *testing.T) {
	for _, location := range []string{"file:///etc/passwd", "ftp://t.example/", "http://", "", "http://[", "javascript:1"} {
		u := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
		})
		if _, err := newTestClient(t).Announce(t.Context(), u, Announce{}); err == nil || !strings.Contains(err.Error(), "redirects to something") {
			t.Errorf("to %q: %v", location, err)
		}
	}
}

func TestARefusalCountsWhateverTheStatus(t *testing.T) {
	for _, status := range []int{200, 400, 403, 500} {
		u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, "d14:failure reason12:unregistered8:retry in5:nevere")
		})
		_, err := newTestClient(t).Announce(t.Context(), u, Announce{})
		var refused *FailureError
		if !errors.As(err, &refused) || refused.Reason != "unregistered" || !refused.Never {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestAnAnnounceEndsWithItsContext(t *testing.T) {
	arrived := make(chan struct{}, 1)
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush() // The answer trickles.
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := newTestClient(t).Announce(ctx, u, Announce{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := newTestClient(t).Announce(ctx, u, Announce{}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not answer in time") {
		t.Errorf("error %v", err)
	}
}

// failing is every way in which a tracker can fail that might put its URL into
// an error.
var failing = map[string]http.HandlerFunc{
	"status":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
	"html":     func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "<a href=%s>", r.URL) },
	"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) },
	"bad location": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://[secretpasskey1")
		w.WriteHeader(http.StatusFound)
	},
	"reason": func(w http.ResponseWriter, r *http.Request) {
		reason := "no such key: secretpasskey2 at " + r.URL.Path
		fmt.Fprintf(w, "d14:failure reason%d:%se", len(reason), reason)
	},
	"warning": func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "d15:warning message22:secretpasskey2 expires!e")
	},
	"cut": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "d")
	},
	"closed": func(w http.ResponseWriter, _ *http.Request) {
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			c.Close()
		}
	},
	"not HTTP": func(w http.ResponseWriter, r *http.Request) {
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			fmt.Fprint(c, "what is "+r.URL.Path+"?\r\n\r\n")
			c.Close()
		}
	},
}

func TestPasskeysAreInNoError(t *testing.T) {
	urls := map[string]string{}
	for name, h := range failing {
		urls[name] = serve(t, h)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	urls["refused"] = "http://" + l.Addr().String() + "/secretpasskey1/announce?auth=secretpasskey2"
	urls["no TLS"] = strings.Replace(urls["status"], "http://", "https://", 1)
	urls["no scheme"] = "secretpasskey1"
	urls["control"] = "http://t.example/secretpasskey1\x00"
	for name, u := range urls {
		t.Run(name, func(t *testing.T) {
			r, err := newTestClient(t).Announce(t.Context(), u, Announce{})
			if err == nil && r.Warning == "" {
				t.Fatal("no error")
			}
			if s := fmt.Sprint(err, r.Warning); strings.Contains(s, "secret") || strings.Contains(s, "info_hash") {
				t.Errorf("it shows too much: %s", s)
			}
		})
	}
}
