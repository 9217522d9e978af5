package interop

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// The pieces of a torrent have to go around: what each leecher gets from
// others, the seed needs not send. A client that asks the seed for all of it
// would make it send eight copies. The seed is the slowest of them, as where
// it matters; without a limit it would be done before they are connected to
// each other.
func TestSwarmOfOneSeedAndEightLeechersSpreadsTheLoad(t *testing.T) {
	const (
		leechers = 8
		copies   = 2.5 // That the seed may send at most.
		timeout  = 3 * time.Minute
	)
	ctx, cancel := context.WithTimeoutCause(t.Context(), timeout, fmt.Errorf("not done within %s", timeout))
	defer cancel()
	c := content{"dataset", map[string]int{"a/first": 15<<20 + 4321, "a/second": 9 << 20, "third": 8<<20 - 1}}
	from := t.TempDir()
	c.write(t, from)
	torrent := filepath.Join(t.TempDir(), "dataset.torrent")
	_, announce, _ := startTracker(ctx, t)
	createTorrent(t, torrent, filepath.Join(from, c.name), 256<<10, announce)
	seed := startDownload(t, "seed", torrent, from, "--seed", "--limit-up", "4MiB")
	awaitState(ctx, t, seed, download.StateSeeding)
	var dirs []string
	var others []*process
	for i := range leechers {
		dirs = append(dirs, t.TempDir())
		others = append(others, startDownload(t, fmt.Sprintf("leecher %d", i+1), torrent, dirs[i], "--seed"))
	}
	for _, leecher := range others {
		awaitState(ctx, t, leecher, download.StateSeeding)
	}
	for i, leecher := range others {
		if err := leecher.stop(); err != nil {
			t.Errorf("%s, when told to stop: %v", leecher.name, err)
		}
		if err := c.compare(from, dirs[i], false); err != nil {
			t.Errorf("what %s has downloaded: %v", leecher.name, err)
		}
	}
	if err := seed.stop(); err != nil {
		t.Errorf("the seed, when told to stop: %v", err)
	}
	// The last line is written when it has stopped, so nothing is missing in it.
	sent := float64(seed.last(t).BytesUploaded) / float64(c.size())
	t.Logf("The seed has sent %.2f copies.", sent)
	if sent < 1 || sent > copies {
		t.Errorf("the seed has sent %.2f copies for %d leechers, want 1 to %.1f", sent, leechers, copies)
	}
}

// startTracker starts torrent-operator's tracker and returns it with its
// announce URLs.
func startTracker(ctx context.Context, t *testing.T) (tracker *process, overHTTP, overUDP string) {
	t.Helper()
	tracker = ours(t, "tracker", "tracker", "--listen", fmt.Sprintf("127.0.0.1:%d", freeport.For(t)))
	if err := await(ctx, "the tracker to listen", func() (bool, error) {
		urls := strings.Fields(string(tracker.tail(1000)))
		if len(urls) != 2 || !strings.HasSuffix(urls[1], "/announce") {
			return false, nil
		}
		overHTTP, overUDP = urls[0], urls[1]
		return true, nil
	}, tracker); err != nil {
		t.Fatal(err)
	}
	return tracker, overHTTP, overUDP
}

// awaitState waits until a torrent-operator has come to a state.
func awaitState(ctx context.Context, t *testing.T, p *process, state download.State) {
	t.Helper()
	if err := await(ctx, fmt.Sprintf("%s to be %s", p.name, state), func() (bool, error) {
		last := p.last(t)
		if last.State == download.StateFailed {
			return false, errors.New("it has failed")
		}
		return last.State == state, nil
	}, p); err != nil {
		t.Fatal(err)
	}
}
