package webseed

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func TestASeedSaysThatItHasEverythingAndChokesNobody(t *testing.T) {
	p := newPayload(t, file{"", 100_000})
	w := newWorld(t, p)
	if err := w.get(p.seed(t, p.serve(t, nil).URL), p.blocks()); err != nil {
		t.Fatal(err)
	}
	if len(w.said) != 2 || w.said[0].ID != wire.HaveAll || w.said[1].ID != wire.Unchoke {
		t.Errorf("it said %v", w.said)
	}
}

// One request goes first. When it has shown that there are ranges, neighbours
// across pieces are asked for together, file by file.
func TestNeighboursAreAskedForTogether(t *testing.T) {
	p := newPayload(t, file{"a", 100_000}, file{"b", 3 << 20}, file{"c", 0}, file{"d", 5})
	var l journal
	w := newWorld(t, p)
	c, stop := w.run(p.seed(t, p.serve(t, l.through).URL))
	c.Send(p.blocks(0)...)
	if err := w.await(4); err != nil {
		t.Fatal(err)
	}
	rest := p.blocks()[4:]
	c.Send(rest...)
	if err := w.await(4 + len(rest)); err != nil {
		t.Fatal(err)
	}
	stop()
	got := l.ranges()
	if got[0] != "/content/a 0-65535" {
		t.Errorf("the first request is %s", got[0])
	}
	slices.Sort(got)
	// What is left of a is less than a quarter of what is asked for.
	if got[1] != "/content/a 65536-99999" || !strings.HasPrefix(got[2], "/content/b 0-") || got[len(got)-1] != "/content/d 0-4" || len(got) > 8 {
		t.Errorf("it asked for %q", got)
	}
}

func TestARunIsAFairShareWithinBounds(t *testing.T) {
	p := newPayload(t, file{"", 80 << 20})
	s := p.seed(t, "http://h/")
	all := p.blocks()
	for _, c := range []struct {
		queue []wire.Message
		jobs  int
		want  int // Blocks.
	}{
		{all[:1], 0, 1},
		{all[:16], 0, 16}, // 256 KiB are not split.
		{all[:128], 0, 32},
		{all[:128], 3, 128},
		{all, 3, maxRange / (16 << 10)},
		{append(slices.Clone(all[:3]), all[4:100]...), 3, 3}, // A gap ends a run.
		{append(slices.Clone(all[10:12]), all[:100]...), 3, 2},
	} {
		conn := s.Connect(nil)
		conn.queue, conn.jobs = c.queue, make([]*job, c.jobs)
		if got := len(conn.run()); got != c.want {
			t.Errorf("of %d blocks beside %d jobs: %d, want %d", len(c.queue), c.jobs, got, c.want)
		}
	}
}

func TestSeveralRequestsRunAtOnceOverFewConnectionsThatStayOpen(t *testing.T) {
	p := newPayload(t, file{"", 8 << 20})
	var opened, running, most atomic.Int64
	together := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
			if n == connections {
				close(together)
			}
		}
		if r.Header.Get("Range") != "bytes=0-16383" {
			<-together
		}
		http.FileServer(http.Dir(p.dir)).ServeHTTP(w, r)
		running.Add(-1)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	w := newWorld(t, p)
	c, stop := w.run(p.seed(t, s.URL))
	c.Send(p.blocks()[0])
	if err := w.await(1); err != nil {
		t.Fatal(err)
	}
	blocks := p.blocks()[1:]
	for at := 0; at < len(blocks); at += 100 { // Many requests one after the other.
		c.Send(blocks[at:min(at+100, len(blocks))]...)
		if err := w.await(1 + min(at+100, len(blocks))); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if most.Load() != connections || opened.Load() > connections+1 {
		t.Errorf("%d requests at once over %d connections", most.Load(), opened.Load())
	}
}

func TestTheFirstRequestGoesAlone(t *testing.T) {
	p := newPayload(t, file{"", 8 << 20})
	var running, most atomic.Int64
	proven := make(chan struct{})
	web := p.serve(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := running.Add(1)
			select {
			case <-proven:
			default:
				most.Store(max(most.Load(), n))
			}
			h.ServeHTTP(w, r)
		})
	})
	s := p.seed(t, web.URL, func(c *Config) {
		next := c.Transport
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			select {
			case <-proven:
			default:
				close(proven)
			}
			return resp, err
		})
	})
	if err := newWorld(t, p).get(s, p.blocks()); err != nil {
		t.Fatal(err)
	}
	if most.Load() != 1 {
		t.Errorf("%d requests before the first answer", most.Load())
	}
}

func TestHTTPSWithAnOwnCA(t *testing.T) {
	p := newPayload(t, file{"", 300_000})
	s := httptest.NewTLSServer(http.FileServer(http.Dir(p.dir)))
	defer s.Close()
	w := newWorld(t, p)
	w.fails(p.seed(t, s.URL), failed, "certificate")
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})) {
		t.Fatal("no certificate")
	}
	err := w.get(p.seed(t, s.URL, func(c *Config) { c.Transport.(*http.Transport).TLSClientConfig.RootCAs = pool }), p.blocks())
	if err != nil {
		t.Fatal(err)
	}
}

