package engine

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
)

// webServer serves the folder in which root is, in the way that through makes of
// an honest server.
func webServer(t *testing.T, root string, through func(honest http.Handler) http.Handler) *httptest.Server {
	t.Helper()
	h := http.FileServer(http.Dir(filepath.Dir(root)))
	if through != nil {
		h = through(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// noRanges makes a server ignore ranges, and counts requests by path.
func noRanges(counts *sync.Map) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := counts.LoadOrStore(r.URL.Path, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
			r.Header.Del("Range")
			h.ServeHTTP(w, r)
		})
	}
}

// liar flips one byte of each answer.
func liar(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&flipping{ResponseWriter: w}, r)
	})
}

// hangingUp ends the connection after some bytes.
type hangingUp struct {
	http.ResponseWriter
	after int
}

func (h *hangingUp) Write(p []byte) (int, error) {
	if h.after -= len(p); h.after < 0 {
		panic(http.ErrAbortHandler)
	}
	return h.ResponseWriter.Write(p)
}

type flipping struct {
	http.ResponseWriter
	done bool
}

func (f *flipping) Write(p []byte) (int, error) {
	if !f.done && len(p) > 0 {
		p, f.done = bytes.Clone(p), true
		p[0]++
	}
	return f.ResponseWriter.Write(p)
}

func TestATorrentWithoutPeersCompletesFromItsWebSeedAlone(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   content
		through func(http.Handler) http.Handler
	}{
		{"many files with odd ends", content{"a/one": 300_001, "a b/ü+%/two": 1, "empty": 0, "three": 3_000_000, "zero/last": 0}, nil},
		{"one small piece", content{"tiny": 11}, nil},
		{"many small files", content{"1": 20_000, "2": 10, "3": 16 << 10, "4": 70_000, "5": 1, "6": 5}, nil},
		{"no ranges", content{"a/one": 300_001, "two": 1, "empty": 0, "three": 3_000_000}, noRanges(new(sync.Map))},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := c.files.write(t, "content")
			m := create(t, root, 64<<10, "")
			dir := t.TempDir()
			tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: dir, WebSeeds: []string{webServer(t, root, c.through).URL + "/"}})
			if err != nil {
				t.Fatal(err)
			}
			p := await(t, tor, "the download", is(download.StateComplete))
			sameTree(t, root, filepath.Join(dir, "content"))
			if p.BytesDownloaded != m.Info.Length || p.BytesWasted != 0 {
				t.Errorf("%d bytes downloaded, %d wasted, of %d", p.BytesDownloaded, p.BytesWasted, m.Info.Length)
			}
		})
	}
}

func TestAURLListInTheTorrentIsUsed(t *testing.T) {
	root := content{"content.bin": 1 << 20}.write(t, "folder")
	m, err := metainfo.Create(t.Context(), filepath.Join(root, "content.bin"), metainfo.CreateOptions{
		PieceLength: 64 << 10, URLList: []string{"ftp://127.0.0.1/content.bin", webServer(t, filepath.Join(root, "content.bin"), nil).URL + "/content.bin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateComplete))
}

func TestPaddingIsNotAskedForOfAWebSeed(t *testing.T) {
	root := content{"a": 100_000, "b": 1, "c": 200_001}.write(t, "content")
	m, err := metainfo.Create(t.Context(), root, metainfo.CreateOptions{PieceLength: 64 << 10, Pad: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, through := range []func(http.Handler) http.Handler{nil, noRanges(new(sync.Map))} {
		web := webServer(t, root, func(h http.Handler) http.Handler {
			if through != nil {
				h = through(h)
			}
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "pad") {
					t.Errorf("asked for %s", r.URL.Path)
				}
				h.ServeHTTP(w, r)
			})
		})
		dir := t.TempDir()
		tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: dir, WebSeeds: []string{web.URL}})
		if err != nil {
			t.Fatal(err)
		}
		await(t, tor, "the download", is(download.StateComplete))
		sameTree(t, root, filepath.Join(dir, "content"))
	}
}

func TestAServerWithoutRangesSendsEachFileOnce(t *testing.T) {
	root := content{"a": 1 << 20, "b": 3 << 20, "c": 100}.write(t, "content")
	m := create(t, root, 256<<10, "")
	var counts sync.Map
	web := webServer(t, root, noRanges(&counts))
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir(), WebSeeds: []string{web.URL}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateComplete))
	extra := int64(0)
	counts.Range(func(_, n any) bool {
		extra += n.(*atomic.Int64).Load() - 1
		return true
	})
	if extra > 1 { // By the first request it was found out.
		t.Errorf("%d requests more than there are files", extra)
	}
}

