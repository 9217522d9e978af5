package transport

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy is a real HTTP proxy that connects to one server, whatever it is asked
// for, and writes down what it is asked for.
type proxy struct {
	server string // host:port
	login  string // "user:password" that it wants, or "".

	mu    sync.Mutex
	asked []string
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	if p.login != "" && r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(p.login)) {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		r.URL.Host = p.server
		r.RequestURI = ""
		r.Header.Del("Proxy-Authorization")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
		return
	}
	var d net.Dialer
	to, err := d.DialContext(r.Context(), "tcp", p.server)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer to.Close()
	from, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer from.Close()
	_, _ = io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(to, from)
		to.Close()
	}()
	_, _ = io.Copy(from, to)
}

// startProxy starts a proxy in front of a server and returns its host:port.
func startProxy(t *testing.T, p *proxy) string {
	t.Helper()
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// errNotFound is the answer of a resolver to a name that does not exist.
var errNotFound = &net.DNSError{Err: "no such host", IsNotFound: true}

// proxied is a way through the proxies that the environment is made to name.
// names are all that can be looked up.
func proxied(t *testing.T, g *Guard, names map[string]string, env ...string) *HTTP {
	t.Helper()
	clearProxies(t)
	for i := 0; i < len(env); i += 2 {
		t.Setenv(env[i], env[i+1])
	}
	h := newTestHTTP(t, g)
	h.proxies.lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if a, ok := names[host]; ok {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr(a)}, nil
		}
		return nil, errNotFound
	}
	return h
}

// clearProxies takes the proxies of the machine out of the environment.
func clearProxies(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		t.Setenv(name, "")
		t.Setenv(strings.ToLower(name), "")
	}
}

// ask gets a URL and returns its status and body.
func ask(h http.RoundTripper, address string) (string, error) {
	c := http.Client{Transport: h, Timeout: 20 * time.Second}
	resp, err := c.Get(address)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", string(b)), err
}

// nothing is a guard that denies all that a test has.
var nothing = &Guard{Deny: prefixes("127.0.0.0/8", "::1/128", "169.254.0.0/16", "10.0.0.0/8")}

func TestAProxyOfTheEnvironmentIsUsedWhateverItsAddressIs(t *testing.T) {
	for _, variables := range [][2]string{{"HTTP_PROXY", "HTTPS_PROXY"}, {"http_proxy", "https_proxy"}} {
		plain := strings.TrimPrefix(serveHTTP(t, ""), "http://")
		p := &proxy{server: plain, login: "me:p%ss word"}
		at := startProxy(t, p)
		secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
		t.Cleanup(secure.Close)
		tunnel := &proxy{server: secure.Listener.Addr().String(), login: "other:one"}
		tunnelAt := startProxy(t, tunnel)

		h := proxied(t, nothing, nil, variables[0], "http://me:p%25ss%20word@"+at, variables[1], "other:one@"+tunnelAt)
		if got, err := ask(h, "http://tracker.example.test/a"); got != "200 hello" {
			t.Errorf("by %s: %s, %v", variables[0], got, err)
		}
		own, err := h.WithRoots(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(own.CloseIdleConnections)
		if got, err := ask(own, "https://example.com/a"); got != "200 hello" { // The name of httptest's certificate.
			t.Errorf("by %s: %s, %v", variables[1], got, err)
		}
		if !slices.Equal(p.asked, []string{"GET tracker.example.test"}) || !slices.Equal(tunnel.asked, []string{"CONNECT example.com:443"}) {
			t.Errorf("the proxies were asked %q and %q", p.asked, tunnel.asked)
		}
	}
}

func TestNoProxyMeansTheGuardedWay(t *testing.T) {
	p := &proxy{}
	h := proxied(t, nothing, nil, "HTTP_PROXY", startProxy(t, p), "NO_PROXY", "10.1.2.0/24,.inside.test")
	var d *DeniedError
	if _, err := ask(h, "http://10.1.2.3/"); !errors.As(err, &d) || d.Addr.String() != "10.1.2.3" {
		t.Errorf("%v, want 10.1.2.3 denied", err)
	}
	// The proxy itself is not there to be asked as a server.
	if _, err := ask(h, "http://"+startProxy(t, p)); !errors.As(err, &d) {
		t.Errorf("%v, want it denied", err)
	}
	if len(p.asked) > 0 {
		t.Errorf("the proxy was asked %q", p.asked)
	}
}

func TestAProxyIsNotAskedForWhatIsDenied(t *testing.T) {
	server := serveHTTP(t, "")
	p := &proxy{server: strings.TrimPrefix(server, "http://")}
	names := map[string]string{"metadata.test": "169.254.169.254", "apiserver": "10.96.0.1", "fine.test": "198.51.100.7"}
	h := proxied(t, nothing, names, "HTTP_PROXY", startProxy(t, p))
	for _, host := range []string{
		"169.254.169.254", "[::ffff:10.1.2.3]", "10.0.0.1.", "metadata.test", "METADATA.test.", "apiserver", "１０.1.2.3",
		"localhost.", "a.localhost",
	} {
		var d *DeniedError
		if got, err := ask(h, "http://"+host+"/"); !errors.As(err, &d) {
			t.Errorf("%s: %s, %v, want it denied", host, got, err)
		}
	}
	for _, host := range []string{"2852039166", "0xa9fea9fe", "169.254.43518", "0251.0376.0251.0376", "169.254.169.0xfe", "1.0x", "999999999999999999999", "\u200d.test"} {
		if got, err := ask(h, "http://"+host+"/"); err == nil {
			t.Errorf("%s: %s, want it refused", host, got)
		}
	}
	if len(p.asked) > 0 {
		t.Errorf("the proxy was asked %q", p.asked)
	}
	for _, host := range []string{"fine.test", "only-the-proxy-knows.test", "198.51.100.7", "[2001:db8::1]", "4chan", "a.b0x"} {
		if got, err := ask(h, "http://"+host+"/"); got != "200 hello" {
			t.Errorf("%s: %s, %v, want it served", host, got, err)
		}
	}
}

// A lookup that fails says nothing of where a name leads: who can make it fail
// must not get past the guard, nor keep a name out for longer than it fails.
func TestAProxyIsAskedForNoNameWhoseLookupFailed(t *testing.T) {
	p := &proxy{server: strings.TrimPrefix(serveHTTP(t, ""), "http://")}
	h := proxied(t, nothing, nil, "HTTP_PROXY", startProxy(t, p))
	lookup := h.proxies.lookup
	for _, failure := range []error{
		&net.DNSError{Err: "server misbehaving", Name: "a.test", IsTemporary: true},
		&net.DNSError{Err: "i/o timeout", Name: "a.test", IsTimeout: true},
		context.DeadlineExceeded,
	} {
		h.proxies.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return nil, failure }
		if got, err := ask(h, "http://a.test/"); !errors.Is(err, failure) {
			t.Errorf("%v: %s, %v, want it refused for that", failure, got, err)
		}
	}
	if len(p.asked) > 0 {
		t.Errorf("the proxy was asked %q", p.asked)
	}
	h.proxies.lookup = lookup
	if got, err := ask(h, "http://a.test/"); got != "200 hello" {
		t.Errorf("when the name is known not to exist: %s, %v, want it served", got, err)
	}
}

