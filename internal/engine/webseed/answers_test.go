package webseed

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/time/rate"
)

func TestAnswersThatAreNotWhatWasAskedFor(t *testing.T) {
	p := newPayload(t, file{"data", 100_000})
	header := func(status int, pairs ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				w.Header().Set(pairs[i], pairs[i+1])
			}
			w.WriteHeader(status)
			w.Write(make([]byte, 65536)) //nolint:errcheck // It hangs up.
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   kind
		says   string
	}{
		"not found":             {header(404), missing, "404 Not Found for content/data"},
		"forbidden":             {header(403), missing, "403 Forbidden"},
		"a status of its own":   {header(499), missing, "499"},
		"no such range":         {header(416), missing, "its file is shorter"},
		"too many":              {header(429), busy, "429 Too Many Requests"},
		"unavailable":           {header(503), busy, "503 Service Unavailable"},
		"nothing":               {header(204), failed, "204 No Content"},
		"not modified":          {header(304), failed, "304 Not Modified"},
		"a page in its place":   {header(200, "Content-Length", "65536"), missing, "65536 bytes instead of 100000"},
		"no range":              {header(206), failed, "which range"},
		"several ranges":        {header(206, "Content-Type", "multipart/byteranges; boundary=x"), failed, "which range"},
		"a range of nothing":    {header(206, "Content-Range", "bytes */100000"), failed, "which range"},
		"other units":           {header(206, "Content-Range", "lines 0-65535/100000"), failed, "which range"},
		"turned around":         {header(206, "Content-Range", "bytes 65535-0/100000"), failed, "which range"},
		"beyond its own end":    {header(206, "Content-Range", "bytes 0-65535/65535"), failed, "which range"},
		"too large a number":    {header(206, "Content-Range", "bytes 0-9999999999999999999999/*"), failed, "which range"},
		"another place":         {header(206, "Content-Range", "bytes 1-65536/100000"), failed, "the bytes from 1 to 65536"},
		"more than that":        {header(206, "Content-Range", "bytes 0-65536/100000"), failed, "the bytes from 0 to 65536"},
		"another file":          {header(206, "Content-Range", "bytes 0-65535/100001"), missing, "100001 bytes instead of 100000"},
		"another length":        {header(206, "Content-Range", "bytes 0-65535/100000", "Content-Length", "65534"), failed, "65534 bytes and calls them"},
		"next to nothing":       {header(206, "Content-Range", "bytes 0-100/100000", "Content-Length", "101"), failed, "only 101 bytes"},
		"compressed":            {header(206, "Content-Range", "bytes 0-65535/100000", "Content-Encoding", "gzip"), failed, "encoding"},
		"a redirect to nowhere": {header(302), failed, "redirects to something that is not an http"},
		"a redirect elsewhere":  {header(302, "Location", "file:///secret"), failed, "redirects to something that is not an http"},
		"a redirect to itself":  {header(307, "Location", "?secret"), failed, "more than 10 times"},
		"no HTTP": {func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Write([]byte("\x00\x1b[2J what?\r\n\r\n")) //nolint:errcheck // It hangs up.
			conn.Close()
		}, failed, "malformed HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			web := p.serve(t, answering(c.answer))
			w := newWorld(t, p)
			err := w.get(p.seed(t, web.URL+"/secret/"), p.blocks(0))
			var e *Error
			if !errors.As(err, &e) || e.kind != c.kind || !strings.Contains(e.Error(), c.says) || !strings.Contains(e.Error(), web.URL) ||
				strings.Contains(e.Error(), "secret") || strings.ContainsAny(e.Error(), "\x00\x1b") || len(w.order) > 0 {
				t.Errorf("it ended with %q of kind %d after %d blocks", err, e.kind, len(w.order))
			}
		})
	}
}

func TestADeadServerIsToldByItsHost(t *testing.T) {
	p := newPayload(t, file{"data", 100_000})
	s := httptest.NewServer(nil)
	s.Close()
	e := newWorld(t, p).failure(p.seed(t, s.URL+"/secret/?k=secret"), failed, "connection refused")
	if !strings.Contains(e.Error(), s.URL) || strings.Contains(e.Error(), "secret") {
		t.Errorf("it says %q", e)
	}
}

// breaking is a server that says that it sends everything and hangs up after a
// number of bytes.
func breaking(after int) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(&short{w, after}, r) })
	}
}