func TestAWebSeedThatLiesIsBanned(t *testing.T) {
	root := content{"data": 4 << 20}.write(t, "content")
	m := create(t, root, 256<<10, "")
	var log lockedBuffer
	e := newTestEngine(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	lies := webServer(t, root, liar).URL + "/secret-passkey/../"
	tor, err := e.Add(Spec{Metainfo: m, Dir: t.TempDir(), WebSeeds: []string{lies}, StallTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p := await(t, tor, "the liar's ban", func(p *download.Progress) bool {
		return p.State == download.StateStalled && p.Err.Reason == download.ReasonCorruptPeers
	})
	if len(p.WebSeeds) != 1 || !strings.Contains(p.WebSeeds[0].LastError, "does not match") {
		t.Errorf("web seeds %+v", p.WebSeeds)
	}
	tor.Update(Update{WebSeeds: []string{lies, webServer(t, root, nil).URL}})
	await(t, tor, "the download from an honest one", is(download.StateComplete))
	if strings.Contains(log.String(), "passkey") {
		t.Errorf("the log tells a secret:\n%s", log.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Beside a peer that is slow but honest, whatever a web seed does the download
// completes.
func TestABadWebSeedHoldsUpNobody(t *testing.T) {
	says := func(status int, name, value string) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(name, value)
				w.WriteHeader(status)
				w.Write(make([]byte, 1<<20)) //nolint:errcheck // It may hang up.
			})
		}
	}
	for name, through := range map[string]func(http.Handler) http.Handler{
		"lies":                      liar,
		"has no such file":          says(404, "X", ""),
		"has a shorter file":        says(416, "X", ""),
		"is busy":                   says(503, "Retry-After", "3600"),
		"wants less":                says(429, "Retry-After", "1"),
		"sends another range":       says(206, "Content-Range", "bytes 7-1048582/4194304"),
		"sends a page in its stead": says(200, "Content-Type", "text/html"),
		"redirects to itself":       says(302, "Location", "/content/data"),
		"breaks off": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(&hangingUp{ResponseWriter: w, after: 100_000}, r)
			})
		},
		"dies": func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
		},
		"knows no ranges": noRanges(new(sync.Map)),
		"trickles": func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Range", strings.Replace(r.Header.Get("Range"), "=", " ", 1)+"/4194304")
				w.WriteHeader(http.StatusPartialContent)
				for r.Context().Err() == nil {
					w.Write([]byte{0}) //nolint:errcheck // The test is over.
					w.(http.Flusher).Flush()
					time.Sleep(10 * time.Millisecond)
				}
			})
		},
		"says nothing": func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := content{"data": 4 << 20}.write(t, "content")
			m := create(t, root, 256<<10, "")
			from := seed(t, root, m)
			dir := t.TempDir()
			tor, err := newTestEngine(t, Config{}).Add(Spec{
				Metainfo: m, Dir: dir, Peers: []string{from.addr()}, WebSeeds: []string{webServer(t, root, through).URL},
			})
			if err != nil {
				t.Fatal(err)
			}
			await(t, tor, "the download", is(download.StateComplete))
			sameTree(t, root, filepath.Join(dir, "content"))
		})
	}
}

func TestAWebSeedThatCantDeliverSaysWhy(t *testing.T) {
	answer := func(status int) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })
		}
	}
	for name, c := range map[string]struct {
		through func(http.Handler) http.Handler
		guard   *transport.Guard
		reason  string
		message string
	}{
		"not found":   {answer(404), nil, download.ReasonWebSeedUnavailable, "404 Not Found for content/"},
		"forbidden":   {answer(403), nil, download.ReasonWebSeedUnavailable, "403 Forbidden"},
		"overloaded":  {answer(503), nil, download.ReasonWebSeedUnavailable, "503 Service Unavailable"},
		"not allowed": {nil, &transport.Guard{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, download.ReasonAddressDenied, "--allow-cidrs"},
		"one file is missing": {func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/other") {
					w.WriteHeader(http.StatusGone)
					return
				}
				h.ServeHTTP(w, r)
			})
		}, nil, download.ReasonWebSeedUnavailable, "410 Gone for content/other"},
	} {
		t.Run(name, func(t *testing.T) {
			root := content{"data": 512 << 10, "other": 64 << 10}.write(t, "content")
			m := create(t, root, 64<<10, "")
			web := webServer(t, root, c.through)
			tor, err := newTestEngine(t, Config{Guard: c.guard}).Add(Spec{
				Metainfo: m, Dir: t.TempDir(), WebSeeds: []string{web.URL + "/?passkey=secret"}, StallTimeout: 50 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			p := await(t, tor, "the reason", func(p *download.Progress) bool { return p.Err != nil && p.Err.Reason == c.reason })
			if !strings.Contains(p.Err.Message, c.message) || strings.Contains(p.Err.Message, "secret") || name != "not allowed" && !strings.Contains(p.Err.Message, web.URL) {
				t.Errorf("it says %q", p.Err.Message)
			}
			if name == "one file is missing" && p.BytesVerified != 512<<10 {
				t.Errorf("%d bytes are there", p.BytesVerified)
			}
		})
	}
}

func TestAWebSeedIsShownAmongThePeers(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	asked, hold := make(chan struct{}, 100), make(chan struct{})
	web := webServer(t, root, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-hold
			h.ServeHTTP(w, r)
		})
	})
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir(), WebSeeds: []string{web.URL + "/"}})
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	await(t, tor, "a peer", func(p *download.Progress) bool { return p.Peers.Connected == 1 })
	if peers := tor.Peers(); len(peers) != 1 || peers[0].Client != web.URL || peers[0].Source != "webseed" || !peers[0].Seed {
		t.Errorf("peers %+v", peers)
	}
	close(hold)
	await(t, tor, "the download", is(download.StateComplete))
}

