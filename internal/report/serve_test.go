package report

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// host is the name of the operator. It has an address for each replica.
const host = "operator.test"

// patience is how long a test waits for something that must happen.
const patience = time.Minute

// authority signs the certificates of replicas.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	var der []byte
	der, a.key = sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// sign makes a certificate, signed by itself if there is no authority.
func sign(t *testing.T, c *x509.Certificate, by *authority) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// certificate makes one for name.
func (a *authority) certificate(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	der, key := sign(t, &x509.Certificate{DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature}, a)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// replica is an operator's replica on an address of its own.
type replica struct {
	leads atomic.Bool
	cert  atomic.Pointer[tls.Certificate]
	conns atomic.Int32 // How many were accepted.

	mu     sync.Mutex
	tokens map[string]Caller
	known  map[string]Caller // Tokens about which nobody has to be asked.
	pushes []Push
	from   []Caller
	take   func(Caller, Push) (Reply, error)
}

func (r *replica) Leads() bool { return r.leads.Load() }

func (r *replica) Known(token string) (Caller, bool) {
	c, ok := r.known[token]
	return c, ok
}

func (r *replica) Authenticate(_ context.Context, token string) (Caller, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if token == "broken" {
		return Caller{}, errors.New("the API server is away, and its password is hunter2")
	}
	c, ok := r.tokens[token]
	if !ok {
		return c, ErrToken
	}
	return c, nil
}

func (r *replica) Take(_ context.Context, from Caller, p Push) (Reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pushes, r.from = append(r.pushes, p), append(r.from, from)
	return r.take(from, p)
}

func (r *replica) taken() []Push {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pushes
}

// Accepted connections are counted.
type counting struct {
	net.Listener
	n *atomic.Int32
}

func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

// operator is replicas that listen on one port of several addresses.
type operator struct {
	*testing.T
	ca       *authority
	port     string
	replicas []*replica
	client   *Client
	asked    int // How often the name was looked up.
	names    []netip.Addr
}

var pod = Caller{Namespace: "ml", Pod: "imagenet-1", UID: "pod-uid"}

// newOperator starts n replicas, of which the last leads, and a client.
func newOperator(t *testing.T, n int) *operator {
	t.Helper()
	o := &operator{T: t, ca: newAuthority(t)}
	for i := range n {
		a := netip.AddrFrom4([4]byte{127, 0, 7, byte(i + 1)})
		port := o.port
		if port == "" {
			port = "0"
		}
		l, err := net.Listen("tcp", net.JoinHostPort(a.String(), port))
		if err != nil {
			t.Fatal(err)
		}
		_, o.port, _ = net.SplitHostPort(l.Addr().String())
		r := &replica{tokens: map[string]Caller{"the-token": pod}}
		r.take = func(Caller, Push) (Reply, error) { return Reply{Revision: "7"}, nil }
		r.leads.Store(i == n-1)
		r.cert.Store(o.ca.certificate(t, host))
		o.replicas, o.names = append(o.replicas, r), append(o.names, a)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		s := &Server{Authenticator: r, Taker: r, Logger: slog.New(slog.DiscardHandler)}
		go func() {
			done <- s.Serve(ctx, counting{l, &r.conns}, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.cert.Load(), nil })
		}()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("replica %d ended with %v", i, err)
			}
		})
	}
	dir := t.TempDir()
	o.client = &Client{
		Endpoint: net.JoinHostPort(host, o.port), CAFile: filepath.Join(dir, "ca"), TokenFile: filepath.Join(dir, "token"),
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			o.asked++
			return o.names, nil
		},
	}
	t.Cleanup(o.client.Close)
	o.put(o.client.CAFile, o.ca.pem)
	o.put(o.client.TokenFile, []byte("the-token\n"))
	return o
}

func (o *operator) put(file string, b []byte) {
	o.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		o.Fatal(err)
	}
}

func (o *operator) push() (Reply, error) {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), patience)
	defer cancel()
	return o.client.Push(ctx, somePush())
}

func TestAPushReachesTheOneWhoLeads(t *testing.T) {
	o := newOperator(t, 3)
	want := someReply()
	o.replicas[2].take = func(Caller, Push) (Reply, error) { return want, nil }
	got, err := o.push()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(samePrefix)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Push{somePush()}, o.replicas[2].taken()); d != "" {
		t.Error(d)
	}
	if o.replicas[2].from[0] != pod {
		t.Errorf("it came from %+v", o.replicas[2].from[0])
	}
	// The next goes there at once, on the same connection.
	if _, err := o.push(); err != nil {
		t.Fatal(err)
	}
	if a, b := o.replicas[0].conns.Load(), o.replicas[2].conns.Load(); a != 1 || b != 1 || o.asked != 2 {
		t.Errorf("%d and %d connections, %d lookups", a, b, o.asked)
	}
	// Another takes over.
	o.replicas[2].leads.Store(false)
	if _, err := o.push(); !errors.Is(err, ErrNotLeading) {
		t.Errorf("nobody leads, and: %v", err)
	}
	o.replicas[1].leads.Store(true)
	if _, err := o.push(); err != nil || len(o.replicas[1].taken()) != 1 {
		t.Errorf("%v, %d pushes", err, len(o.replicas[1].taken()))
	}
}

