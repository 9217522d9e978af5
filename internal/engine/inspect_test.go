package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/selection"
)

func inspect(t *testing.T, tor *Torrent) download.Detail {
	t.Helper()
	d, err := tor.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestACloseLookShowsPeersPiecesAndFiles(t *testing.T) {
	root := content{"a": 1 << 20, "b/c": 1<<20 + 5, "not/wanted": 1 << 20}.write(t, "set")
	m := create(t, root, 1<<16, "")
	s := seed(t, root, m)
	tor, err := newTestEngine(t, Config{DownloadBytesPerSecond: 512 << 10}).Add(Spec{
		Metainfo: m, Dir: t.TempDir(), Peers: []string{s.addr()}, Files: download.Files{Exclude: []string{"not"}},
		Seeding: download.Seeding{Policy: download.SeedForever},
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "under way", func(*download.Progress) bool {
		d := inspect(t, tor)
		return len(d.Peers) == 1 && d.Progress.BytesVerified > 0 && len(d.Active) > 0
	})
	d := inspect(t, tor)
	p := d.Peers[0]
	if p.Address != s.addr() || p.Client != clientVersion || p.Source != "user" || p.Since.IsZero() || p.Downloaded == 0 || p.Pieces != m.Info.PieceCount() {
		t.Errorf("the peer is shown as %+v", p)
	}
	if p.Choking || !p.Wanted || p.Interested {
		t.Errorf("a seed that sends is shown as %+v", p)
	}
	if !slices.IsSorted(d.Active) || d.Active[len(d.Active)-1] >= d.Progress.Pieces.Total {
		t.Errorf("of %d pieces active are %v", d.Progress.Pieces.Total, d.Active)
	}
	called := inspect(t, s.torrents[m.InfoHash][0]).Peers
	if len(called) != 1 || called[0].Source != "incoming" || called[0].Uploaded == 0 || !called[0].Interested || called[0].Choked {
		t.Errorf("the seed shows %+v", called)
	}

	await(t, tor, "complete", is(download.StateSeeding))
	want := []download.File{
		{Path: "set/a", Size: 1 << 20, Verified: 1 << 20, Selected: true},
		{Path: "set/b/c", Size: 1<<20 + 5, Verified: 1<<20 + 5, Selected: true},
		{Path: "set/not/wanted", Size: 1 << 20, Verified: 1<<16 - 5}, // What the last wanted piece has of it.
	}
	d = inspect(t, tor)
	if diff := cmp.Diff(want, d.Files); diff != "" || d.FileCount != 3 {
		t.Errorf("of %d files: %s", d.FileCount, diff)
	}
	if len(d.Active) > 0 {
		t.Errorf("complete, and active are %v", d.Active)
	}
}

func TestACloseLookWhileNothingRunsShowsProgressAlone(t *testing.T) {
	root := content{"a": 100}.write(t, "set")
	m := create(t, root, 1<<16, "")
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := tor.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := inspect(t, tor); d.Progress.InfoHash != m.InfoHash.String() || d.Peers != nil || d.Files != nil {
		t.Errorf("it shows %+v", d)
	}
}

func TestACloseLookEndsWithItsContext(t *testing.T) {
	tor := &Torrent{asks: make(chan ask)}
	tor.hub.Store(&hub{ctx: context.Background()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tor.Inspect(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody answers, and that is %v", err)
	}
}

// Pieces are shown by their turn among those that are wanted.
func TestPiecesAreCountedByTheirTurn(t *testing.T) {
	root := content{"a": 4 << 16, "b": 4 << 16, "c": 4 << 16}.write(t, "set")
	m := create(t, root, 1<<16, "")
	chosen, err := selection.New(func() error { return nil }, m.Info, download.Files{Include: []string{"a", "c"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := turns([]uint32{1, 3, 5, 8, 11}, chosen); !slices.Equal(got, []int{1, 3, 4, 7}) {
		t.Errorf("the turns are %v", got)
	}
	if got := turns(nil, chosen); len(got) > 0 {
		t.Errorf("the turns of nothing are %v", got)
	}
}

func TestWhatAPeerCallsItselfIsMadeFitToShow(t *testing.T) {
	for said, want := range map[string]string{
		"Client 1.0": "Client 1.0", "\x1b[31mred\n": "?[31mred?", "\xff": "?", "日本": "日本", "\u202egnp": "?gnp",
		strings.Repeat("x", maxClient): strings.Repeat("x", maxClient), strings.Repeat("x", maxClient+1): strings.Repeat("x", maxClient),
		strings.Repeat("日", 22): strings.Repeat("日", 21),
	} {
		if got := printable(said); got != want {
			t.Errorf("%q is shown as %q, want %q", said, got, want)
		}
	}
}
