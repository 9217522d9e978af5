package light

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// content is a payload on disk and its torrent.
type content struct {
	file string // The .torrent file.
	dir  string
	info *metainfo.Info
}

// create writes files of random bytes below a folder, or one file if that is
// called "", and makes the torrent.
func create(t *testing.T, files map[string]int, o metainfo.CreateOptions) content {
	t.Helper()
	dir := t.TempDir()
	random := rand.NewChaCha8([32]byte{1})
	for name, size := range files {
		b := make([]byte, size)
		random.Read(b)
		write(t, filepath.Join(dir, "payload", name), b)
	}
	return describe(t, dir, o)
}

// describe makes the torrent of what is called payload in dir.
func describe(t *testing.T, dir string, o metainfo.CreateOptions) content {
	t.Helper()
	m, err := metainfo.Create(t.Context(), filepath.Join(dir, "payload"), o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	c := content{file: filepath.Join(dir, "payload.torrent"), dir: dir, info: m.Info}
	write(t, c.file, b)
	return c
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// bytes returns all bytes of the torrent, padding included.
func (c content) bytes(t *testing.T) []byte {
	t.Helper()
	var all []byte
	for _, f := range c.info.Files {
		if f.Pad {
			all = append(all, make([]byte, f.Length)...)
			continue
		}
		b, err := os.ReadFile(filepath.Join(c.dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// layouts are payloads that differ in where pieces, blocks and files end.
var layouts = []struct {
	name    string
	files   map[string]int
	options metainfo.CreateOptions
}{
	{"one file of whole pieces", map[string]int{"": 4 << 20}, metainfo.CreateOptions{PieceLength: 256 << 10}},
	{"an odd end", map[string]int{"": 3<<20 + 17001}, metainfo.CreateOptions{PieceLength: 64 << 10}},
	{"less than a block", map[string]int{"": 5}, metainfo.CreateOptions{PieceLength: 16 << 10}},
	{"pieces shorter than a block", map[string]int{"": 100_001}, metainfo.CreateOptions{PieceLength: 4 << 10}},
	{"pieces longer than what is written at once", map[string]int{"": 9<<20 + 1}, metainfo.CreateOptions{PieceLength: 4 << 20}},
	{"many files", map[string]int{"a": 1, "b/c": 300_000, "b/d": 0, "e": 70_000, "f/g/h": 1 << 20, "i": 16384}, metainfo.CreateOptions{PieceLength: 32 << 10}},
	{"padding", map[string]int{"a": 1, "b": 300_000, "c": 70_000, "d": 16384}, metainfo.CreateOptions{PieceLength: 64 << 10, Pad: true}},
}

// record keeps the lines that a peer writes, and wakes who waits for one.
type record struct {
	mu   sync.Mutex
	text string
	more chan struct{}
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text += string(p)
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
	return len(p), nil
}

// line returns the rest of the first line that begins with word, once there is
// one.
func (r *record) line(t *testing.T, word string) string {
	t.Helper()
	for {
		r.mu.Lock()
		for line := range strings.Lines(r.text) {
			if rest, ok := strings.CutPrefix(line, word); ok {
				r.mu.Unlock()
				return strings.TrimSpace(rest)
			}
		}
		if r.more == nil {
			r.more = make(chan struct{})
		}
		more := r.more
		r.mu.Unlock()
		select {
		case <-more:
		case <-t.Context().Done():
			t.Fatalf("no line %q", word)
		}
	}
}

// runs is something that was started with a context of its own.
type runs struct {
	record
	cancel context.CancelFunc
	result chan error
}

// start runs f until the end of the test at the latest.
func start(t *testing.T, f func(ctx context.Context, out *record) error) *runs {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &runs{cancel: cancel, result: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.result <- f(ctx, &r.record)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// stop ends it and returns its error.
func (r *runs) stop() error {
	r.cancel()
	return <-r.result
}

// address returns a place to listen at, on a loopback address that no other
// process connects from, so that nobody takes the port meanwhile.
func address(t *testing.T) string {
	t.Helper()
	l := listener(t)
	defer l.Close()
	return l.Addr().String()
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	pid := os.Getpid()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 100+pid>>16%100, pid>>8&255, pid&255|1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes that differ from the %d expected", what, len(got), len(want))
	}
}
