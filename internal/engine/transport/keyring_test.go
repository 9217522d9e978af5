package transport

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// echo starts a server that answers with the X-Key that it was sent, after a
// redirect if there is one to do.
func echo(t *testing.T, start func(http.Handler) *httptest.Server, to string) *httptest.Server {
	t.Helper()
	s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to != "" && r.URL.Path != "/arrived" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, r.Header.Get("X-Key"))
	}))
	t.Cleanup(s.Close)
	return s
}

func withKey(origin, value string) download.Credential {
	return download.Credential{Origin: origin, Headers: map[string]string{"x-key": value}}
}

func TestHeadersGoToTheirOriginAlone(t *testing.T) {
	clearProxies(t)
	other := echo(t, httptest.NewServer, "")
	_, otherPort, _ := strings.Cut(strings.TrimPrefix(other.URL, "http://"), ":")
	byName := "http://localhost:" + otherPort
	away := echo(t, httptest.NewServer, other.URL+"/arrived")
	base := newTestHTTP(t, nil)
	for _, c := range []struct {
		name, address, want string
		given               []download.Credential
	}{
		{"its own", other.URL + "/a/b?c", "200 k", []download.Credential{withKey(other.URL, " k\n")}},
		{"a name in capitals", byName, "200 k", []download.Credential{withKey("http://LOCALHOST:"+otherPort, "k")}},
		{"another name of the same server", byName, "200 ", []download.Credential{withKey(other.URL, "k")}},
		{"another port", other.URL, "200 ", []download.Credential{withKey(away.URL, "k")}},
		{"another scheme", other.URL, "200 ", []download.Credential{withKey(strings.Replace(other.URL, "http:", "https:", 1), "k")}},
		{"a redirect away", away.URL, "200 ", []download.Credential{withKey(away.URL, "k")}},
		{"a redirect from one to another", away.URL, "200 b", []download.Credential{withKey(away.URL, "a"), withKey(other.URL, "b")}},
		{"twice", other.URL, "200 a", []download.Credential{withKey(other.URL, "a"), withKey(other.URL, "b")}},
		{"of no origin", other.URL, "200 ", []download.Credential{withKey("://", "a"), withKey("", "b")}},
	} {
		k := NewKeyring(base, c.given)
		if got, err := ask(k, c.address); got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
		k.Set(nil)
		if got, err := ask(k, c.address); got != "200 " {
			t.Errorf("%s, after it was taken back: %q, %v", c.name, got, err)
		}
	}
	down := echo(t, httptest.NewTLSServer, other.URL+"/arrived")
	k := NewKeyring(base, []download.Credential{{Origin: down.URL, Headers: map[string]string{"X-Key": "k"}, CABundle: bundle(down)}})
	defer k.CloseIdleConnections()
	if got, err := ask(k, down.URL); got != "200 " {
		t.Errorf("a redirect from https to http: %q, %v", got, err)
	}
}

func bundle(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// Two spellings of an origin are one origin: what is given with one of them
// does not take away what is given with the other.
func TestHeadersAndCertificatesMayBeGivenApart(t *testing.T) {
	clearProxies(t)
	s := echo(t, httptest.NewTLSServer, "")
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	headers := withKey("https://EXAMPLE.com:"+port, "k")
	certificates := download.Credential{Origin: "https://example.com:" + port, CABundle: bundle(s)}
	for _, given := range [][]download.Credential{{headers, certificates}, {certificates, headers}} {
		k := NewKeyring(newTestHTTP(t, nil), given)
		found := (*k.keys.Load())["https://example.com:"+port]
		if found.headers["x-key"] != "k" || found.own == nil {
			t.Errorf("%+v", found)
		}
		k.CloseIdleConnections()
	}
}

func TestCertificatesHoldForTheirOriginAlone(t *testing.T) {
	clearProxies(t)
	one := echo(t, httptest.NewTLSServer, "")
	other := echo(t, httptest.NewTLSServer, one.URL)
	k := NewKeyring(newTestHTTP(t, nil), []download.Credential{{Origin: one.URL, CABundle: bundle(one), Headers: map[string]string{"X-Key": "k"}}})
	defer func() { k.CloseIdleConnections() }()
	if got, err := ask(k, one.URL); got != "200 k" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := ask(k, other.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an origin without certificates: %q, %v", got, err)
	}
	k.Set([]download.Credential{{Origin: one.URL, CABundle: []byte("none")}})
	if got, err := ask(k, one.URL); !errors.Is(err, ErrNoCertificate) || !strings.Contains(err.Error(), one.URL) {
		t.Errorf("a bundle without certificates: %q, %v", got, err)
	}
}