func TestWhatAWebSeedSendsIsWithinTheLimits(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	began := time.Now()
	tor, err := newTestEngine(t, Config{DownloadBytesPerSecond: 8 << 20}).Add(Spec{
		Metainfo: m, Dir: t.TempDir(), WebSeeds: []string{webServer(t, root, nil).URL}, Limits: download.Limits{DownloadBytesPerSecond: 2 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateComplete))
	if least := 400 * time.Millisecond; time.Since(began) < least { // A tenth of a second's worth may come at once.
		t.Errorf("1 MiB at 2 MiB/s took %v", time.Since(began))
	}
}

func TestADownloadFromAWebSeedGoesOnWhereItWas(t *testing.T) {
	root := content{"data": 4 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	dir := t.TempDir()
	var served atomic.Int64
	web := webServer(t, root, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var first, last int64
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last) //nolint:errcheck // Then it is 0.
			served.Add(last - first + 1)
			h.ServeHTTP(w, r)
		})
	})
	e := newTestEngine(t, Config{})
	spec := Spec{Metainfo: m, Dir: dir, WebSeeds: []string{web.URL}, Limits: download.Limits{DownloadBytesPerSecond: 4 << 20}}
	tor, err := e.Add(spec)
	if err != nil {
		t.Fatal(err)
	}
	half := await(t, tor, "half of it", func(p *download.Progress) bool { return p.BytesVerified > 1<<20 })
	if err := tor.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := served.Swap(0)
	spec.Limits = download.Limits{}
	if tor, err = e.Add(spec); err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the rest", is(download.StateComplete))
	if again := served.Load(); again > m.Info.Length-half.BytesVerified {
		t.Errorf("%d bytes were asked for first, %d verified, and then %d asked for", first, half.BytesVerified, again)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

func TestWebSeedsHaveAnEnd(t *testing.T) {
	root := content{"data": 100_000}.write(t, "content")
	m := create(t, root, 64<<10, "")
	web := webServer(t, root, func(http.Handler) http.Handler { return http.NotFoundHandler() })
	e := newTestEngine(t, Config{})
	for n, want := range map[int]int{maxWebSeeds - 1: maxWebSeeds - 1, maxWebSeeds: maxWebSeeds, maxWebSeeds + 1: maxWebSeeds} {
		spec := Spec{Metainfo: m, Dir: t.TempDir()}
		for k := range n {
			spec.WebSeeds = append(spec.WebSeeds, fmt.Sprintf("%s/%d/", web.URL, k))
		}
		tor, err := e.Add(spec)
		if err != nil {
			t.Fatal(err)
		}
		p := await(t, tor, "web seeds", func(p *download.Progress) bool { return len(p.WebSeeds) > 0 })
		if len(p.WebSeeds) != want {
			t.Errorf("of %d web seeds %d are used", n, len(p.WebSeeds))
		}
		if err := tor.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWebSeedThatIsNotNamedAnyMoreIsLeft(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	left := make(chan struct{})
	web := webServer(t, root, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(left)
		})
	})
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: t.TempDir(), WebSeeds: []string{web.URL}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the web seed", func(p *download.Progress) bool { return p.Peers.Connected == 1 })
	tor.Update(Update{WebSeeds: []string{webServer(t, root, nil).URL}})
	<-left
	await(t, tor, "the download", is(download.StateComplete))
}

func TestTheWebSeedsOfAMagnetLinkAreUsed(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	slow := newTestEngine(t, Config{UploadBytesPerSecond: 1}) // It gives the metadata, and next to nothing else.
	tor, err := slow.Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the seed to check its data", is(download.StateSeeding))
	link := magnetOf(m, slow)
	link.WebSeeds = []string{webServer(t, root, nil).URL + "/"}
	dir := t.TempDir()
	if tor, err = newTestEngine(t, Config{}).Add(Spec{Magnet: link, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateComplete))
	sameTree(t, root, filepath.Join(dir, "content"))
}
