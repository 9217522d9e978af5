package tracker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// clock is a hand-moved clock for a server.
type clock struct{ now time.Time }

func newTestServer(t *testing.T) (*Server, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	return NewServer(30*time.Minute, func() time.Time { return c.now }), c
}

// ask sends a request from an address straight to the handler.
func ask(t *testing.T, s *Server, from, target string) (status int, body string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// announced is an announce of peer number n from an address of its own.
func announced(t *testing.T, s *Server, n int, params string) Reply {
	t.Helper()
	from := fmt.Sprintf("10.0.%d.%d:40000", n/256, n%256)
	_, body := ask(t, s, from, fmt.Sprintf("/announce?info_hash=%s&peer_id=%020d&port=%d&%s", strings.Repeat("h", 20), n, 1000+n, params))
	r, err := parseReply([]byte(body))
	if err != nil {
		t.Fatalf("peer %d, %s: %v", n, params, err)
	}
	return r
}

func ports(r Reply) []int {
	var out []int
	for _, a := range r.Addrs {
		out = append(out, int(a.Port())-1000)
	}
	slices.Sort(out)
	return out
}

func TestPeersHearOfEachOtherAndSeedsNotOfSeeds(t *testing.T) {
	s, _ := newTestServer(t)
	announced(t, s, 1, "left=0&event=started")
	announced(t, s, 2, "left=0")
	announced(t, s, 3, "left=5")
	if r := announced(t, s, 4, "left=5"); !slices.Equal(ports(r), []int{1, 2, 3}) || r.Seeds != 2 || r.Peers != 2 {
		t.Errorf("a leecher gets %v, %d seeds, %d others", ports(r), r.Seeds, r.Peers)
	}
	if r := announced(t, s, 1, "left=0"); !slices.Equal(ports(r), []int{3, 4}) {
		t.Errorf("a seed gets %v", ports(r))
	}
	if r := announced(t, s, 3, "left=0&event=completed"); !slices.Equal(ports(r), []int{4}) || r.Seeds != 3 || r.Peers != 1 {
		t.Errorf("one that has completed gets %v, %d seeds, %d others", ports(r), r.Seeds, r.Peers)
	}
	if r := announced(t, s, 1, "left=0&event=stopped"); len(r.Addrs) != 0 || r.Seeds != 2 {
		t.Errorf("one that stops gets %v, %d seeds", ports(r), r.Seeds)
	}
	if r := announced(t, s, 4, "left=5"); !slices.Equal(ports(r), []int{2, 3}) {
		t.Errorf("a leecher gets %v after one has stopped", ports(r))
	}
	if r := announced(t, s, 2, "left=0"); r.Interval != 30*time.Minute || r.MinInterval != 15*time.Minute {
		t.Errorf("intervals %v and %v", r.Interval, r.MinInterval)
	}
}

func TestWhoDoesNotSayWhatIsLeftIsNoSeed(t *testing.T) {
	s, _ := newTestServer(t)
	for i, params := range []string{"", "left=-1", "left=many", "left=18446744073709551615"} {
		if r := announced(t, s, i+1, params); r.Seeds != 0 || r.Peers != i+1 {
			t.Errorf("%q: %d seeds, %d others", params, r.Seeds, r.Peers)
		}
	}
}

func TestNumWantBoundsTheReply(t *testing.T) {
	s, _ := newTestServer(t)
	for n := range 2 * serverMaxNumWant {
		announced(t, s, n+1, "left=1&numwant=0")
	}
	for params, want := range map[string]int{
		"": serverNumWant, "&numwant=0": 0, "&numwant=7": 7, "&numwant=-1": serverNumWant, "&numwant=x": serverNumWant,
		"&numwant=199": 199, "&numwant=200": 200, "&numwant=201": 200, "&numwant=999999999": 200,
	} {
		r := announced(t, s, 1, "left=1"+params)
		if got := ports(r); len(got) != want || slices.Contains(got, 1) || len(slices.Compact(got)) != want {
			t.Errorf("%q: %d peers, want %d", params, len(got), want)
		}
	}
}

func TestPeersAreChosenAtRandom(t *testing.T) {
	s, _ := newTestServer(t)
	for n := range 100 {
		announced(t, s, n+1, "left=1&numwant=0")
	}
	seen := map[int]int{}
	for range 200 {
		for _, p := range ports(announced(t, s, 1, "left=1&numwant=10")) {
			seen[p]++
		}
	}
	for n := 2; n <= 100; n++ {
		if seen[n] < 3 || seen[n] > 60 { // 20 on average.
			t.Errorf("peer %d was given out %d times", n, seen[n])
		}
	}
}

func TestBEP23CompactUnlessRefused(t *testing.T) {
	s, _ := newTestServer(t)
	ask(t, s, "10.0.0.1:5", "/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=aaaaaaaaaaaaaaaaaaaa&port=6881&left=1")
	ask(t, s, "[2001:db8::1]:5", "/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6882&left=1")
	q := "/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=cccccccccccccccccccc&port=6883&left=1"
	for params, parts := range map[string][]string{
		"":                        {"5:peers6:\x0a\x00\x00\x01\x1a\xe1", "6:peers618:\x20\x01\x0d\xb8"},
		"&compact=1":              {"5:peers6:\x0a\x00\x00\x01\x1a\xe1", "6:peers618:\x20\x01\x0d\xb8"},
		"&compact=0":              {"d2:ip8:10.0.0.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti6881ee", "d2:ip11:2001:db8::17:peer id20:bbbbbbbbbbbbbbbbbbbb4:porti6882ee"},
		"&compact=0&no_peer_id=1": {"d2:ip8:10.0.0.14:porti6881ee", "d2:ip11:2001:db8::14:porti6882ee"},
	} {
		_, body := ask(t, s, "10.0.0.3:5", q+params)
		for _, part := range parts {
			if !strings.Contains(body, part) {
				t.Errorf("%q: %q is not in %q", params, part, body)
			}
		}
		r, err := parseReply([]byte(body))
		if err != nil || len(r.Addrs) != 2 {
			t.Errorf("%q: our own client reads %v, %v", params, r.Addrs, err)
		}
	}
}

func TestThePeerIsWhereItConnectsFrom(t *testing.T) {
	s, _ := newTestServer(t)
	ask(t, s, "[::ffff:10.0.0.1]:5", "/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=aaaaaaaaaaaaaaaaaaaa&port=6881&left=1&ip=1.2.3.4&ipv4=1.2.3.4&ipv6=::9")
	_, body := ask(t, s, "10.0.0.2:5", "/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881&left=1")
	r, err := parseReply([]byte(body))
	if want := addrs("10.0.0.1:6881"); err != nil || !slices.Equal(r.Addrs, want) {
		t.Errorf("%v, want %v (%v)", r.Addrs, want, err)
	}
	// Nobody else can end it, nor does a client that starts anew count twice.
	ask(t, s, "10.0.0.9:5", "/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=aaaaaaaaaaaaaaaaaaaa&port=6881&event=stopped")
	ask(t, s, "10.0.0.1:9", "/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=zzzzzzzzzzzzzzzzzzzz&port=6881&left=1")
	_, body = ask(t, s, "10.0.0.2:5", "/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881&left=1")
	if r, err = parseReply([]byte(body)); err != nil || len(r.Addrs) != 1 || r.Peers != 2 {
		t.Errorf("%+v (%v)", r, err)
	}
}

func TestWrongAnnouncesGetAReason(t *testing.T) {
	s, _ := newTestServer(t)
	const hash, id = "info_hash=hhhhhhhhhhhhhhhhhhhh", "&peer_id=aaaaaaaaaaaaaaaaaaaa"
	for target, want := range map[string]string{
		"/announce": "info_hash must have 20 bytes",
		"/announce?info_hash=short" + id + "&port=1":         "info_hash must have 20 bytes",
		"/announce?" + hash + "&port=1":                      "peer_id must have 20 bytes",
		"/announce?" + hash + id:                             "port must be a number",
		"/announce?" + hash + id + "&port=0":                 "port must be a number",
		"/announce?" + hash + id + "&port=65536":             "port must be a number",
		"/announce?" + hash + id + "&port=1&a=%zz":           "malformed",
		"/announce?" + strings.Repeat("a", serverMaxQuery+1): "too long",
		"/scrape?info_hash=short":                            "info_hash must have 20 bytes",
	} {
		status, body := ask(t, s, "10.0.0.1:5", target)
		if status != http.StatusOK || !strings.HasPrefix(body, "d14:failure reason") || !strings.Contains(body, want) {
			t.Errorf("%.60s: %d %q", target, status, body)
		}
	}
	if status, _ := ask(t, s, "10.0.0.1:5", "/other"); status != http.StatusNotFound {
		t.Errorf("another path: %d", status)
	}
	if _, body := ask(t, s, "@", "/announce?"+hash+id+"&port=1"); !strings.Contains(body, "can't tell your address") {
		t.Errorf("no address: %q", body)
	}
	if len(s.registry.torrents) != 0 {
		t.Errorf("wrong announces are remembered")
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/announce", nil)
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestPeersThatAreSilentAreForgotten(t *testing.T) {
	s, c := newTestServer(t)
	announced(t, s, 1, "left=0")
	announced(t, s, 2, "left=1")
	c.now = c.now.Add(time.Hour)
	if r := announced(t, s, 2, "left=1"); !slices.Equal(ports(r), []int{1}) {
		t.Errorf("after two intervals: %v", ports(r))
	}
	c.now = c.now.Add(10 * time.Minute)
	if r := announced(t, s, 2, "left=1"); len(r.Addrs) != 0 || r.Seeds != 0 || r.Peers != 1 {
		t.Errorf("after more: %v, %d seeds", ports(r), r.Seeds)
	}
	c.now = c.now.Add(3 * time.Hour)
	ask(t, s, "10.0.0.1:5", "/announce?info_hash=iiiiiiiiiiiiiiiiiiii&peer_id=aaaaaaaaaaaaaaaaaaaa&port=1&left=1")
	if len(s.registry.torrents) != 1 || s.registry.peers != 1 {
		t.Errorf("%d torrents and %d peers are remembered, want 1 and 1", len(s.registry.torrents), s.registry.peers)
	}
}

// With an interval that no client follows, peers are known all the same.
func TestPeersAreKnownForAsLongAsClientsTake(t *testing.T) {
	c := &clock{now: time.Unix(1_700_000_000, 0)}
	s := NewServer(time.Second, func() time.Time { return c.now })
	announced(t, s, 1, "left=0")
	c.now = c.now.Add(2 * shortest)
	if r := announced(t, s, 2, "left=1"); !slices.Equal(ports(r), []int{1}) {
		t.Errorf("after two of the shortest intervals: %v", ports(r))
	}
	c.now = c.now.Add(shortest)
	if r := announced(t, s, 2, "left=1"); len(r.Addrs) != 0 {
		t.Errorf("after three: %v", ports(r))
	}
}

func TestBEP48Scrape(t *testing.T) {
	s, _ := newTestServer(t)
	announced(t, s, 1, "left=0")
	announced(t, s, 2, "left=1")
	announced(t, s, 2, "left=0&event=completed")
	announced(t, s, 2, "left=0&event=completed") // Said twice, done once.
	announced(t, s, 3, "left=1")
	h := strings.Repeat("h", 20)
	want := "d5:filesd20:" + h + "d8:completei2e10:downloadedi1e10:incompletei1eeee"
	for _, target := range []string{"/scrape", "/scrape?info_hash=" + h, "/scrape?info_hash=" + strings.Repeat("x", 20) + "&info_hash=" + h} {
		if _, body := ask(t, s, "10.0.0.1:5", target); body != want {
			t.Errorf("%s: %q, want %q", target, body, want)
		}
	}
	if _, body := ask(t, s, "10.0.0.1:5", "/scrape?info_hash="+strings.Repeat("x", 20)); body != "d5:filesdee" {
		t.Errorf("an unknown torrent: %q", body)
	}
	for n := range serverMaxScrape + 10 {
		ask(t, s, "10.0.0.1:5", fmt.Sprintf("/announce?info_hash=%020d&peer_id=aaaaaaaaaaaaaaaaaaaa&port=1&left=1", n))
	}
	_, body := ask(t, s, "10.0.0.1:5", "/scrape")
	v, err := bencode.View([]byte(body), bencode.Limits{Size: 1 << 20, Depth: 8})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, files := range v.Entries() {
		for range files.Entries() {
			count++
		}
	}
	if count != serverMaxScrape {
		t.Errorf("%d torrents in a scrape, want %d", count, serverMaxScrape)
	}
}

func TestTheMemoryOfAServerIsBounded(t *testing.T) {
	g := newRegistry(1, time.Hour)
	now := time.Unix(0, 0)
	hash := func(n int) (h [20]byte) { binary.BigEndian.PutUint64(h[:], uint64(n)); return h }
	for port := range serverAddrPeers + 1 {
		a := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(port+1))
		if _, _, full := g.announce(now, Announce{PeerID: hash(port)}, a, 0, bothKinds); full != (port == serverAddrPeers) {
			t.Fatalf("peer %d of one address: full is %v", port+1, full)
		}
	}
	for n := serverAddrPeers; n <= serverTorrentPeers; n++ {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}), 1)
		if _, _, full := g.announce(now, Announce{PeerID: hash(n)}, a, 0, bothKinds); full != (n == serverTorrentPeers) {
			t.Fatalf("peer %d of one torrent: full is %v", n+1, full)
		}
	}
	peer := netip.MustParseAddrPort("12.0.0.1:1")
	for n := 1; n <= serverTorrents; n++ {
		if _, _, full := g.announce(now, Announce{InfoHash: hash(n)}, peer, 0, bothKinds); full != (n == serverTorrents) {
			t.Fatalf("torrent %d: full is %v", n+1, full)
		}
	}
	if len(g.torrents) != serverTorrents {
		t.Errorf("%d torrents", len(g.torrents))
	}
	g = newRegistry(1, time.Hour)
	g.peers = serverPeers - 1
	for i, want := range []bool{false, true} {
		a := netip.AddrPortFrom(peer.Addr(), uint16(i+1))
		if _, _, full := g.announce(now, Announce{}, a, 0, bothKinds); full != want {
			t.Errorf("peer %d beside the limit of all: full is %v", i, full)
		}
	}
}