type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Write(p []byte) (int, error) {
	if len(p) > s.left {
		s.ResponseWriter.Write(p[:s.left]) //nolint:errcheck // It hangs up.
		s.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	s.left -= len(p)
	return s.ResponseWriter.Write(p)
}

func TestABodyThatBreaksOffIsGoneOnWith(t *testing.T) {
	p := newPayload(t, file{"data", 1 << 20})
	w := newWorld(t, p)
	if err := w.get(p.seed(t, p.serve(t, breaking(100_000)).URL), p.blocks()); err != nil {
		t.Fatal(err)
	}
}

func TestABodyThatBreaksOffBeforeTheFirstBlockIsAFailure(t *testing.T) {
	p := newPayload(t, file{"data", 1 << 20})
	for after, ok := range map[int]bool{0: false, 1: false, 16<<10 - 1: false, 16 << 10: true, 16<<10 + 1: true} {
		w := newWorld(t, p)
		s := p.seed(t, p.serve(t, breaking(after)).URL)
		if ok {
			if err := w.get(s, p.blocks()); err != nil {
				t.Errorf("%d bytes: %v", after, err)
			}
			continue
		}
		if e := w.failure(s, failed, "broke off after"); after > 0 && !strings.Contains(e.Error(), fmt.Sprint(after)) {
			t.Errorf("it says %q", e)
		}
	}
}

func TestAServerMaySendLessThanItWasAskedFor(t *testing.T) {
	p := newPayload(t, file{"data", 1 << 20})
	w := newWorld(t, p)
	web := p.serve(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var first, last int64
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last) //nolint:errcheck // Always there.
			r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first, min(last, first+50_000)))
			h.ServeHTTP(w, r)
		})
	})
	if err := w.get(p.seed(t, web.URL), p.blocks()); err != nil {
		t.Fatal(err)
	}
}

func TestRedirectsAreFollowedAndRemembered(t *testing.T) {
	p := newPayload(t, file{"data", 1 << 20})
	var away, front journal
	mirror := p.serve(t, away.through)
	var gone atomic.Bool
	web := p.serve(t, func(http.Handler) http.Handler {
		return front.through(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if gone.Load() {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			http.Redirect(w, r, mirror.URL+r.URL.Path, http.StatusFound)
		}))
	})
	w := newWorld(t, p)
	s := p.seed(t, web.URL+"/")
	if err := w.get(s, p.blocks()); err != nil {
		t.Fatal(err)
	}
	if len(front.requests) != 1 {
		t.Errorf("%d requests came to the first server", len(front.requests))
	}
	if len(away.requests) < 2 {
		t.Errorf("%d requests came to the mirror", len(away.requests))
	}
	for _, r := range away.requests {
		if from := r.Header.Get("Referer"); from != "" {
			t.Errorf("another host was told of %s", from)
		}
	}
	// When the mirror fails, the first server is asked again.
	mirror.Close()
	gone.Store(true)
	w.there = map[int64]bool{}
	w.fails(s, missing, "404")
}

func TestAUserAndPasswordInAURLAreForItsHostAlone(t *testing.T) {
	p := newPayload(t, file{"data", 100_000})
	var l journal
	mirror := p.serve(t, l.through)
	web := p.serve(t, answering(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "u" || password != "p:w" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, mirror.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	if err := newWorld(t, p).get(p.seed(t, strings.Replace(web.URL, "://", "://u:p%3Aw@", 1)), p.blocks()); err != nil {
		t.Fatal(err)
	}
	for _, r := range l.requests {
		if r.Header.Get("Authorization") != "" {
			t.Error("another host was sent the password")
		}
	}
}

func TestRedirectsHaveAnEnd(t *testing.T) {
	p := newPayload(t, file{"data", 100_000})
	for n, ok := range map[int]bool{maxRedirects - 1: true, maxRedirects: true, maxRedirects + 1: false} {
		web := p.serve(t, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if k := strings.Count(r.URL.RawQuery, "x"); k < n {
					http.Redirect(w, r, r.URL.Path+"?"+strings.Repeat("x", k+1), http.StatusMovedPermanently)
					return
				}
				h.ServeHTTP(w, r)
			})
		})
		if err := newWorld(t, p).get(p.seed(t, web.URL), p.blocks()); ok != (err == nil) {
			t.Errorf("%d redirects: %v", n, err)
		}
	}
}

func TestWhatIsReceivedIsPaidFor(t *testing.T) {
	p := newPayload(t, file{"data", 256 << 10})
	own := rate.NewLimiter(1, 300<<10) // So much is given at once, and hardly any more ever.
	limits := []*rate.Limiter{rate.NewLimiter(rate.Inf, 16<<10), own}
	if err := newWorld(t, p).get(p.seed(t, p.serve(t, nil).URL, func(c *Config) { c.Down = limits }), p.blocks()); err != nil {
		t.Fatal(err)
	}
	if left := own.Tokens(); left < 43<<10 || left > 45<<10 {
		t.Errorf("%.0f bytes are left of 300 KiB", left)
	}
}

func TestRememberedRedirectsHaveAnEnd(t *testing.T) {
	var files []file
	for k := range maxMoved + 1 {
		files = append(files, file{fmt.Sprintf("f%04d", k), 1})
	}
	p := newPayload(t, files...)
	mirror := p.serve(t, nil)
	web := p.serve(t, answering(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, mirror.URL+r.URL.Path, http.StatusSeeOther)
	}))
	s := p.seed(t, web.URL)
	if err := newWorld(t, p).get(s, p.blocks()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.moved); n != 1 {
		t.Errorf("after %d files that were redirected, %d are remembered", maxMoved+1, n)
	}
}
