//go:build interop

package interop

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// gossip is a client that exchanges peers (BEP 11).
type gossip struct {
	client
	// mute is why it can't tell of the seed.
	mute string
	// start begins to download into dir and listens on port.
	start func(t *testing.T, torrent, dir string, port int) *process
}

var gossips = []gossip{
	{aria2, "it tells only of peers that it has called in the last minute", func(t *testing.T, torrent, dir string, port int) *process {
		return startAria2(t, torrent, dir, "--enable-peer-exchange=true", "--listen-port="+strconv.Itoa(port))
	}},
	{libtorrentClient, "", func(t *testing.T, torrent, dir string, port int) *process {
		return start(t, "libtorrent", program(python, libtorrent, "leech", torrent, dir, strconv.Itoa(port)))
	}},
}

// pexTimeout is enough for two messages of a client that sends one a minute.
const pexTimeout = 3 * time.Minute

// There is no tracker. One peer in the middle is connected to a seed and to a
// leecher, and the leecher can know of the seed only from the one in the middle.
// The seed hears of nobody, so the leecher has to call it, and is slow, so that
// nobody is complete before.
func TestPeerExchangeInBothDirections(t *testing.T) {
	needClients(t)
	const feature = "peer exchange"
	cannot(t, feature, transmission.name, torrentOperator.name, "it has one connection an address, and on loopback all share one")
	cannot(t, feature, torrentOperator.name, transmission.name, "it connects to no address of loopback")
	for _, other := range gossips {
		if other.mute != "" {
			cannot(t, feature, other.name, torrentOperator.name, other.mute)
		} else {
			t.Run("from "+other.name, func(t *testing.T) {
				t.Parallel()
				record(t, feature, other.name, torrentOperator.name)
				w := newQuietSwarm(t)
				middle := freeport.For(t)
				hub := other.start(t, w.torrent, t.TempDir(), middle)
				seed, port := w.seed(t, "--peer", address(middle))
				leech := startDownload(t, "leecher", w.torrent, t.TempDir(), "--peer", address(middle))
				w.await(t, leech, fmt.Sprintf("the leecher to hear of the seed from %s", other.name), func(c connection) bool {
					return c.Source == "pex" && c.Addr == netip.MustParseAddrPort(address(port))
				}, hub, seed)
			})
		}
		t.Run("to "+other.name, func(t *testing.T) {
			t.Parallel()
			record(t, feature, torrentOperator.name, other.name)
			w := newQuietSwarm(t)
			seed, port := w.seed(t)
			last := freeport.For(t)
			leech := other.start(t, w.torrent, t.TempDir(), last)
			hub := startDownload(t, "the one in the middle", w.torrent, t.TempDir(), "--peer", address(port), "--peer", address(last))
			w.await(t, seed, fmt.Sprintf("%s to call the seed", other.name), func(c connection) bool {
				return c.Incoming && strings.Contains(strings.ToLower(c.Client), other.name)
			}, hub, leech)
		})
	}
}

// quietSwarm is the content of a torrent whose tracker does not exist.
type quietSwarm struct {
	ctx           context.Context
	torrent, from string
}

func newQuietSwarm(t *testing.T) *quietSwarm {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), pexTimeout, fmt.Errorf("not done within %s", pexTimeout))
	t.Cleanup(cancel)
	w := &quietSwarm{ctx, filepath.Join(t.TempDir(), "quiet.torrent"), t.TempDir()}
	c := content{"quiet.bin", map[string]int{"": 32 << 20}}
	c.write(t, w.from)
	createTorrent(t, w.torrent, filepath.Join(w.from, c.name), 256<<10, announceURL(freeport.For(t)))
	return w
}

// seed starts a slow seed and returns it with the port on which it listens.
func (w *quietSwarm) seed(t *testing.T, more ...string) (*process, int) {
	t.Helper()
	port := freeport.For(t)
	args := append([]string{"--seed", "--no-pex", "--limit-up", "100KiB", "--port", strconv.Itoa(port)}, more...)
	return startDownload(t, "seed", w.torrent, w.from, args...), port
}

// await waits until a torrent-operator has a connection that is as it should be.
func (w *quietSwarm) await(t *testing.T, p *process, what string, ok func(connection) bool, needed ...*process) {
	t.Helper()
	if err := await(w.ctx, what, func() (bool, error) {
		for _, c := range p.last(t).Connections {
			if ok(c) {
				return true, nil
			}
		}
		return false, nil
	}, append(needed, p)...); err != nil {
		t.Error(err)
	}
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
