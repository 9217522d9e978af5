//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// watched is a tracker of one torrent that says who has announced itself.
type watched struct {
	*process
	scrape func(context.Context) (seeds, leechers int, err error)
}

// nobody is the user and group without rights, as Debian numbers them.
const nobody = 65534

// announceURL is that of the tracker that will listen on a port.
func announceURL(port int) string { return fmt.Sprintf("http://127.0.0.1:%d/announce", port) }

// startOpenTracker starts an opentracker and returns when it answers. Debian's
// serves only what is on its list.
func startOpenTracker(t *testing.T, port int, hash metainfo.Hash) *watched {
	t.Helper()
	dir, err := os.MkdirTemp("", "opentracker") //nolint:usetesting // Other users may not enter what t.TempDir makes.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	list := filepath.Join(dir, "list")
	if err := errors.Join(
		os.WriteFile(list, []byte(strings.ToUpper(hash.String())+"\n"), 0o644),
		os.Chmod(dir, 0o755),
	); err != nil {
		t.Fatal(err)
	}
	p := strconv.Itoa(port)
	cmd := program("opentracker", "-i", "127.0.0.1", "-p", p, "-P", p, "-d", dir, "-w", list)
	if os.Getuid() == 0 {
		// It refuses to stay root. If it changed its user by itself, the kernel
		// would not end it with this process.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	tracker := &watched{start(t, "opentracker", cmd), func(ctx context.Context) (seeds, leechers int, err error) {
		return scrape(ctx, port, hash)
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := await(ctx, "opentracker to answer", func() (bool, error) {
		_, _, err := tracker.scrape(ctx)
		return err == nil, nil
	}, tracker.process); err != nil {
		t.Fatal(err)
	}
	return tracker
}

// scrape asks a tracker how many seeds and leechers have announced themselves.
func scrape(ctx context.Context, port int, hash metainfo.Hash) (seeds, leechers int, err error) {
	address := fmt.Sprintf("http://127.0.0.1:%d/scrape?info_hash=%s", port, url.QueryEscape(string(hash[:])))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, 0, err
	}
	var reply struct {
		Files map[string]struct {
			Complete   int `bencode:"complete"`
			Incomplete int `bencode:"incomplete"`
		} `bencode:"files"`
	}
	if err := bencode.Unmarshal(b, &reply, bencode.Limits{Size: 1 << 20, Depth: 8}); err != nil {
		return 0, 0, fmt.Errorf("the tracker answered %q: %w", b, err)
	}
	file := reply.Files[string(hash[:])]
	return file.Complete, file.Incomplete, nil
}

// awaitSeeds waits until a seed has announced itself.
func (w *watched) awaitSeeds(ctx context.Context, t *testing.T, seed *process) {
	t.Helper()
	w.await(ctx, t, "a seed to announce itself", seed, func(seeds, _ int) bool { return seeds > 0 })
}

// awaitLeechers waits until a leecher has announced itself.
func (w *watched) awaitLeechers(ctx context.Context, t *testing.T, leecher *process) {
	t.Helper()
	w.await(ctx, t, "a leecher to announce itself", leecher, func(_, leechers int) bool { return leechers > 0 })
}

func (w *watched) await(ctx context.Context, t *testing.T, what string, of *process, ok func(seeds, leechers int) bool) {
	t.Helper()
	if err := await(ctx, what, func() (bool, error) {
		seeds, leechers, err := w.scrape(ctx)
		return ok(seeds, leechers), err
	}, of, w.process); err != nil {
		t.Fatal(err)
	}
}
