package engine

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/tracker"
)

// ledger is a tracker that knows nobody and writes down what it is told.
type ledger struct {
	url string

	mu   sync.Mutex
	told []url.Values
	news chan struct{} // Capacity 1.
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{news: make(chan struct{}, 1)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.told = append(l.told, r.URL.Query())
		l.mu.Unlock()
		select {
		case l.news <- struct{}{}:
		default:
		}
		fmt.Fprint(w, "d8:intervali1800e5:peers0:e")
	}))
	t.Cleanup(s.Close)
	l.url = s.URL + "/announce"
	return l
}

// events returns the announces with an event, each as "event left downloaded".
func (l *ledger) events() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range l.told {
		if e := q.Get("event"); e != "" {
			all = append(all, fmt.Sprintf("%s left=%s downloaded=%s", e, q.Get("left"), q.Get("downloaded")))
		}
	}
	return all
}

// await waits until the tracker was told exactly these events.
func (l *ledger) await(t *testing.T, want ...string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		got := l.events()
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		select {
		case <-l.news:
		case <-deadline:
			t.Fatalf("the tracker was told %q, not %q", got, want)
		}
	}
}

// heard waits until a torrent has the answer to its latest announce.
func heard(t *testing.T, tor *Torrent) {
	t.Helper()
	now := time.Now()
	await(t, tor, "the tracker's answer", func(p *download.Progress) bool {
		return p.At.After(now) && len(p.Trackers) == 1 && !p.Trackers[0].NextAnnounce.IsZero()
	})
}

func stop(t *testing.T, tor *Torrent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := tor.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestASeedThatStartsIsAnnouncedAsComplete(t *testing.T) {
	l := newLedger(t)
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, 16<<10, l.url)
	tor, err := newTestEngine(t, Config{}).Add(Spec{
		Metainfo: m, Dir: filepath.Dir(root), Seeding: download.Seeding{Policy: download.SeedForever},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.await(t, "started left=0 downloaded=0")
	await(t, tor, "seeding", is(download.StateSeeding))
	heard(t, tor)
	stop(t, tor)
	l.await(t, "started left=0 downloaded=0", "stopped left=0 downloaded=0")
}

func TestEachAnnouncedSessionCountsByItselfAndCompletesOnce(t *testing.T) {
	l := newLedger(t)
	root := content{"data": 1 << 20}.write(t, "content")
	from := seed(t, root, create(t, root, 16<<10, ""))
	m := create(t, root, 16<<10, l.url)
	tor, err := newTestEngine(t, Config{}).Add(Spec{
		Metainfo: m, Dir: t.TempDir(), Peers: []string{from.addr()}, Seeding: download.Seeding{Policy: download.SeedForever},
	})
	if err != nil {
		t.Fatal(err)
	}
	first := []string{"started left=1048576 downloaded=0", "completed left=0 downloaded=1048576"}
	l.await(t, first...)
	heard(t, tor)
	tor.Verify()
	second := append(slices.Clone(first), "stopped left=0 downloaded=1048576", "started left=0 downloaded=0")
	l.await(t, second...)
	heard(t, tor)
	stop(t, tor)
	l.await(t, append(second, "stopped left=0 downloaded=0")...)
}

// newUDPTracker runs our tracker over UDP on loopback and returns its announce
// URL.
func newUDPTracker(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- tracker.NewServer(time.Second, nil).ServeUDP(conn) }()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return fmt.Sprintf("udp://%s/announce", conn.LocalAddr())
}

func TestPeersFindEachOtherByAUDPTracker(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, 16<<10, newUDPTracker(t))
	from, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, from, "seeding", is(download.StateSeeding))
	heard(t, from)
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir(), Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	p := await(t, tor, "completion", is(download.StateSeeding))
	if tr := p.Trackers[0]; tr.Seeds < 1 || tr.LastError != "" {
		t.Errorf("the tracker is %+v", tr)
	}
	// It is told that one has completed, and at the end that both are gone.
	await(t, tor, "two seeds", func(p *download.Progress) bool { return p.Trackers[0].Seeds == 2 })
	stop(t, tor)
	await(t, from, "one seed", func(p *download.Progress) bool { return p.Trackers[0].Seeds == 1 && p.Trackers[0].Peers == 0 })
}

// BEP 27: whoever added a tracker to a private torrent must not have it told of
// the torrent, and the status must not say that it was.
func TestAPrivateTorrentIsToldToItsOwnTrackersAlone(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	for _, c := range []struct {
		name         string
		private, own bool
		asked        bool
	}{
		{"private", true, true, false},
		{"private, but without a tracker", true, false, true},
		{"public", false, true, true},
	} {
		own, added := newLedger(t), newLedger(t)
		o := metainfo.CreateOptions{PieceLength: 16 << 10, Private: c.private}
		if c.own {
			o.Announce = [][]string{{own.url}}
		}
		m, err := metainfo.Create(t.Context(), root, o)
		if err != nil {
			t.Fatal(err)
		}
		seeding := download.Seeding{Policy: download.SeedForever}
		tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Trackers: []string{added.url}, Seeding: seeding})
		if err != nil {
			t.Fatal(err)
		}
		listed := 0
		if c.own {
			own.await(t, "started left=0 downloaded=0")
			listed++
		}
		tor.Update(Update{Trackers: []string{added.url, added.url + "2"}, Seeding: seeding})
		if c.asked {
			added.await(t, "started left=0 downloaded=0", "started left=0 downloaded=0")
			listed += 2
		}
		await(t, tor, "all trackers to have answered", func(p *download.Progress) bool {
			for _, tr := range p.Trackers {
				if tr.NextAnnounce.IsZero() {
					return false
				}
			}
			return len(p.Trackers) == listed
		})
		stop(t, tor)
		if told := added.events(); len(told) > 0 && !c.asked {
			t.Errorf("%s: the tracker that was added was told %q", c.name, told)
		}
	}
}
