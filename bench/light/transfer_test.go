package light

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

func TestLeechesGetTheBytesOfTheTorrent(t *testing.T) {
	for _, l := range layouts {
		for _, verify := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, verified %v", l.name, verify), func(t *testing.T) {
				c := create(t, l.files, l.options)
				at := address(t)
				seed := start(t, func(ctx context.Context, out *record) error {
					return Seed(ctx, SeedConfig{Torrent: c.file, Dir: c.dir, Listen: at, Out: out})
				})
				leech := start(t, func(ctx context.Context, out *record) error {
					return Leech(ctx, LeechConfig{
						Torrent: c.file, Address: at, Connections: 3, From: netip.MustParseAddr("127.0.0.2"), Verify: verify, Out: out,
					})
				})
				if err := <-leech.result; err != nil {
					t.Fatal(err)
				}
				leech.result <- nil
				if err := seed.stop(); err != nil {
					t.Error(err)
				}
				total := fmt.Sprint(3 * c.info.Length)
				if got := strings.Fields(leech.line(t, "done "))[1]; got != total {
					t.Errorf("the leeches say that they got %s bytes, and the torrent has, for three, %s", got, total)
				}
				if got := seed.line(t, "sent "); got != total {
					t.Errorf("the seeder says that it sent %s bytes instead of %s", got, total)
				}
				seed.line(t, "first ")
				leech.line(t, "first ")
			})
		}
	}
}

func TestFloorWritesTheBytesOfTheTorrent(t *testing.T) {
	for _, l := range layouts {
		for _, seeders := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d seeders", l.name, seeders), func(t *testing.T) {
				c := create(t, l.files, l.options)
				at, dir := address(t), t.TempDir()
				for range seeders {
					start(t, func(ctx context.Context, out *record) error {
						return Seed(ctx, SeedConfig{Torrent: c.file, Dir: c.dir, Dial: []string{at}, Out: out})
					})
				}
				floor := start(t, func(ctx context.Context, out *record) error {
					return Floor(ctx, FloorConfig{Torrent: c.file, Dir: dir, Listen: at, Seeders: seeders, Out: out})
				})
				if err := <-floor.result; err != nil {
					t.Fatal(err)
				}
				floor.line(t, "verified")
				got := content{dir: dir, info: c.info}
				same(t, "what was written", got.bytes(t), c.bytes(t))
			})
		}
	}
}

func TestPayloadThatRepeats(t *testing.T) {
	const period = 3 * 16384
	c := create(t, map[string]int{"": period}, metainfo.CreateOptions{})
	once := c.bytes(t)
	long := t.TempDir()
	write(t, filepath.Join(long, "payload"), append(append(append([]byte(nil), once...), once...), once[:20001]...))
	whole := describe(t, long, metainfo.CreateOptions{PieceLength: 32 << 10})
	at := address(t)
	start(t, func(ctx context.Context, out *record) error {
		return Seed(ctx, SeedConfig{Torrent: whole.file, Dir: c.dir, Repeat: period, Listen: at, Out: out})
	})
	if err := Leech(t.Context(), LeechConfig{Torrent: whole.file, Address: at, Connections: 1, Verify: true, Out: &record{}}); err != nil {
		t.Error(err)
	}
}

func TestWrongBytesAreFound(t *testing.T) {
	c := create(t, map[string]int{"": 200_000}, metainfo.CreateOptions{PieceLength: 32 << 10})
	b := c.bytes(t)
	b[150_000]++
	write(t, filepath.Join(c.dir, "payload"), b)
	here, there := address(t), address(t)
	start(t, func(ctx context.Context, out *record) error {
		return Seed(ctx, SeedConfig{Torrent: c.file, Dir: c.dir, Listen: here, Dial: []string{there}, Out: out})
	})
	const want = "piece 4 does not match its hash"
	err := Leech(t.Context(), LeechConfig{Torrent: c.file, Address: here, Connections: 1, Verify: true, Out: &record{}})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the leech says %v instead of %q", err, want)
	}
	err = Floor(t.Context(), FloorConfig{Torrent: c.file, Dir: t.TempDir(), Listen: there, Seeders: 1, Out: &record{}})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the floor says %v instead of %q", err, want)
	}
}

func TestSeedWantsAWholePayload(t *testing.T) {
	c := create(t, map[string]int{"a": 20_000, "b": 20_000}, metainfo.CreateOptions{})
	for _, spoilt := range []struct {
		what string
		how  func(path string) error
	}{
		{"it has 19999 bytes of 20000", func(path string) error { return os.Truncate(path, 19_999) }},
		{"no such file", os.Remove},
	} {
		if err := spoilt.how(filepath.Join(c.dir, "payload", "b")); err != nil {
			t.Fatal(err)
		}
		err := Seed(t.Context(), SeedConfig{Torrent: c.file, Dir: c.dir, Out: &record{}})
		if err == nil || !strings.Contains(err.Error(), spoilt.what) {
			t.Errorf("%v instead of %q", err, spoilt.what)
		}
	}
}

func TestLeechEndsWithItsContext(t *testing.T) {
	c := create(t, map[string]int{"": 20_000}, metainfo.CreateOptions{})
	leech := start(t, func(ctx context.Context, out *record) error {
		return Leech(ctx, LeechConfig{Torrent: c.file, Address: address(t), Connections: 2, Out: out})
	})
	if err := leech.stop(); err == nil {
		t.Error("a leech that got nothing says that it got everything")
	}
}
