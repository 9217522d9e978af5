//go:build interop

package interop

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/selection"
)

// chosen are the patterns of what is selected of nested: files that share
// pieces with others, a large one, an empty one, and a name that needs quoting.
var chosen = []string{"a/", "*(marks).txt", "README"}

// selecting is a client that downloads only what is chosen.
func selecting(c client) client {
	c.leech = func(ctx context.Context, t *testing.T, torrent, dir string) transfer {
		switch c.name {
		case torrentOperator.name:
			return untilExit(startDownload(t, c.name, torrent, dir, including()...))
		case aria2.name:
			return untilExit(startAria2(t, torrent, dir, "--seed-time=0", "--select-file="+numbers(t, torrent, 1)))
		case transmission.name:
			return daemon{encryption: tolerated, files: numbers(t, torrent, 0)}.start(ctx, t, torrent, dir)
		default:
			return untilExit(startLibtorrent(t, "leech", torrent, dir, numbers(t, torrent, 0)))
		}
	}
	return c
}

func including() (flags []string) {
	for _, pattern := range chosen {
		flags = append(flags, "--include", pattern)
	}
	return flags
}

// info reads a torrent and what is chosen of it.
func info(t *testing.T, torrent string) (*metainfo.Info, *selection.Selection) {
	t.Helper()
	b, err := os.ReadFile(torrent)
	if err != nil {
		t.Fatal(err)
	}
	m, err := metainfo.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	s, err := selection.New(t.Context().Err, m.Info, download.Files{Include: chosen})
	if err != nil {
		t.Fatal(err)
	}
	return m.Info, s
}

// numbers are those of the chosen files, counted from first.
func numbers(t *testing.T, torrent string, first int) string {
	t.Helper()
	_, s := info(t, torrent)
	var all []string
	for i := range s.Files.All() {
		all = append(all, strconv.Itoa(i+first))
	}
	return strings.Join(all, ",")
}

// unwanted are the numbers of the other files, counted from 0.
func unwanted(t *testing.T, torrent string) string {
	t.Helper()
	meta, s := info(t, torrent)
	var all []string
	for i := range meta.Files {
		if !s.Files.Has(i) {
			all = append(all, strconv.Itoa(i))
		}
	}
	return strings.Join(all, ",")
}

func TestFileSelection(t *testing.T) {
	needClients(t)
	for _, other := range others {
		for _, pair := range [][2]client{{torrentOperator, other}, {other, torrentOperator}} {
			t.Run(fmt.Sprintf("from %s to %s", pair[0].name, pair[1].name), func(t *testing.T) {
				t.Parallel()
				record(t, "file selection", pair[0].name, pair[1].name)
				from := t.TempDir()
				torrent, tracker := publish(t, sample{"", nested, 128 << 10, madeByUs, false}, from)
				exchangeSome(t, pair[0], selecting(pair[1]), from, torrent, tracker)
			})
		}
	}
}

// TestPartialSeed has the others get what is chosen from us, who have nothing
// else, and all bytes of boundary pieces that are not of chosen files in a
// hidden file.
func TestPartialSeed(t *testing.T) {
	needClients(t)
	partial := torrentOperator
	partial.seed = func(ctx context.Context, t *testing.T, torrent, dir string) *process {
		p := startDownload(t, "a partial seed", torrent, dir, append(including(), "--seed")...)
		awaitState(ctx, t, p, download.StateSeeding)
		return p
	}
	for _, other := range others {
		t.Run(other.name, func(t *testing.T) {
			t.Parallel()
			record(t, "partial seed", torrentOperator.name, other.name)
			from := t.TempDir()
			torrent, tracker := publish(t, sample{"", nested, 128 << 10, madeByUs, false}, from)
			part := exchangeSome(t, torrentOperator, selecting(torrentOperator), from, torrent, tracker)
			exchangeSome(t, partial, selecting(other), part, torrent, tracker)
		})
	}
}

// exchangeSome lets one client download what is chosen from another, compares
// that, and returns the folder that it is in. Ours makes no other file.
func exchangeSome(t *testing.T, seeder, leecher client, from, torrent string, tracker *watched) (to string) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), exchangeTimeout, fmt.Errorf("not done within %s", exchangeTimeout))
	defer cancel()
	to = t.TempDir()
	seed, down := meet(ctx, t, seeder, leecher, from, torrent, torrent, to, tracker)
	if err := down.complete(ctx); err != nil {
		t.Fatal(err)
	}
	if err := down.stop(); err != nil {
		t.Errorf("%s, when told to stop: %v", down.name, err)
	}
	if err := seed.stop(); err != nil {
		t.Errorf("%s, as a seeder, when told to stop: %v", seed.name, err)
	}
	want, got := hashes(t, from), hashes(t, to)
	meta, s := info(t, torrent)
	for i := range meta.Files {
		name := selection.Path(meta, i)
		sum, there := got[name]
		switch {
		case !s.Files.Has(i) && there && leecher.name == torrentOperator.name:
			t.Errorf("%s is not selected and was made", name)
		case !s.Files.Has(i), !there && meta.Files[i].Length == 0 && leecher.skipsEmpty:
		case !there:
			t.Errorf("%s is missing; there is %v", name, slices.Sorted(maps.Keys(got)))
		case sum != want[name]:
			t.Errorf("%s differs", name)
		}
	}
	return to
}

func hashes(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	sums, err := hashTree(filepath.Join(dir, nested.name))
	if err != nil {
		t.Fatal(err)
	}
	return sums
}