func TestACancelledBlockIsNotAskedFor(t *testing.T) {
	p := newPayload(t, file{"", 1 << 20})
	var l journal
	first, hold := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	web := p.serve(t, func(h http.Handler) http.Handler {
		return l.through(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !once.Swap(true) {
				close(first)
				<-hold
			}
			h.ServeHTTP(w, r)
		}))
	})
	w := newWorld(t, p)
	c, stop := w.run(p.seed(t, web.URL))
	blocks := p.blocks()
	c.Send(blocks[:2]...)
	<-first
	c.Send(blocks[8:16]...)
	for _, i := range []int{1, 8, 9, 10, 12} { // One that is being asked for, and four that wait.
		m := blocks[i]
		m.ID = wire.Cancel
		c.Send(m)
	}
	close(hold)
	if err := w.await(1 + 4); err != nil {
		t.Fatal(err)
	}
	stop()
	slices.Sort(w.order)
	if want := []int64{0, 11 << 14, 13 << 14, 14 << 14, 15 << 14}; !slices.Equal(w.order, want) {
		t.Errorf("blocks at %v came, want those at %v", w.order, want)
	}
	got := l.ranges()
	slices.Sort(got)
	if want := []string{"/content 0-32767", "/content 180224-196607", "/content 212992-262143"}; !slices.Equal(got, want) {
		t.Errorf("it asked for %q, want %q", got, want)
	}
}

func TestARequestOfWhichNothingIsWantedAnyMoreIsGivenUp(t *testing.T) {
	p := newPayload(t, file{"", 8 << 20})
	cancelled, ended := make(chan struct{}), make(chan struct{})
	web := p.serve(t, answering(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", p.partial(r, nil).Header.Get("Content-Range"))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(p.bytes[:20_000]) //nolint:errcheck // As the next one.
		w.(http.Flusher).Flush()
		<-cancelled
		w.Write(p.bytes[20_000:50_000]) //nolint:errcheck // It may hang up.
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(ended)
	}))
	w := newWorld(t, p)
	c, stop := w.run(p.seed(t, web.URL))
	blocks := p.blocks()[:16] // So few are one request.
	c.Send(blocks...)
	if err := w.await(1); err != nil {
		t.Fatal(err)
	}
	for _, m := range blocks[2:] { // The second has begun.
		m.ID = wire.Cancel
		c.Send(m)
	}
	close(cancelled)
	<-ended
	if err := w.await(2); err != nil {
		t.Fatal(err)
	}
	stop()
}

func TestBlocksThatAreNotWantedAreReadPast(t *testing.T) {
	p := newPayload(t, file{"a", 100_000}, file{"b", 200_000})
	w := newWorld(t, p)
	w.there[16<<10], w.there[96<<10] = true, true
	if err := w.get(p.seed(t, p.serve(t, nil).URL), p.blocks()); err != nil {
		t.Fatal(err)
	}
}

func TestMoreRequestsThanAreAllowedEndTheConnection(t *testing.T) {
	p := newPayload(t, file{"", 20_000})
	for n, ok := range map[int]bool{maxQueue - 1: true, maxQueue: true, maxQueue + 1: false} {
		c := p.seed(t, "http://h/").Connect(nil)
		c.Send(slices.Repeat(p.blocks()[:1], n)...)
		if ok != (c.ended == nil) {
			t.Errorf("%d requests: it ended with %v", n, c.ended)
		}
	}
}

// A server that refuses what comes beside another request is asked for less at
// once, down to one thing after the other.
func TestAServerThatTakesFewRequestsAtOnceGetsFew(t *testing.T) {
	p := newPayload(t, file{"", 4 << 20})
	start := func(atOnce int, hold bool) *Seed {
		var running atomic.Int64
		crowded := make(chan struct{}, connections)
		web := p.serve(t, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer running.Add(-1)
				if running.Add(1) > 1 {
					w.WriteHeader(http.StatusTooManyRequests)
					crowded <- struct{}{}
					return
				}
				if hold {
					select {
					case <-crowded:
					case <-r.Context().Done():
					}
				}
				h.ServeHTTP(w, r)
			})
		})
		s := p.seed(t, web.URL)
		s.proven, s.atOnce = true, atOnce
		return s
	}
	for atOnce, want := range map[int]int{4: 2, 3: 1, 2: 1} {
		s := start(atOnce, true)
		if s.After(newWorld(t, p).failure(s, busy, "429")); s.atOnce != want {
			t.Errorf("after %d things at once it is asked for %d, want %d", atOnce, s.atOnce, want)
		}
	}
	s := start(1, false)
	if err := newWorld(t, p).get(s, p.blocks()); err != nil {
		t.Error(err)
	}
	if s.After(&Error{kind: busy}); s.atOnce != 1 {
		t.Errorf("in the end it is asked for %d things at once", s.atOnce)
	}
}
