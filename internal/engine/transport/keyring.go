package transport

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Keyring holds what the owner of one download gave for its servers: headers,
// and certificates by which they are verified. It is an [http.RoundTripper] in
// front of an [HTTP]. Each request is looked at by itself, a redirect too: what
// was given for an origin goes with requests to exactly that one, and no other.
type Keyring struct {
	base *HTTP
	keys atomic.Pointer[map[string]key] // By origin; a map is not changed.
}

// key is what was given for one origin.
type key struct {
	headers map[string]string
	own     *HTTP // With the certificates; nil if there are none.
	err     error // Why no request can be made.
}

// NewKeyring returns a keyring with what is given so far.
func NewKeyring(base *HTTP, given []download.Credential) *Keyring {
	k := &Keyring{base: base}
	k.Set(given)
	return k
}

// Set replaces all that was given. Of several credentials for one origin the
// first headers count, and the first certificates. Requests to an origin whose certificates are none fail.
func (k *Keyring) Set(given []download.Credential) {
	keys := make(map[string]key, len(given))
	for _, c := range given {
		u, err := url.Parse(c.Origin)
		if err != nil {
			continue // It is no request's origin.
		}
		at := origin(u)
		next := keys[at]
		if next.headers == nil {
			next.headers = c.Headers
		}
		if c.CABundle != nil && next.own == nil && next.err == nil {
			if next.own, next.err = k.base.WithRoots(c.CABundle); next.err != nil {
				next.err = fmt.Errorf("%w for %s", next.err, at)
			}
		}
		keys[at] = next
	}
	if old := k.keys.Swap(&keys); old != nil {
		closeIdle(*old)
	}
}

// RoundTrip implements [http.RoundTripper].
func (k *Keyring) RoundTrip(r *http.Request) (*http.Response, error) {
	found, ok := (*k.keys.Load())[origin(r.URL)]
	switch {
	case !ok:
		return k.base.RoundTrip(r)
	case found.err != nil:
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, found.err
	}
	r = r.Clone(r.Context()) // A RoundTripper may not change what it is given.
	for name, value := range found.headers {
		r.Header.Set(name, strings.TrimSpace(value))
	}
	if found.own != nil {
		return found.own.RoundTrip(r)
	}
	return k.base.RoundTrip(r)
}

// CloseIdleConnections closes what is open and not in use of the connections
// that only this keyring has.
func (k *Keyring) CloseIdleConnections() { closeIdle(*k.keys.Load()) }

func closeIdle(keys map[string]key) {
	for _, key := range keys {
		if key.own != nil {
			key.own.CloseIdleConnections()
		}
	}
}

// origin returns the scheme, host and port of a URL (RFC 6454) in one spelling.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
