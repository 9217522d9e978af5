//go:build interop

package interop

import (
	"fmt"
	"os"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// linked are torrents whose info dictionary is one piece of metadata, and many.
var linked = []sample{
	{"one piece of metadata", content{"one.bin", map[string]int{"": 3<<20 + 17}}, 64 << 10, madeByTransmission, false},
	{"many pieces of metadata", many("collection", 2000), 64 << 10, madeByLibtorrent, false},
}

func TestMagnetLinksInBothDirections(t *testing.T) {
	needClients(t)
	for _, s := range linked {
		for _, other := range others {
			for _, pair := range [][2]client{{torrentOperator, other}, {other, torrentOperator}} {
				t.Run(fmt.Sprintf("%s from %s to %s", s.name, pair[0].name, pair[1].name), func(t *testing.T) {
					t.Parallel()
					record(t, "magnet link: "+s.name, pair[0].name, pair[1].name)
					from := t.TempDir()
					torrent, tracker := publish(t, s, from)
					exchangeBy(t, s, pair[0], pair[1], from, torrent, magnetOf(t, torrent), tracker)
				})
			}
		}
	}
}

// magnetOf returns the link to a .torrent file.
func magnetOf(t *testing.T, torrent string) string {
	t.Helper()
	b, err := os.ReadFile(torrent)
	if err != nil {
		t.Fatal(err)
	}
	m, err := metainfo.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m.Magnet().String()
}
