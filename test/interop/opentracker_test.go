//go:build interop

package interop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// openTracker is an opentracker that serves one torrent.
type openTracker struct {
	*process
	port int
	hash metainfo.Hash
}

// announceURL is that of the tracker that will listen on a port.
func announceURL(port int) string { return fmt.Sprintf("http://127.0.0.1:%d/announce", port) }

// startOpenTracker starts an opentracker and returns when it answers. Debian's
// serves only what is on its list.
func startOpenTracker(t *testing.T, port int, hash metainfo.Hash) *openTracker {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "list"), []byte(strings.ToUpper(hash.String())+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A process that changes its user outlives its parent, so it keeps it.
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	p := strconv.Itoa(port)
	tracker := &openTracker{
		start(t, "opentracker", []string{"opentracker", "-i", "127.0.0.1", "-p", p, "-P", p, "-u", me.Username, "-d", dir, "-w", "list"}),
		port, hash,
	}
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

// scrape returns how many seeds and leechers have announced themselves.
func (o *openTracker) scrape(ctx context.Context) (seeds, leechers int, err error) {
	address := fmt.Sprintf("http://127.0.0.1:%d/scrape?info_hash=%s", o.port, url.QueryEscape(string(o.hash[:])))
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
		return 0, 0, fmt.Errorf("opentracker answered %q: %w", b, err)
	}
	file := reply.Files[string(o.hash[:])]
	return file.Complete, file.Incomplete, nil
}

// awaitSeeds waits until so many seeds have announced themselves.
func (o *openTracker) awaitSeeds(ctx context.Context, n int, needed ...*process) error {
	return await(ctx, fmt.Sprintf("%d seeds to announce themselves", n), func() (bool, error) {
		seeds, _, err := o.scrape(ctx)
		return seeds >= n, err
	}, append(needed, o.process)...)
}

// awaitLeechers waits until so many leechers have announced themselves.
func (o *openTracker) awaitLeechers(ctx context.Context, n int, needed ...*process) error {
	return await(ctx, fmt.Sprintf("%d leechers to announce themselves", n), func() (bool, error) {
		_, leechers, err := o.scrape(ctx)
		return leechers >= n, err
	}, append(needed, o.process)...)
}
