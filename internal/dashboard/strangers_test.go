package dashboard

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// counted counts what is read of a body.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += n
	return n, err
}

func TestNothingThatStrangersUploadIsRead(t *testing.T) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	file, err := w.CreateFormFile("file", "x.torrent")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = file.Write(make([]byte, maxUpload/2))
	w.Close()
	b := open(t, newFakeAPI(t), Options{})
	for _, at := range []string{"GET /login", "POST /add"} {
		method, path, _ := strings.Cut(at, " ")
		body := &counted{Reader: bytes.NewReader(form.Bytes())}
		r := httptest.NewRequestWithContext(t.Context(), method, path, body)
		r.Header.Set("Content-Type", w.FormDataContentType())
		r.Header.Set("Cookie", cookieName+"=nobody")
		b.server.Handler().ServeHTTP(httptest.NewRecorder(), r)
		if body.n > 0 {
			t.Errorf("%s: %d bytes of a stranger are read", at, body.n)
		}
	}
}

// The API server is never asked for what can have no name, so its answer can't
// be what ends the stream.
func TestNothingIsFollowedForStrangers(t *testing.T) {
	b := open(t, newFakeAPI(t), Options{})
	b.listenAs("nobody", "/downloads/ml/a%2Fb/stream")
	b.server.hub.mu.Lock()
	defer b.server.hub.mu.Unlock()
	if n := len(b.server.hub.all); n > 0 {
		t.Errorf("a token that the API server does not take follows %d downloads", n)
	}
}

// listenAs opens a stream with a token that was not looked at.
func (b *browser) listenAs(token, path string) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, b.at+path, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Cookie", cookieName+"="+token)
	response, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { response.Body.Close() })
}

func TestALinkOfAnotherSiteSignsNobodyOut(t *testing.T) {
	b := open(t, newFakeAPI(t), Options{})
	if r := b.get("/"); r.StatusCode != http.StatusSeeOther || len(r.Cookies()) > 0 {
		t.Errorf("without the cookie, as browsers send such a link: %s, cookies %v", r.Status, r.Cookies())
	}
	if r := b.get("/", "Cookie", cookieName+"=nobody"); len(r.Cookies()) != 1 || r.Cookies()[0].MaxAge >= 0 {
		t.Errorf("a token that the API server does not take stays: %v", r.Cookies())
	}
}

// idle is a feed in which nothing happens.
type idle struct{}

func (idle) run(ctx context.Context) *over {
	<-ctx.Done()
	return nil
}
func (idle) whole() []event { return nil }

func TestNobodyFollowsSoMuchThatOthersCannot(t *testing.T) {
	h := newHub()
	defer h.close()
	join := func(whose, what int) error {
		_, err := h.join(&person{name: strconv.Itoa(whose)}, strconv.Itoa(whose)+" "+strconv.Itoa(what), func(*readers) feed { return idle{} })
		return err
	}
	for whose := range maxFeeds / maxFeedsEach {
		for what := range maxFeedsEach {
			if err := join(whose, what); err != nil {
				t.Fatalf("person %d, page %d: %v", whose, what, err)
			}
		}
		if err := join(whose, maxFeedsEach-1); err != nil {
			t.Errorf("a page that is followed already: %v", err)
		}
		if err := join(whose, maxFeedsEach); err == nil {
			t.Errorf("person %d follows more than %d", whose, maxFeedsEach)
		}
	}
	if err := join(maxFeeds, 0); !errors.Is(err, errCrowded) {
		t.Errorf("more than %d in all: %v", maxFeeds, err)
	}
}

// Over HTTP/2 the deadline of a write ends the stream whether anything is being
// written or not.
func TestAStreamInWhichNothingHappensIsNotTakenForASlowOne(t *testing.T) {
	if keepAlive >= writeWait {
		t.Errorf("something is sent every %v, and the stream ends after %v", keepAlive, writeWait)
	}
}
