//go:build interop

package interop

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// command runs torrent-operator: what "make interop" has built.
var command = "../../bin/torrent-operator"

// sample is a torrent that is exchanged.
type sample struct {
	name        string
	content     content
	pieceLength int
	maker       maker
	padded      bool // It holds padding files (BEP 47).
}

// samples are the shapes that clients get wrong.
var samples = []sample{
	{"single file", content{"disk image.img", map[string]int{"": 32 << 20}}, 256 << 10, madeByTransmission, false},
	{"multiple files", nested, 128 << 10, madeByUs, false},
	{"one small piece", content{"note.txt", map[string]int{"": 777}}, 32 << 10, madeByLibtorrent, false},
	{"odd last piece", content{"odd.bin", map[string]int{"": 5<<20 + 12_345}}, 64 << 10, madeByUs, false},
	{"2,000 small files", many("collection", 2000), 64 << 10, madeByLibtorrent, false},
	{"padded files", content{"padded", nested.files}, 64 << 10, madeByLibtorrentPadded, true},
}

// nested has files of all kinds: empty, tiny, larger than a piece, ending where
// a piece ends, in several depths, with names of several scripts.
var nested = content{"data set", map[string]int{
	"README":                      1,
	"empty":                       0,
	"a/exactly-one-piece.bin":     128 << 10,
	"a/larger.bin":                7<<20 + 1,
	"a/b/c/d/deep.bin":            300_000,
	"a/b/empty too":               0,
	"a/b/small":                   17,
	"Zürich/größe.dat":            100_001,
	"z/數據/файл.bin":               2<<20 - 3,
	"z/with spaces & (marks).txt": 4096,
}}

// many is a folder of n files of 1 byte to 8 KiB.
func many(name string, n int) content {
	c := content{name, map[string]int{}}
	for i := range n {
		c.files[fmt.Sprintf("%02d/file-%04d", i%37, i)] = 1 + i*7919%8192
	}
	return c
}

// others are the clients that torrent-operator is tested with.
var others = []client{transmission, aria2, libtorrentClient}

// exchangeTimeout bounds one exchange on a busy machine. Most take seconds.
const exchangeTimeout = 2 * time.Minute

func TestExchangesInBothDirections(t *testing.T) {
	needClients(t)
	record(t, "HTTP tracker", "opentracker", torrentOperator.name)
	for _, s := range samples {
		for _, other := range others {
			for _, pair := range [][2]client{{torrentOperator, other}, {other, torrentOperator}} {
				feature := "files: " + s.name
				if s.padded && !pair[0].pads {
					cannot(t, feature, pair[0].name, pair[1].name, "it serves padding only if that lies on the disk")
					continue
				}
				t.Run(fmt.Sprintf("%s from %s to %s", s.name, pair[0].name, pair[1].name), func(t *testing.T) {
					t.Parallel()
					record(t, feature, pair[0].name, pair[1].name)
					exchange(t, s, pair[0], pair[1])
				})
			}
		}
	}
}

// exchange lets one client download a sample from another, with opentracker
// between them, and compares what arrives.
func exchange(t *testing.T, s sample, seeder, leecher client) {
	from := t.TempDir()
	torrent, tracker := publish(t, s, from)
	exchangeBy(t, s, seeder, leecher, from, torrent, torrent, tracker)
}

// exchangeBy lets one client download a sample that is in a folder from
// another, with a tracker between them. The leecher knows the torrent by name:
// the .torrent file, or a link.
func exchangeBy(t *testing.T, s sample, seeder, leecher client, from, torrent, name string, tracker *watched) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), exchangeTimeout, fmt.Errorf("not done within %s", exchangeTimeout))
	defer cancel()
	to := t.TempDir()
	seed, down := meet(ctx, t, seeder, leecher, from, torrent, name, to, tracker)
	if err := down.complete(ctx); err != nil {
		t.Fatal(err)
	}
	finish(t, s, leecher, down, from, to)
	if err := seed.stop(); err != nil {
		t.Errorf("%s, as a seeder, when told to stop: %v", seed.name, err)
	}
}

// meet starts both in the order in which they find each other.
func meet(
	ctx context.Context, t *testing.T, seeder, leecher client, from, torrent, name, to string, tracker *watched,
) (seed *process, down transfer) {
	t.Helper()
	if leecher.dialed {
		// The seeder connects to those that it finds when it announces itself.
		down = leecher.leech(ctx, t, name, to)
		tracker.awaitLeechers(ctx, t, down.process)
		return seeder.seed(ctx, t, torrent, from), down
	}
	seed = seeder.seed(ctx, t, torrent, from)
	tracker.awaitSeeds(ctx, t, seed)
	return seed, leecher.leech(ctx, t, name, to)
}

// publish writes a sample's content to dir, makes its torrent, and starts a
// tracker for it.
func publish(t *testing.T, s sample, dir string) (torrent string, tracker *watched) {
	t.Helper()
	s.content.write(t, dir)
	port := freeport.For(t)
	torrent = filepath.Join(t.TempDir(), "sample.torrent")
	s.maker.make(t, torrent, filepath.Join(dir, s.content.name), s.pieceLength, announceURL(port))
	return torrent, startOpenTracker(t, port, torrentHash(t, torrent))
}

// finish ends a leecher that is complete and compares what it has.
func finish(t *testing.T, s sample, by client, down transfer, from, to string) {
	t.Helper()
	if err := down.stop(); err != nil {
		t.Errorf("%s, when told to stop: %v", down.name, err)
	}
	if err := s.content.compare(from, to, by.skipsEmpty); err != nil {
		t.Errorf("what %s has downloaded: %v", down.name, err)
	}
}
