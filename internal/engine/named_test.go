package engine

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestANameThatIsNotKnownYetIsLookedUpAgain(t *testing.T) {
	root := content{"data": 1 << 16}.write(t, "content")
	m := create(t, root, 1<<14, "")
	_, port, _ := strings.Cut(seed(t, root, m).addr(), ":")
	e := newTestEngine(t, Config{})
	var asked atomic.Int32
	e.lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if asked.Add(1) == 1 {
			return nil, errors.New("no such host")
		}
		if host != "seeder.example" {
			t.Errorf("%q was looked up", host)
		}
		return loopback, nil
	}
	tor, err := e.Add(Spec{Metainfo: m, Dir: t.TempDir(), Peers: []string{"seeder.example:" + port}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateComplete))
}

func TestUpdatesLookUpOnlyNewNamesAndLetGoOfOthers(t *testing.T) {
	root := content{"data": 1 << 16}.write(t, "content")
	e := newTestEngine(t, Config{})
	asked, gone := make(chan string, 100), make(chan string, 100)
	e.lookup = func(ctx context.Context, _, host string) ([]netip.Addr, error) {
		asked <- host
		<-ctx.Done()
		gone <- host
		return nil, ctx.Err()
	}
	tor, err := e.Add(Spec{Metainfo: create(t, root, 1<<14, ""), Dir: t.TempDir(), Peers: []string{"a:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if host := <-asked; host != "a" {
		t.Fatalf("%q was looked up", host)
	}
	tor.Update(Update{Peers: []string{"a:1", "b:1"}})
	if host := <-asked; host != "b" {
		t.Fatalf("%q was looked up", host)
	}
	tor.Update(Update{Peers: []string{"b:1", "c:1"}})
	if host := <-asked; host != "c" {
		t.Fatalf("%q was looked up", host)
	}
	if host := <-gone; host != "a" {
		t.Errorf("the search for %q ended", host)
	}
	stop(t, tor)
	if len(asked) != 0 || len(gone) != 2 {
		t.Errorf("%d more searches, and %d ended with the torrent", len(asked), len(gone))
	}
}
