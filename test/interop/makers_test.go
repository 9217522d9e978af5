//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// maker makes a .torrent file of a file or folder.
type maker struct {
	name    string
	program string // Its name.
	make    func(t *testing.T, torrent, path string, pieceLength int, announce string)
}

var (
	madeByUs = maker{"torrent-operator", "torrent-operator", func(t *testing.T, torrent, path string, pieceLength int, announce string) {
		createTorrent(t, torrent, path, pieceLength, announce)
	}}
	madeByUsPadded = maker{"torrent-operator, padded", "torrent-operator", func(t *testing.T, torrent, path string, pieceLength int, announce string) {
		createTorrent(t, torrent, path, pieceLength, announce, "--pad")
	}}
	// It leaves empty files out.
	madeByTransmission = maker{"transmission", "transmission", func(t *testing.T, torrent, path string, pieceLength int, announce string) {
		createWithTransmission(t, torrent, path, pieceLength, announce)
	}}
	madeByLibtorrent = maker{"libtorrent", "libtorrent", func(t *testing.T, torrent, path string, pieceLength int, announce string) {
		createWithLibtorrent(t, torrent, path, pieceLength, announce)
	}}
	madeByLibtorrentPadded = maker{"libtorrent, padded", "libtorrent", func(t *testing.T, torrent, path string, pieceLength int, announce string) {
		createWithLibtorrent(t, torrent, path, pieceLength, announce, "pad")
	}}
	makers = []maker{madeByUs, madeByUsPadded, madeByTransmission, madeByLibtorrent, madeByLibtorrentPadded}
)

func createWithTransmission(t *testing.T, torrent, path string, pieceLength int, announce string, options ...string) {
	t.Helper()
	argv := []string{"transmission-create", "-s", strconv.Itoa(pieceLength >> 10), "-t", announce, "-o", torrent}
	run(t, append(append(argv, options...), path)...)
}

func createWithLibtorrent(t *testing.T, torrent, path string, pieceLength int, announce string, options ...string) {
	t.Helper()
	argv := []string{python, libtorrent, "create", torrent, path, strconv.Itoa(pieceLength), announce}
	run(t, append(argv, options...)...)
}

var hashPattern = regexp.MustCompile(`(?i)\b[0-9a-f]{40}\b`)

// infoHashes returns what each client takes for the info hash of a torrent.
func infoHashes(t *testing.T, torrent string) map[string]string {
	t.Helper()
	hashes := map[string]string{}
	for client, argv := range map[string][]string{
		"torrent-operator": {command, "inspect", torrent},
		"transmission":     {"transmission-show", torrent},
		"aria2":            {"aria2c", "--no-conf=true", "--show-files=true", torrent},
		"libtorrent":       {python, libtorrent, "hash", torrent},
	} {
		hashes[client] = strings.ToLower(hashPattern.FindString(run(t, argv...)))
	}
	return hashes
}

// torrentFile is the feature of a .torrent file that others read alike.
const torrentFile = ".torrent file"

func TestEveryClientSeesTheSameInfoHash(t *testing.T) {
	needClients(t)
	cannot(t, torrentFile, aria2.name, torrentOperator.name, "it makes none")
	for _, c := range []content{{"odd.bin", map[string]int{"": 1<<20 + 5}}, nested, many("collection", 200)} {
		dir := t.TempDir()
		c.write(t, dir)
		for _, m := range makers {
			t.Run(c.name+" made by "+m.name, func(t *testing.T) {
				readers := others
				if m.program != torrentOperator.name {
					readers = []client{torrentOperator}
				}
				for _, reader := range readers {
					record(t, torrentFile, m.program, reader.name)
				}
				torrent := filepath.Join(t.TempDir(), "sample.torrent")
				m.make(t, torrent, filepath.Join(dir, c.name), 64<<10, announceURL(1))
				hashes := infoHashes(t, torrent)
				for client, hash := range hashes {
					if hash != hashes["libtorrent"] || len(hash) != 40 {
						t.Errorf("%s takes %q for the info hash, and libtorrent %q", client, hash, hashes["libtorrent"])
					}
				}
			})
		}
	}
}

// A client that makes a torrent of the same content in the same way must come
// to the same info hash; else people who share it do not find each other. It
// is so for a file alone: of a folder each client has an order of its own.
// transmission-create writes the private flag always, so it is set by all.
func TestEveryMakerComesToTheSameInfoHash(t *testing.T) {
	needClients(t)
	for _, size := range []int{777, 1 << 20, 1<<20 + 5} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			c := content{"odd.bin", map[string]int{"": size}}
			dir := t.TempDir()
			c.write(t, dir)
			path, announce := filepath.Join(dir, c.name), announceURL(1)
			torrent := func(maker string) string { return filepath.Join(dir, maker+".torrent") }
			createTorrent(t, torrent("torrent-operator"), path, 64<<10, announce, "--private")
			createWithTransmission(t, torrent("transmission"), path, 64<<10, announce, "--private")
			createWithLibtorrent(t, torrent("libtorrent"), path, 64<<10, announce, "private")
			want := torrentHash(t, torrent("torrent-operator"))
			for _, maker := range []string{"transmission", "libtorrent"} {
				if hash := torrentHash(t, torrent(maker)); hash != want {
					t.Errorf("%s comes to the info hash %s, torrent-operator to %s", maker, hash, want)
				}
			}
		})
	}
}

// torrentHash returns the info hash of a .torrent file.
func torrentHash(t *testing.T, torrent string) metainfo.Hash {
	t.Helper()
	b, err := os.ReadFile(torrent)
	if err != nil {
		t.Fatal(err)
	}
	m, err := metainfo.Parse(b)
	if err != nil {
		t.Fatalf("reading %s: %v", filepath.Base(torrent), err)
	}
	return m.InfoHash
}
