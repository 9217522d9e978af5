package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// HTTP is the way of everything that the engine asks for over HTTP. It is an
// [http.RoundTripper] that waits and reads no more than is reasonable. The
// caller bounds redirects, bodies and the time of a whole request.
//
// A proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name in the environment of
// the process is used, and it may have any address: whoever sets the
// environment is trusted. Without a proxy each address is held against the
// Guard when it is dialed, redirects included. Through a proxy nothing but the
// proxy is dialed, so the host of each request is held against the Guard
// before: an address as it is, a name by what it resolves to here. What a name
// that is not known here means to the proxy is up to the proxy.
type HTTP struct {
	proxies *proxies
	roots   *x509.CertPool // nil is the system's.
	tune    func(*http.Transport) *http.Transport
	direct  *http.Transport // Dials only what the Guard allows.
	proxied *http.Transport // Dials nothing but the proxy.
}

// NewHTTP returns the way for one Guard, which may be nil. The error says which
// variable of the environment is wrong.
func NewHTTP(g *Guard) (*HTTP, error) {
	p, err := fromEnvironment(g)
	if err != nil {
		return nil, err
	}
	return newHTTP(p, nil, func(t *http.Transport) *http.Transport { return t }), nil
}

// newHTTP returns a way with connections of its own. roots are trusted for
// servers, or the system's if they are nil; for a proxy always the system's.
func newHTTP(p *proxies, roots *x509.CertPool, tune func(*http.Transport) *http.Transport) *HTTP {
	direct, proxied := bounded(roots), bounded(roots)
	direct.DialContext = (&net.Dialer{Timeout: dialTimeout, Control: p.guard.Control}).DialContext
	d := &net.Dialer{Timeout: dialTimeout}
	proxied.DialContext = d.DialContext
	proxied.DialTLSContext = (&tls.Dialer{NetDialer: d}).DialContext
	proxied.Proxy = func(r *http.Request) (*url.URL, error) { return p.of(r.URL) }
	return &HTTP{proxies: p, roots: roots, tune: tune, direct: tune(direct), proxied: tune(proxied)}
}

// bounded returns a transport that no server can hold up or flood.
func bounded(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  headersTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaders,
		MaxIdleConns:           32,
		IdleConnTimeout:        time.Minute,
	}
}

// ErrNoCertificate is returned by [HTTP.WithRoots] for a bundle without one.
var ErrNoCertificate = errors.New("the CA bundle holds no PEM certificate")

// WithRoots returns the same way with connections of its own, on which servers
// are trusted by the certificates of a PEM bundle instead of the system's.
func (h *HTTP) WithRoots(bundle []byte) (*HTTP, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, ErrNoCertificate
	}
	return newHTTP(h.proxies, pool, h.tune), nil
}

// Tuned returns the same way with connections of its own, over transports that
// are what tune makes of the usual ones.
func (h *HTTP) Tuned(tune func(*http.Transport) *http.Transport) *HTTP {
	return newHTTP(h.proxies, h.roots, tune)
}

// RoundTrip implements [http.RoundTripper].
func (h *HTTP) RoundTrip(r *http.Request) (*http.Response, error) {
	proxy, err := h.proxies.of(r.URL)
	if err == nil && proxy == nil {
		return h.direct.RoundTrip(r)
	}
	if err == nil {
		err = h.proxies.check(r.Context(), r.URL.Hostname())
	}
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	resp, err := h.proxied.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusProxyAuthRequired {
		resp.Body.Close()
		return nil, errors.New("the proxy wants a user name and password: put the right ones into HTTP_PROXY and HTTPS_PROXY of this process")
	}
	return resp, err
}

// CloseIdleConnections closes what is open and not in use.
func (h *HTTP) CloseIdleConnections() {
	h.direct.CloseIdleConnections()
	h.proxied.CloseIdleConnections()
}
