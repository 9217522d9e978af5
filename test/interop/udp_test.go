//go:build interop

package interop

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// tracked is what is exchanged to try a tracker.
var tracked = sample{"tracked", content{"tracked.img", map[string]int{"": 3<<20 + 7}}, 64 << 10, madeByUs, false}

// A swarm of our own finds itself by an opentracker that it asks over UDP.
func TestUDPTrackerOfAnother(t *testing.T) {
	needClients(t)
	record(t, "UDP tracker", "opentracker", torrentOperator.name)
	from, port := t.TempDir(), freeport.For(t)
	torrent := announcedAt(t, from, fmt.Sprintf("udp://127.0.0.1:%d/announce", port))
	exchangeBy(t, tracked, torrentOperator, torrentOperator, from, torrent, torrent, startOpenTracker(t, port, torrentHash(t, torrent)))
}

// Other clients and ours find each other by our tracker, which all of them ask
// over UDP.
func TestOurTrackerOverUDP(t *testing.T) {
	needClients(t)
	for _, other := range others {
		for _, pair := range [][2]client{{torrentOperator, other}, {other, torrentOperator}} {
			t.Run(fmt.Sprintf("from %s to %s", pair[0].name, pair[1].name), func(t *testing.T) {
				t.Parallel()
				record(t, "our tracker over UDP", pair[0].name, pair[1].name)
				ctx, cancel := context.WithTimeoutCause(t.Context(), exchangeTimeout, fmt.Errorf("not done within %s", exchangeTimeout))
				defer cancel()
				from := t.TempDir()
				tracker, _, overUDP := startTracker(ctx, t)
				torrent := announcedAt(t, from, overUDP)
				u, err := url.Parse(overUDP)
				if err != nil {
					t.Fatal(err)
				}
				port, err := strconv.Atoi(u.Port())
				if err != nil {
					t.Fatal(err)
				}
				exchangeBy(t, tracked, pair[0], pair[1], from, torrent, torrent, &watched{tracker, func(ctx context.Context) (int, int, error) {
					return scrape(ctx, port, torrentHash(t, torrent))
				}})
			})
		}
	}
}

// announcedAt writes the content to dir and makes a torrent of it.
func announcedAt(t *testing.T, dir, announce string) (torrent string) {
	t.Helper()
	tracked.content.write(t, dir)
	torrent = filepath.Join(t.TempDir(), "tracked.torrent")
	tracked.maker.make(t, torrent, filepath.Join(dir, tracked.content.name), tracked.pieceLength, announce)
	return torrent
}