func TestAReplicaThatIsGoneIsPassedOver(t *testing.T) {
	o := newOperator(t, 2)
	dead, err := net.Listen("tcp", "127.0.7.9:"+o.port) // It accepts, and says nothing.
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	go func() {
		for {
			c, err := dead.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	o.names = append([]netip.Addr{netip.MustParseAddr("127.0.7.8"), netip.MustParseAddr("127.0.7.9")}, o.names...)
	if _, err := o.push(); err != nil {
		t.Error(err)
	}
	o.names = o.names[:2]
	if _, err := o.push(); err == nil || !strings.Contains(err.Error(), "127.0.7.8") || !strings.Contains(err.Error(), "127.0.7.9") {
		t.Errorf("nobody is there, and: %v", err)
	}
	o.names = nil
	if _, err := o.push(); err == nil || !strings.Contains(err.Error(), host) {
		t.Errorf("the name has no address, and: %v", err)
	}
}

func TestWhatTheOperatorSaysIsTold(t *testing.T) {
	o := newOperator(t, 1)
	for _, why := range []error{ErrUnknown, ErrForbidden, ErrNotLeading, errors.New("its own affair")} {
		o.replicas[0].take = func(Caller, Push) (Reply, error) { return Reply{}, why }
		_, err := o.push()
		if known := errors.Is(err, why); known != (why.Error() != "its own affair") {
			t.Errorf("said %v, heard %v", why, err)
		}
		if err == nil || strings.Contains(err.Error(), "own affair") {
			t.Errorf("said %v, heard %v", why, err)
		}
	}
	o.put(o.client.TokenFile, []byte("another"))
	if _, err := o.push(); !errors.Is(err, ErrToken) {
		t.Error(err)
	}
	o.put(o.client.TokenFile, []byte("broken"))
	if _, err := o.push(); err == nil || errors.Is(err, ErrToken) || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	o.put(o.client.TokenFile, []byte("the-token"))
	o.replicas[0].take = func(Caller, Push) (Reply, error) { return Reply{}, nil }
	if _, err := o.push(); err != nil {
		t.Errorf("with its token again: %v", err)
	}
}

func TestAPodPushesForItsOwnNamespaceOnly(t *testing.T) {
	o := newOperator(t, 1)
	o.replicas[0].tokens["the-token"] = Caller{Namespace: "another", Pod: "p", UID: "u"}
	if _, err := o.push(); !errors.Is(err, ErrForbidden) || len(o.replicas[0].taken()) != 0 {
		t.Errorf("%v, %d taken", err, len(o.replicas[0].taken()))
	}
}

func TestNobodyButTheOperatorIsTold(t *testing.T) {
	o := newOperator(t, 1)
	honest := o.replicas[0].cert.Load()
	stranger := newAuthority(t)
	for what, cert := range map[string]*tls.Certificate{
		"another authority's": stranger.certificate(t, host),
		"another host's":      o.ca.certificate(t, "elsewhere.test"),
	} {
		o.replicas[0].cert.Store(cert)
		o.client.Close()
		if _, err := o.push(); err == nil {
			t.Errorf("with %s certificate it was told", what)
		}
	}
	if n := len(o.replicas[0].taken()); n != 0 {
		t.Fatalf("%d pushes went to a stranger", n)
	}
	// The stranger's certificate becomes trusted while the client runs.
	o.replicas[0].cert.Store(stranger.certificate(t, host))
	o.put(o.client.CAFile, append(bytes.Clone(o.ca.pem), stranger.pem...))
	if _, err := o.push(); err != nil {
		t.Errorf("after the file of certificates has changed: %v", err)
	}
	o.replicas[0].cert.Store(honest)
	o.client.Close()
	if _, err := o.push(); err != nil {
		t.Errorf("one of two authorities: %v", err)
	}
	o.put(o.client.CAFile, []byte("nothing"))
	if _, err := o.push(); err == nil {
		t.Error("nothing is trusted, and it was told")
	}
}

// raw is a client that does as it likes.
func (o *operator) raw() *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(o.ca.cert)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host}}
	o.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func (o *operator) send(c *http.Client, method, path, token string, body io.Reader) (int, string) {
	o.Helper()
	req, err := http.NewRequest(method, "https://127.0.7.1:"+o.port+path, body)
	if err != nil {
		o.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	res, err := c.Do(req)
	if err != nil {
		o.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		o.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(b))
}

func TestStrangersHearNothingButACode(t *testing.T) {
	o := newOperator(t, 1)
	c := o.raw()
	good, err := EncodePush(somePush())
	if err != nil {
		t.Fatal(err)
	}
	long := append(bytes.Clone(good), bytes.Repeat([]byte(" "), MaxPush+1-len(good))...)
	for what, r := range map[string]struct {
		method, path, token string
		body                []byte
		code                int
	}{
		"another path":   {"POST", "/metrics", "Bearer the-token", good, 404},
		"another method": {"GET", Path, "Bearer the-token", nil, 405},
		"no token":       {"POST", Path, "", good, 401},
		"not a token":    {"POST", Path, "Basic the-token", good, 401},
		"a wrong token":  {"POST", Path, "Bearer wrong", good, 401},
		"a long token":   {"POST", Path, "Bearer " + strings.Repeat("x", maxToken+1), good, 401},
		"long headers":   {"POST", Path, "Bearer " + strings.Repeat("x", 2*maxHeaders), good, 431},
		"no push":        {"POST", Path, "Bearer the-token", []byte("[]"), 400},
		"a long push":    {"POST", Path, "Bearer the-token", long, 413},
		"the longest":    {"POST", Path, "Bearer the-token", long[:MaxPush], 200},
	} {
		code, body := o.send(c, r.method, r.path, r.token, bytes.NewReader(r.body))
		if code != r.code {
			t.Errorf("%s: %d %q, want %d", what, code, body, r.code)
		}
		if code != 200 && code != 431 && body != http.StatusText(code) {
			t.Errorf("%s: %d says %q", what, code, body)
		}
	}
	o.replicas[0].leads.Store(false)
	if code, _ := o.send(c, "POST", Path, "Bearer wrong", bytes.NewReader(good)); code != 503 {
		t.Errorf("one that does not lead says %d", code)
	}
}

// A Pod that sends slowly holds up nobody but itself.
func TestACallerHasOnePushAtATime(t *testing.T) {
	o := newOperator(t, 1)
	other := Caller{Namespace: "ml", Pod: "other", UID: "other-uid"}
	o.replicas[0].tokens["other-token"] = other
	entered, leave := make(chan struct{}), make(chan struct{})
	o.replicas[0].take = func(c Caller, _ Push) (Reply, error) { return Reply{}, nil }
	slow, feed := io.Pipe()
	c := o.raw()
	go func() {
		defer close(leave)
		code, _ := o.send(c, "POST", Path, "Bearer the-token", slow)
		if code != 200 {
			t.Errorf("the slow push was answered %d", code)
		}
	}()
	good, err := EncodePush(somePush())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		feed.Write(good[:len(good)/2]) //nolint:errcheck // The server will see.
		close(entered)
	}()
	<-entered
	for code := 0; code != 429; { // Until the first half has arrived.
		code, _ = o.send(c, "POST", Path, "Bearer the-token", bytes.NewReader(good))
	}
	if code, _ := o.send(c, "POST", Path, "Bearer other-token", bytes.NewReader(good)); code != 200 {
		t.Errorf("another's push is answered %d", code)
	}
	feed.Write(good[len(good)/2:]) //nolint:errcheck // The server will see.
	feed.Close()
	<-leave
}

