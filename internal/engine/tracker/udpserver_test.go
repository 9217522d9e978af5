package tracker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// tell sends a request, with the right connection ID, straight to a server.
func tell(t *testing.T, s *Server, from netip.Addr, r packetRequest) []byte {
	t.Helper()
	id, err := parseConnectReply(s.answerPacket(nil, packetRequest{Action: actionConnect, Transaction: 7}.append(nil), from))
	if err != nil {
		t.Fatal(err)
	}
	r.Connection, r.Transaction = id, 7
	b := s.answerPacket(nil, r.append(nil), from)
	if transaction, ok := replyTransaction(b); !ok || transaction != 7 {
		t.Fatalf("the answer has the transaction ID %d", transaction)
	}
	return b
}

// toldUDP is an announce of a peer over UDP.
func toldUDP(t *testing.T, s *Server, from netip.Addr, a Announce) Reply {
	t.Helper()
	r, err := parseAnnounceReply(tell(t, s, from, packetRequest{Action: actionAnnounce, Announce: a}), from)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// peerAt is an announce of peer number n.
func peerAt(n int, left int64) Announce {
	return Announce{InfoHash: [20]byte([]byte(strings.Repeat("h", 20))), PeerID: [20]byte([]byte(fmt.Sprintf("%020d", n))), Port: 1000 + n, Stats: Stats{Left: left}, NumWant: -1}
}

func TestOurClientAndOurServerOverUDP(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		s, _ := newTestServer(t)
		conn := listenUDP(t, addr)
		ended := make(chan error, 1)
		go func() { ended <- s.ServeUDP(conn) }()
		c := newTestClient(t)
		u := "udp://" + conn.LocalAddr().String() + "/announce"
		for n, a := range []Announce{peerAt(0, 0), peerAt(1, 5), peerAt(2, 5)} {
			a.Event = Started
			r, err := c.Announce(t.Context(), u, a)
			if err != nil || len(r.Addrs) != n || r.Seeds != 1 || r.Peers != n || r.Interval != 30*time.Minute {
				t.Errorf("peer %d: %+v, %v", n, r, err)
			}
			if n == 2 && !slices.Equal(ports(r), []int{0, 1}) {
				t.Errorf("peer %d hears of %v", n, r.Addrs)
			}
		}
		if seeds, peers, err := c.Scrape(t.Context(), u, peerAt(0, 0).InfoHash); err != nil || seeds != 1 || peers != 2 {
			t.Errorf("%d seeds, %d others, %v", seeds, peers, err)
		}
		if seeds, peers, err := c.Scrape(t.Context(), u, everyByte(5)); err != nil || seeds != 0 || peers != 0 {
			t.Errorf("of a torrent that nobody has: %d seeds, %d others, %v", seeds, peers, err)
		}
		stopped := peerAt(1, 5)
		stopped.Event = Stopped
		if r, err := c.Announce(t.Context(), u, stopped); err != nil || len(r.Addrs) != 0 || r.Peers != 1 {
			t.Errorf("one that stops: %+v, %v", r, err)
		}
		conn.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("it ended: %v", err)
		}
	}
}

func TestOfALongRequestTheBeginningIsRead(t *testing.T) {
	s, _ := newTestServer(t)
	conn := listenUDP(t, "127.0.0.1:0")
	go s.ServeUDP(conn) //nolint:errcheck // It ends with the test.
	c := newTestClient(t)
	longest := serverMaxPacket - announceRequest - 2*8 // With the heads of its options.
	for _, n := range []int{longest - 1, longest, longest + 1, maxURL - 100} {
		u := "udp://" + conn.LocalAddr().String() + "/" + strings.Repeat("x", n-1)
		if _, err := c.Announce(t.Context(), u, peerAt(1, 0)); err != nil {
			t.Errorf("with a path of %d bytes: %v", n, err)
		}
	}
}