func TestAFullServerSaysSoAndAnswersStill(t *testing.T) {
	s, _ := newTestServer(t)
	announced(t, s, 1, "left=0")
	s.registry.peers = serverPeers
	if r := announced(t, s, 2, "left=1"); !slices.Equal(ports(r), []int{1}) || !strings.Contains(r.Warning, "no room") {
		t.Errorf("%+v", r)
	}
}

// Clients and server of this package over real sockets.
func TestSessionsFindEachOtherThroughTheServer(t *testing.T) {
	s := NewServer(time.Minute, nil)
	announces := make(chan struct{}, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r)
		announces <- struct{}{}
	}))
	t.Cleanup(srv.Close)
	client := newTestClient(t)
	found := make(chan []netip.AddrPort, 10)
	start := func(id byte, left int64) *Session {
		return Start(SessionConfig{
			Client: client, Tiers: [][]string{{srv.URL + "/announce"}}, InfoHash: everyByte(0xf0), PeerID: everyByte(id), Port: 1000 + int(id),
			Stats: func() Stats { return Stats{Left: left} }, Found: func(a []netip.AddrPort) { found <- a },
		})
	}
	leecher := start(1, 9)
	defer leecher.Stop(t.Context())
	<-announces
	seed := start(2, 0)
	if got, want := <-found, addrs("127.0.0.1:1001"); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	scraped := func() string {
		hash := everyByte(0xf0)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/scrape?info_hash="+url.QueryEscape(string(hash[:])), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	if got := scraped(); !strings.Contains(got, "d8:completei1e10:downloadedi0e10:incompletei1ee") {
		t.Errorf("scrape: %q", got)
	}
	seed.Stop(t.Context())
	if got := scraped(); !strings.Contains(got, "d8:completei0e10:downloadedi0e10:incompletei1ee") {
		t.Errorf("scrape after the seed has stopped: %q", got)
	}
}