func TestAReplyThatIsTooLongIsNotTaken(t *testing.T) {
	o := newOperator(t, 1)
	for _, over := range []bool{false, true} {
		r := Reply{Revision: "8", Request: &download.Request{Source: download.Source{Magnet: "magnet:?"}}}
		b, err := EncodeReply(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Request.Worker = strings.Repeat("x", MaxReply-len(b))
		if over {
			r.Request.Worker += "x"
		}
		o.replicas[0].take = func(Caller, Push) (Reply, error) { return r, nil }
		if got, err := o.push(); (err != nil) != over || !over && got.Request.Worker != r.Request.Worker {
			t.Errorf("too long %t: %v", over, err)
		}
	}
}

// What stands at the operator's address may lie: whatever it says, the worker
// reads a bounded amount of it.
func TestALyingOperatorIsNotBelieved(t *testing.T) {
	o := newOperator(t, 0)
	l, err := tls.Listen("tcp", "127.0.7.1:0", &tls.Config{Certificates: []tls.Certificate{*o.ca.certificate(t, host)}})
	if err != nil {
		t.Fatal(err)
	}
	var answer atomic.Pointer[func(http.ResponseWriter, *http.Request)]
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) }), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l) //nolint:errcheck // It is closed below.
	}()
	defer func() {
		server.Close()
		<-done
	}()
	_, o.port, _ = net.SplitHostPort(l.Addr().String())
	o.client.Endpoint, o.names = net.JoinHostPort(host, o.port), []netip.Addr{netip.MustParseAddr("127.0.7.1")}
	for what, lie := range map[string]func(http.ResponseWriter, *http.Request){
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, Path, http.StatusTemporaryRedirect) },
		"garbage":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"no end": func(w http.ResponseWriter, _ *http.Request) {
			for b := bytes.Repeat([]byte(" "), 1<<20); ; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		},
		"long headers": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxHeaders)) },
		"no source":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"Revision":"8","Request":{}}`) },
		"a hang-up":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		answer.Store(&lie)
		if r, err := o.push(); err == nil {
			t.Errorf("%s was taken for %+v", what, r)
		}
	}
}