// A client takes an answer only from the address that it asked.
func TestAnswersComeFromTheAddressThatWasAsked(t *testing.T) {
	for listen, asked := range map[string]string{"[::]:0": "127.0.0.2", "0.0.0.0:0": "127.0.0.3", "[::1]:0": "::1"} {
		s, _ := newTestServer(t)
		conn := listenUDP(t, listen)
		go s.ServeUDP(conn) //nolint:errcheck // It ends with the test.
		c := newTestClient(t)
		resolving(c, asked)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := c.Announce(ctx, fmt.Sprintf("udp://t.example:%d/", conn.LocalAddr().(*net.UDPAddr).Port), peerAt(1, 0)); err != nil {
			t.Errorf("on %s, %s asked: %v", listen, asked, err)
		}
		cancel()
	}
}

func TestPeersOverUDPAndHTTPHearOfEachOther(t *testing.T) {
	s, _ := newTestServer(t)
	announced(t, s, 1, "left=5")
	if r := toldUDP(t, s, netip.MustParseAddr("10.0.0.9"), peerAt(9, 5)); !slices.Equal(r.Addrs, addrs("10.0.0.1:1001")) {
		t.Errorf("over UDP: %v", r.Addrs)
	}
	if r := announced(t, s, 2, "left=5"); !slices.Equal(ports(r), []int{1, 9}) {
		t.Errorf("over HTTP: %v", r.Addrs)
	}
}

func TestBEP15EachFamilyHearsOfItsOwn(t *testing.T) {
	s, _ := newTestServer(t)
	for n, from := range []string{"10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"} {
		toldUDP(t, s, netip.MustParseAddr(from), peerAt(n, 5))
	}
	if r := toldUDP(t, s, netip.MustParseAddr("10.0.0.3"), peerAt(7, 5)); !slices.Equal(ports(r), []int{0, 1}) || r.Peers != 5 {
		t.Errorf("IPv4: %+v", r)
	}
	if r := toldUDP(t, s, netip.MustParseAddr("2001:db8::3"), peerAt(8, 5)); !slices.Equal(ports(r), []int{2, 3}) {
		t.Errorf("IPv6: %+v", r)
	}
}

