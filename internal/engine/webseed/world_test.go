package webseed

import (
	"bytes"
	"errors"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // What net/http says of servers that misbehave.
	goleak.VerifyTestMain(m)
}

// payload is a torrent called "content" and its bytes.
type payload struct {
	info  *metainfo.Info
	dir   string // In which its folder or file is.
	bytes []byte
}

// file is one file of a payload.
type file struct {
	name string
	size int
}

// newPayload makes a torrent in pieces of 64 KiB. A file without a name is all
// there is.
func newPayload(t testing.TB, files ...file) payload {
	t.Helper()
	root := filepath.Join(t.TempDir(), "content")
	random := rand.NewChaCha8([32]byte{1})
	for _, f := range files {
		path := filepath.Join(root, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, f.size)
		random.Read(b)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return open(t, root)
}

func open(t testing.TB, root string) payload {
	t.Helper()
	m, err := metainfo.Create(t.Context(), root, metainfo.CreateOptions{PieceLength: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	p := payload{info: m.Info, dir: filepath.Dir(root)}
	for _, f := range m.Info.Files {
		b, err := os.ReadFile(filepath.Join(p.dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		p.bytes = append(p.bytes, b...)
	}
	return p
}

// serve starts a server of the payload, as through changes it.
func (p payload) serve(t testing.TB, through func(honest http.Handler) http.Handler) *httptest.Server {
	t.Helper()
	h := http.FileServer(http.Dir(p.dir))
	if through != nil {
		h = through(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// seed makes a seed of a URL that is closed with the test.
func (p payload) seed(t testing.TB, url string, change ...func(*Config)) *Seed {
	t.Helper()
	transport := Transport(&http.Transport{})
	t.Cleanup(transport.CloseIdleConnections)
	c := Config{URL: url, Info: p.info, Transport: transport}
	for _, f := range change {
		f(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// blocks returns requests for all blocks of some pieces, of all if none is given.
func (p payload) blocks(pieces ...int) (all []wire.Message) {
	if len(pieces) == 0 {
		for k := range p.info.PieceCount() {
			pieces = append(pieces, k)
		}
	}
	for _, piece := range pieces {
		for begin := int64(0); begin < p.info.PieceSize(piece); begin += block.Size {
			all = append(all, wire.Message{
				ID: wire.Request, Index: uint32(piece), Begin: uint32(begin), Length: uint32(min(block.Size, p.info.PieceSize(piece)-begin)),
			})
		}
	}
	return all
}

// world is the sink of connections: it takes every block once, and has to get the
// right bytes.
type world struct {
	t testing.TB
	p payload

	mu     sync.Mutex
	leases map[*byte]bool
	there  map[int64]bool // Blocks that are there, by offset.
	order  []int64        // As they were delivered.
	said   []wire.Message // By the seed.
	most   int            // Leases at once.
	news   sync.Cond
	ended  error
	refuse bool // Claims are refused.
}

func newWorld(t testing.TB, p payload) *world {
	w := &world{t: t, p: p, leases: map[*byte]bool{}, there: map[int64]bool{}}
	w.news.L = &w.mu
	return w
}

func (w *world) offset(index, begin uint32) int64 {
	return int64(index)*w.p.info.PieceLength + int64(begin)
}

func (w *world) Wants(piece int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for begin := int64(0); begin < w.p.info.PieceSize(piece); begin += block.Size {
		if !w.there[int64(piece)*w.p.info.PieceLength+begin] {
			return true
		}
	}
	return false
}

func (w *world) Claim(index, begin, length uint32) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse || w.there[w.offset(index, begin)] {
		return nil
	}
	lease := make([]byte, length, block.Size)
	w.leases[&lease[0]] = true
	w.most = max(w.most, len(w.leases))
	return lease
}

func (w *world) Commit(index, begin uint32, lease []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.leases[&lease[0]] {
		w.t.Error("a commit without a claim")
	}
	delete(w.leases, &lease[0])
	off := w.offset(index, begin)
	if !bytes.Equal(lease, w.p.bytes[off:off+int64(len(lease))]) {
		w.t.Errorf("the block at %d has wrong bytes", off)
	}
	fresh := !w.there[off]
	w.there[off] = true
	return fresh
}

func (w *world) Abandon(lease []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.leases[&lease[0]] {
		w.t.Error("a lease was abandoned that nobody had")
	}
	delete(w.leases, &lease[0])
}

func (w *world) Deliver(burst []Received) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range burst {
		if x.Msg.ID == wire.Piece {
			w.order = append(w.order, w.offset(x.Msg.Index, x.Msg.Begin))
		} else {
			w.said = append(w.said, x.Msg)
		}
	}
	w.news.Broadcast()
}

// await waits until so many blocks were delivered, or the connection ended, and
// returns why it did.
func (w *world) await(blocks int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.order) < blocks && w.ended == nil {
		w.news.Wait()
	}
	return w.ended
}

// run runs a connection until the returned function is called, which waits for
// its end.
func (w *world) run(s *Seed) (c *Conn, stop func()) {
	c = s.Connect(w)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := c.Run(w.t.Context())
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = err
		if len(w.leases) > 0 {
			w.t.Errorf("%d leases are left over", len(w.leases))
		}
		w.news.Broadcast()
	}()
	return c, func() {
		c.Close("test")
		<-done
	}
}

// get asks a new connection for blocks and waits for them, or for its end.
func (w *world) get(s *Seed, blocks []wire.Message) error {
	w.mu.Lock()
	w.ended = nil
	want := len(w.order) + len(blocks)
	w.mu.Unlock()
	c, stop := w.run(s)
	c.Send(blocks...)
	err := w.await(want)
	stop()
	if err == nil {
		var closed *ClosedError
		if end := w.ended; !errors.As(end, &closed) || closed.Reason != "test" {
			w.t.Errorf("it ended with %v", w.ended)
		}
	}
	return err
}

// fails expects what failure does.
func (w *world) fails(s *Seed, k kind, says string) {
	w.t.Helper()
	_ = w.failure(s, k, says) // It was looked at there.
}

// failure expects a connection that is asked for all blocks to end with an error
// of a kind that says something.
func (w *world) failure(s *Seed, k kind, says string) *Error {
	w.t.Helper()
	w.mu.Lock()
	w.ended = nil
	w.mu.Unlock()
	c, stop := w.run(s)
	c.Send(w.p.blocks()...)
	err := w.await(math.MaxInt) // All blocks may come before the end does.
	stop()
	var e *Error
	if !errors.As(err, &e) || e.kind != k || !strings.Contains(e.Error(), says) {
		w.t.Fatalf("it ended with %v, want kind %d that says %q", err, k, says)
	}
	return e
}

// journal keeps the requests that a server gets.
type journal struct {
	mu       sync.Mutex
	requests []*http.Request
}

func (l *journal) through(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.requests = append(l.requests, r.Clone(r.Context()))
		l.mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// ranges returns the paths and ranges that were asked for.
func (l *journal) ranges() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.requests {
		all = append(all, strings.TrimSpace(r.URL.EscapedPath()+" "+strings.TrimPrefix(r.Header.Get("Range"), "bytes=")))
	}
	return all
}

// answering is a server whose every answer f gives.
func answering(f http.HandlerFunc) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler { return f }
}

// roundTrip is a server without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// partial is a right answer to a request for a range, with any body.
func (p payload) partial(r *http.Request, body io.ReadCloser) *http.Response {
	value := strings.Replace(r.Header.Get("Range"), "=", " ", 1) + "/*"
	first, last, _, _ := parseRange(value)
	return &http.Response{
		StatusCode: http.StatusPartialContent, ContentLength: last - first + 1, Body: body, Header: http.Header{"Content-Range": {value}},
	}
}
