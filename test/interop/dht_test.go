//go:build interop

package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// bittorrentDHT is a library of nodes of the DHT, and knows nothing else of
// BitTorrent; dhtVersion is the one that npm is asked for.
const (
	bittorrentDHT = "bittorrent-dht"
	dhtVersion    = "11.0.11"
)

// dhtPackages returns the folder in which bittorrent-dht is installed.
var dhtPackages = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "torrent-operator", "interop")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", bittorrentDHT)); err == nil {
		return dir, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	args := []string{"install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", bittorrentDHT + "@" + dhtVersion}
	if out, err := exec.CommandContext(ctx, "npm", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return dir, nil
})

// startNode starts a node of bittorrent-dht.
func startNode(t *testing.T, args ...string) *process {
	t.Helper()
	dir, err := dhtPackages()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, bittorrentDHT, program(append([]string{"node", "testdata/dht_node.mjs", dir}, args...)...))
	awaitLine(t, p, "listening")
	return p
}

// awaitLine waits until a process has printed a line.
func awaitLine(t *testing.T, p *process, line string, needed ...*process) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), exchangeTimeout, fmt.Errorf("not done within %s", exchangeTimeout))
	defer cancel()
	if err := await(ctx, fmt.Sprintf("%s to say %q", p.name, line), func() (bool, error) {
		return strings.Contains("\n"+string(p.tail(1<<20))+"\n", "\n"+line+"\n"), nil
	}, append(needed, p)...); err != nil {
		t.Fatal(err)
	}
}

// lonely is a torrent without a tracker, and the link to it.
type lonely struct {
	content             content
	from, torrent, link string
}

func newLonely(t *testing.T) *lonely {
	t.Helper()
	l := &lonely{content: content{"lonely.bin", map[string]int{"": 3<<20 + 17}}, from: t.TempDir(), torrent: filepath.Join(t.TempDir(), "lonely.torrent")}
	l.content.write(t, l.from)
	run(t, command, "create", filepath.Join(l.from, l.content.name), "--output", l.torrent, "--piece-length", "65536")
	l.link = magnetOf(t, l.torrent)
	return l
}

// leech has us download the torrent by its link, in the DHT by way of a node.
func (l *lonely) leech(t *testing.T, way int) {
	t.Helper()
	to := t.TempDir()
	down := startDownload(t, "leecher", l.link, to, "--dht", "--dht-bootstrap", address(way))
	l.arrives(t, untilExit(down), to)
}

// arrives waits until somebody has all of it.
func (l *lonely) arrives(t *testing.T, down transfer, to string) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), exchangeTimeout, fmt.Errorf("not done within %s", exchangeTimeout))
	defer cancel()
	if err := down.complete(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.content.compare(l.from, to, false); err != nil {
		t.Error(err)
	}
}

// seed has us serve it, in the DHT by way of a node; 0 is not in the DHT.
func (l *lonely) seed(t *testing.T, port, way int) *process {
	t.Helper()
	args := []string{"--seed", "--port", strconv.Itoa(port)}
	if way != 0 {
		args = append(args, "--dht", "--dht-bootstrap", address(way))
	}
	p := startDownload(t, "seed", l.torrent, l.from, args...)
	awaitState(t.Context(), t, p, download.StateSeeding)
	return p
}

// Nothing tells of peers but the DHT, nor of what the torrent is but they.
func TestTheDHTInBothDirections(t *testing.T) {
	needClients(t)
	const feature = "DHT"
	t.Run("what bittorrent-dht announces, we find", func(t *testing.T) {
		t.Parallel()
		record(t, feature, bittorrentDHT, torrentOperator.name)
		l, way, port := newLonely(t), freeport.For(t), freeport.For(t)
		startNode(t, "node", strconv.Itoa(way))
		l.seed(t, port, 0)
		awaitLine(t, startNode(t, "announce", address(way), torrentHash(t, l.torrent).String(), strconv.Itoa(port)), "announced")
		l.leech(t, way)
	})
	t.Run("what we announce, bittorrent-dht finds", func(t *testing.T) {
		t.Parallel()
		record(t, feature, torrentOperator.name, bittorrentDHT)
		l, way, port := newLonely(t), freeport.For(t), freeport.For(t)
		startNode(t, "node", strconv.Itoa(way))
		seed := l.seed(t, port, way)
		awaitLine(t, startNode(t, "lookup", address(way), torrentHash(t, l.torrent).String()), "peer "+address(port), seed)
	})
	t.Run("what bittorrent-dht announces to us, it finds with us", func(t *testing.T) {
		t.Parallel()
		record(t, feature, torrentOperator.name, bittorrentDHT)
		l, port := newLonely(t), freeport.For(t)
		way := l.seed(t, port, freeport.For(t)) // Nobody is there, so it is the first.
		const hash = "0123456789abcdef0123456789abcdef01234567"
		awaitLine(t, startNode(t, "announce", address(port), hash, "7777"), "announced", way)
		awaitLine(t, startNode(t, "lookup", address(port), hash), "peer 127.0.0.1:7777", way)
	})
	t.Run("from libtorrent to us", func(t *testing.T) {
		t.Parallel()
		record(t, feature, libtorrentClient.name, torrentOperator.name)
		l, way := newLonely(t), freeport.For(t)
		startNode(t, "node", strconv.Itoa(way))
		startLibtorrent(t, "seed", l.torrent, l.from, "dht="+address(way))
		l.leech(t, way)
	})
	t.Run("from us to libtorrent", func(t *testing.T) {
		t.Parallel()
		record(t, feature, torrentOperator.name, libtorrentClient.name)
		l, way, to := newLonely(t), freeport.For(t), t.TempDir()
		startNode(t, "node", strconv.Itoa(way))
		l.seed(t, freeport.For(t), way)
		l.arrives(t, untilExit(startLibtorrent(t, "leech", l.link, to, "dht="+address(way))), to)
	})
}