func TestBEP15AConnectionIDHoldsForItsAddressAndTwoMinutes(t *testing.T) {
	s, c := newTestServer(t)
	scrape := func(from netip.Addr, id uint64) bool {
		return len(s.answerPacket(nil, packetRequest{Connection: id, Action: actionScrape, Hashes: make([][20]byte, 1)}.append(nil), from)) > 0
	}
	connect := func(from netip.Addr) uint64 {
		id, err := parseConnectReply(s.answerPacket(nil, packetRequest{Action: actionConnect}.append(nil), from))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for range 13 { // Wherever in a slot it was given.
		id := connect(anIPv4)
		if !scrape(anIPv4, id) || scrape(netip.MustParseAddr("192.0.2.2"), id) || scrape(anIPv6, id) || scrape(anIPv4, id+1) || scrape(anIPv4, protocolID) {
			t.Error("a connection ID holds for others than its address, or not for that")
		}
		given := c.now
		c.now = given.Add(serverConnection)
		if !scrape(anIPv4, id) {
			t.Errorf("given at %v, it does not hold for two minutes", given)
		}
		c.now = given.Add(2 * serverConnection)
		if scrape(anIPv4, id) {
			t.Errorf("given at %v, it holds for four minutes", given)
		}
		c.now = given.Add(10 * time.Second)
	}
	other, _ := newTestServer(t)
	if id, err := parseConnectReply(other.answerPacket(nil, packetRequest{Action: actionConnect}.append(nil), anIPv4)); err != nil || scrape(anIPv4, id) {
		t.Errorf("the connection ID of another server holds (%v)", err)
	}
}

func TestNumWantBoundsTheReplyOverUDP(t *testing.T) {
	s, _ := newTestServer(t)
	for n := range 2 * serverMaxNumWant {
		toldUDP(t, s, netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), peerAt(n, 5))
		toldUDP(t, s, netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", n)), peerAt(n, 5))
	}
	most6 := (serverPacket - announceAnswer) / 18
	for want, counts := range map[int][2]int{
		-1: {serverNumWant, serverNumWant}, 0: {0, 0}, 7: {7, 7}, most6 - 1: {most6 - 1, most6 - 1}, most6: {most6, most6}, most6 + 1: {most6 + 1, most6},
		199: {199, most6}, 200: {200, most6}, 201: {200, most6}, 1 << 30: {200, most6},
	} {
		for i, from := range []netip.Addr{anIPv4, anIPv6} {
			a := peerAt(9999, 5)
			a.NumWant = want
			b := tell(t, s, from, packetRequest{Action: actionAnnounce, Announce: a})
			r, err := parseAnnounceReply(b, from)
			if err != nil || len(r.Addrs) != counts[i] || len(b) > serverPacket {
				t.Errorf("%d wanted from %v: %d in %d bytes, want %d (%v)", want, from, len(r.Addrs), len(b), counts[i], err)
			}
		}
	}
}

func TestWhoDoesNotKnowWhatIsLeftOverUDPIsNoSeed(t *testing.T) {
	s, _ := newTestServer(t)
	if r := toldUDP(t, s, anIPv4, peerAt(1, -1)); r.Seeds != 0 || r.Peers != 1 {
		t.Errorf("%+v", r)
	}
}

func TestBEP15AScrapeOfSeveralTorrents(t *testing.T) {
	s, _ := newTestServer(t)
	toldUDP(t, s, anIPv4, peerAt(1, 0))
	for _, n := range []int{1, serverPacketScrape, serverPacketScrape + 1} {
		hashes := make([][20]byte, n)
		hashes[0] = peerAt(1, 0).InfoHash
		b := tell(t, s, anIPv4, packetRequest{Action: actionScrape, Hashes: hashes})
		if want := replyHeader + scrapeEntry*min(n, serverPacketScrape); len(b) != want {
			t.Errorf("%d torrents: %d bytes, want %d", n, len(b), want)
		}
		if seeds, peers, err := parseScrapeReply(b); err != nil || seeds != 1 || peers != 0 {
			t.Errorf("%d torrents: %d seeds, %d others, %v", n, seeds, peers, err)
		}
	}
}

func TestRequestsThatMakeNoSenseAreRefusedWithAReason(t *testing.T) {
	s, _ := newTestServer(t)
	noPort := peerAt(1, 0)
	noPort.Port = 0
	for want, r := range map[string]packetRequest{
		"the tracker refused: a scrape must name its torrents":       {Action: actionScrape},
		"the tracker refused: port must be a number from 1 to 65535": {Action: actionAnnounce, Announce: noPort},
	} {
		if err := checkReply(tell(t, s, anIPv4, r), r.Action, 0); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// FuzzServerPacket holds that a server never sends more than it was sent to an
// address that has shown no connection ID, and never more than fits a frame.
func FuzzServerPacket(f *testing.F) {
	f.Add(packetRequest{Action: actionConnect}.append(nil), false)
	f.Add(packetRequest{Action: actionAnnounce, Announce: peerAt(1, 5), URLData: "/announce"}.append(nil), true)
	f.Add(packetRequest{Action: actionScrape, Hashes: make([][20]byte, 3)}.append(nil), true)
	f.Add([]byte("GET /announce HTTP/1.1\r\n"), false)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, b []byte, connected bool) {
		s := NewServer(time.Minute, func() time.Time { return now })
		for _, from := range []netip.Addr{anIPv4, anIPv6} {
			if connected && len(b) >= 8 {
				id := packetRequest{Connection: s.connectionID(from, slot(now)), Action: actionScrape}.append(nil)
				b = append(id[:8:8], b[8:]...)
			}
			out := s.answerPacket(nil, b, from)
			if len(out) > serverPacket || len(out) > len(b) && !connected {
				t.Errorf("%d bytes in answer to %d", len(out), len(b))
			}
			if len(out) > 0 && len(out) < replyHeader {
				t.Errorf("an answer of %d bytes", len(out))
			}
		}
	})
}
