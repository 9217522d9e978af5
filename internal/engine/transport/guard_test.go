package transport

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(ss ...string) (ps []netip.Prefix) {
	for _, s := range ss {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestGuard(t *testing.T) {
	g := &Guard{
		Deny:  prefixes("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10", "10.0.0.0/8", "::ffff:192.0.2.0/120", "2001:db8::/32"),
		Allow: prefixes("10.96.0.0/16", "10.1.2.3/32", "2001:db8:1::/48"),
	}
	for addr, denied := range map[string]string{
		"127.0.0.1":              "127.0.0.0/8",
		"127.255.255.255":        "127.0.0.0/8",
		"128.0.0.0":              "",
		"::1":                    "::1/128",
		"::2":                    "",
		"0.0.0.0":                "127.0.0.0/8", // Linux connects to loopback.
		"::":                     "::1/128",
		"::ffff:127.0.0.1":       "127.0.0.0/8", // IPv4 in the clothes of IPv6.
		"::ffff:0.0.0.0":         "127.0.0.0/8",
		"::ffff:10.0.0.1":        "10.0.0.0/8",
		"::ffff:8.8.8.8":         "",
		"fe80::1%eth0":           "fe80::/10", // The zone does not matter.
		"169.254.169.254":        "169.254.0.0/16",
		"10.0.0.1":               "10.0.0.0/8",
		"10.96.0.1":              "", // Allow wins.
		"10.97.0.0":              "10.0.0.0/8",
		"10.1.2.3":               "",
		"10.1.2.4":               "10.0.0.0/8",
		"192.0.2.7":              "192.0.2.0/24", // The list may be in those clothes, too.
		"192.0.3.7":              "",
		"2001:db8::1":            "2001:db8::/32",
		"2001:db8:1::1":          "",
		"2606:4700:4700::1111":   "",
		"::ffff:ffff:127.0.0.1":  "",
		"fe80::ffff:127.0.0.1%1": "fe80::/10",
	} {
		err := g.Check(netip.MustParseAddr(addr))
		var d *DeniedError
		switch {
		case denied == "" && err != nil:
			t.Errorf("%s: %v, want it allowed", addr, err)
		case denied != "" && (!errors.As(err, &d) || d.Prefix.String() != denied):
			t.Errorf("%s: %v, want it denied as in %s", addr, err, denied)
		}
	}
}

func TestNoGuardAllowsEverything(t *testing.T) {
	for _, g := range []*Guard{nil, {}} {
		if err := g.Check(netip.MustParseAddr("127.0.0.1")); err != nil {
			t.Error(err)
		}
		if err := g.Control("tcp4", "127.0.0.1:80", nil); err != nil {
			t.Error(err)
		}
	}
}

func TestDeniedErrorSaysWhatToDo(t *testing.T) {
	g := &Guard{Deny: prefixes("10.0.0.0/8", "fe80::/10")}
	for addr, says := range map[string][]string{
		"10.1.2.3": {"10.1.2.3", "10.0.0.0/8", "--allow-cidrs=10.1.2.3/32"},
		"fe80::1":  {"fe80::1", "fe80::/10", "--allow-cidrs=fe80::1/128"},
	} {
		for _, s := range says {
			if err := g.Check(netip.MustParseAddr(addr)); !strings.Contains(err.Error(), s) {
				t.Errorf("%v does not say %q", err, s)
			}
		}
	}
}

func TestControlRefusesWhatItCanNotJudge(t *testing.T) {
	g := &Guard{Deny: prefixes("127.0.0.0/8")}
	for _, address := range []string{"", "localhost:80", "/run/docker.sock", "127.0.0.1", "127.1:80"} {
		if g.Control("tcp", address, nil) == nil {
			t.Errorf("%q is allowed", address)
		}
	}
	if err := g.Control("tcp6", "[fe80::1%eth0]:80", nil); err != nil {
		t.Error(err)
	}
}

// serveHTTP starts a web server on loopback that says hello, or redirects.
func serveHTTP(t *testing.T, redirect string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if redirect != "" {
			http.Redirect(w, r, redirect, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func newTestHTTP(t *testing.T, g *Guard) *HTTP {
	t.Helper()
	h, err := NewHTTP(g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.CloseIdleConnections)
	return h
}

// get fetches a URL under a guard.
func get(t *testing.T, g *Guard, url string) error {
	t.Helper()
	tr := newTestHTTP(t, g)
	r, err := (&http.Client{Transport: tr}).Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	return nil
}

func TestHTTPIsGuardedAfterNameResolution(t *testing.T) {
	url := serveHTTP(t, "")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	g := &Guard{Deny: prefixes("127.0.0.0/8", "::1/128")}
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"} {
		var d *DeniedError
		if err := get(t, g, "http://"+host+":"+port); !errors.As(err, &d) {
			t.Errorf("%s: %v, want a DeniedError", host, err)
		}
	}
	g.Allow = prefixes("127.0.0.1/32")
	if err := get(t, g, url); err != nil {
		t.Error(err)
	}
	if err := get(t, nil, url); err != nil {
		t.Error(err)
	}
}

func TestHTTPIsGuardedAfterARedirect(t *testing.T) {
	inside := serveHTTP(t, "")
	// The same server by two addresses: one allowed, one denied.
	outside := serveHTTP(t, strings.Replace(inside, "127.0.0.1", "127.0.0.2", 1))
	g := &Guard{Deny: prefixes("127.0.0.0/8"), Allow: prefixes("127.0.0.1/32")}
	var d *DeniedError
	if err := get(t, g, outside); !errors.As(err, &d) || d.Addr.String() != "127.0.0.2" {
		t.Errorf("%v, want 127.0.0.2 denied", err)
	}
}

func TestHTTPHeadersAreBounded(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 2*maxHeaders))
	}))
	defer s.Close()
	tr := newTestHTTP(t, &Guard{})
	if r, err := (&http.Client{Transport: tr}).Get(s.URL); err == nil {
		r.Body.Close()
		t.Error("endless headers are accepted")
	}
}