func TestARedirectThroughAProxyIsGuarded(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://169.254.169.254/latest")
		w.WriteHeader(http.StatusFound)
	}))
	defer front.Close()
	h := proxied(t, nothing, nil, "HTTP_PROXY", front.URL)
	var d *DeniedError
	if _, err := ask(h, "http://tracker.test/"); !errors.As(err, &d) || d.Addr.String() != "169.254.169.254" {
		t.Errorf("%v, want 169.254.169.254 denied", err)
	}
}

func TestNamesForAProxyAreLookedUpOnceInAWhile(t *testing.T) {
	h := proxied(t, nothing, nil, "HTTP_PROXY", "http://proxy.test:1")
	n := 0
	h.proxies.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		n++
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	}
	for range 3 {
		if h.proxies.check(t.Context(), "a.test") == nil {
			t.Error("it is allowed")
		}
	}
	if n != 1 {
		t.Errorf("it was looked up %d times", n)
	}
	for i := range maxNames {
		_ = h.proxies.check(t.Context(), fmt.Sprintf("n%d.test", i))
		if len(h.proxies.verdicts) > maxNames {
			t.Fatalf("%d names are remembered", len(h.proxies.verdicts))
		}
	}
	if n != maxNames+1 {
		t.Errorf("%d names were looked up, want %d", n, maxNames+1)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	h.proxies.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return nil, context.Canceled }
	if err := h.proxies.check(ended, "later.test"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
	if _, ok := h.proxies.verdicts["later.test"]; ok {
		t.Error("what was not found out is remembered")
	}
}

func TestThePasswordOfAProxyIsInNoError(t *testing.T) {
	p := &proxy{login: "right:one"}
	at := startProxy(t, p)
	const secret = "s3cretpassword"
	h := proxied(t, nil, nil, "HTTP_PROXY", "http://me:"+secret+"@"+at, "HTTPS_PROXY", "http://me:"+secret+"@"+at)
	for _, address := range []string{"http://tracker.test/", "https://tracker.test/"} {
		_, err := ask(h, address)
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(strings.ToLower(err.Error()), "prox") {
			t.Errorf("%s: %v", address, err)
		}
	}
	gone := proxied(t, nil, nil, "HTTP_PROXY", "http://me:"+secret+"@127.0.0.1:1")
	if _, err := ask(gone, "http://tracker.test/"); err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "proxyconnect") {
		t.Errorf("a proxy that is gone: %v", err)
	}
	for _, wrong := range []string{"http://me:" + secret + "@", "socks4://me:" + secret + "@proxy:1", "http://me:" + secret + " @proxy:1", "me:" + secret + "@proxy:port"} {
		clearProxies(t)
		t.Setenv("https_proxy", wrong)
		_, err := NewHTTP(nil)
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "HTTPS_PROXY") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestASOCKSProxyIsUsable(t *testing.T) {
	for _, value := range []string{"socks5://proxy:1080", "socks5h://u:p@[::1]:1080", "proxy", "https://proxy:3129"} {
		if u, err := url.Parse(value); !isProxy(value) {
			t.Errorf("%s is no proxy (%v, %v)", value, u, err)
		}
	}
}
