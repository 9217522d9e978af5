package process

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/torrent-operator/torrent-operator/internal/certs"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// operator is the end of an operator that workers push to.
type operator struct {
	endpoint string
	ca       []byte

	mu     sync.Mutex
	pushes []report.Push
	reply  report.Reply
	seen   chan struct{} // Capacity 1; a token when there is a push more.
}

const workerToken = "the-token"

func (o *operator) Leads() bool { return true }

func (o *operator) Known(string) (report.Caller, bool) { return report.Caller{}, false }

func (o *operator) Authenticate(_ context.Context, token string) (report.Caller, error) {
	if token != workerToken {
		return report.Caller{}, report.ErrToken
	}
	return report.Caller{Namespace: "ml", Pod: "worker-0", UID: "pod-uid"}, nil
}

func (o *operator) Take(_ context.Context, _ report.Caller, p report.Push) (report.Reply, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pushes = append(o.pushes, p)
	select {
	case o.seen <- struct{}{}:
	default:
	}
	return o.reply, nil
}

// want makes r what workers are told from now on.
func (o *operator) want(revision string, r download.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reply = report.Reply{Revision: revision, Request: &r}
}

// told returns the pushes so far.
func (o *operator) told() []report.Push {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pushes
}

// await waits for a push.
func (o *operator) await(t *testing.T, r *run, what string, ok func(report.Push) bool) report.Push {
	t.Helper()
	timeout := time.After(patience)
	for next := 0; ; {
		for pushes := o.told(); next < len(pushes); next++ {
			if ok(pushes[next]) {
				return pushes[next]
			}
		}
		select {
		case <-o.seen:
		case <-r.Done():
			t.Fatalf("the worker ended before it told that it was %s: %s", what, r.stderr())
		case <-timeout:
			t.Fatalf("the worker does not tell that it is %s; it told %+v", what, o.told())
		}
	}
}

// newOperator serves workers until the test is over, with a certificate of the
// operator's own making.
func newOperator(t *testing.T) *operator {
	t.Helper()
	keeper := certs.New(fake.NewClientset().CoreV1().Secrets("system"), "certs", []string{"localhost"}, slog.New(slog.DiscardHandler))
	if _, err := keeper.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	o := &operator{endpoint: net.JoinHostPort("localhost", port), ca: keeper.Bundle(), seen: make(chan struct{}, 1)}
	s := &report.Server{Authenticator: o, Taker: o, Logger: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l, keeper.Certificate) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return o
}

// post is where a worker has everything, as in its Pod.
type post struct {
	order report.Order
	dir   string // Of the files that it is given, and of the result.
	data  string
}

// newPost makes a place for a worker of o with an order for a torrent.
func newPost(t *testing.T, o *operator, tor *torrent, peers ...*peer) *post {
	t.Helper()
	file, err := os.ReadFile(tor.file)
	if err != nil {
		t.Fatal(err)
	}
	port := freeport.For(t)
	p := &post{dir: t.TempDir(), data: t.TempDir(), order: report.Order{
		ID: download.ID{Namespace: "ml", Name: tor.Name, UID: "uid"}, Task: report.Download, Revision: "1", Endpoint: o.endpoint,
		Request: download.Request{Source: download.Source{Metainfo: file}, Inbound: download.Inbound{Port: port}},
	}}
	for _, peer := range peers {
		p.order.Request.Peers = append(p.order.Request.Peers, peer.addr)
	}
	p.put(t, "ca", o.ca)
	p.put(t, "token", []byte(workerToken))
	return p
}

func (p *post) put(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// args are those of the command that carries out the order.
func (p *post) args(t *testing.T) []string {
	t.Helper()
	b, err := report.EncodeOrder(p.order)
	if err != nil {
		t.Fatal(err)
	}
	p.put(t, "order", b)
	in := func(name string) string { return filepath.Join(p.dir, name) }
	return []string{
		"worker", "--order", in("order"), "--ca-file", in("ca"), "--token-file", in("token"), "--result-file", in("result"),
		"--data-dir", p.data, "--pod-ip", "127.0.0.1", "--node-name", "node-1", "--allow-cidrs", "127.0.0.0/8,::1/128",
	}
}

// result returns what a worker has left behind.
func (p *post) result(t *testing.T) report.Result {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, "result"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := report.DecodeResult(b)
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return r
}
