package tracker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listenUDP opens a socket on loopback that ends with the test.
func listenUDP(t *testing.T, addr string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// serveUDP runs a tracker on a socket: answer returns the packets with which it
// answers a request, which came over IPv6 if six is set. It returns an announce URL with a passkey.
func serveUDP(t *testing.T, conn *net.UDPConn, answer func(r packetRequest, b []byte, six bool) [][]byte) string {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			r, ok := parseRequest(b[:n])
			if !ok {
				t.Errorf("no request: %x", b[:n])
			}
			for _, p := range answer(r, b[:n], from.Addr().Unmap().Is6()) {
				if _, err := conn.WriteToUDPAddrPort(p, from); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return fmt.Sprintf("udp://%s/secretpasskey1/announce?auth=secretpasskey2", conn.LocalAddr())
}

// answer is that of a tracker that does all right.
func answer(r packetRequest, six bool) []byte {
	b := appendReplyHeader(nil, r.Action, r.Transaction)
	switch {
	case r.Action == actionConnect:
		return append(b, "conn-id!"...)
	case r.Action == actionScrape:
		return appendScrapeEntry(b, tally{seeds: 3, leechers: 2})
	case six:
		return append(b, "\x00\x00\x07\x08\x00\x00\x00\x02\x00\x00\x00\x03\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe1"...)
	default:
		return append(b, "\x00\x00\x07\x08\x00\x00\x00\x02\x00\x00\x00\x03\x0a\x00\x00\x01\x1a\xe1"...)
	}
}

func doesWell(r packetRequest, _ []byte, six bool) [][]byte { return [][]byte{answer(r, six)} }

var connID = binary.BigEndian.Uint64([]byte("conn-id!"))

func TestBEP15AnAnnounceOverUDP(t *testing.T) {
	for addr, peer := range map[string]string{"127.0.0.1:0": "10.0.0.1:6881", "[::1]:0": "[2001:db8::1]:6881"} {
		t.Run(addr, func(t *testing.T) {
			requests := make(chan packetRequest, 10)
			urls := make(chan string, 10)
			u := serveUDP(t, listenUDP(t, addr), func(r packetRequest, b []byte, six bool) [][]byte {
				requests <- r
				urls <- string(b[min(len(b), announceRequest):])
				return [][]byte{answer(r, six)}
			})
			c := newTestClient(t)
			a := Announce{
				InfoHash: everyByte(1), PeerID: everyByte(2), Port: 6881, Stats: Stats{Uploaded: 1, Downloaded: 2, Left: 3},
				Event: Started, NumWant: 80, Key: 9,
			}
			r, err := c.Announce(t.Context(), u, a)
			if err != nil || !slices.Equal(r.Addrs, addrs(peer)) || r.Seeds != 3 || r.Peers != 2 || r.Interval != 30*time.Minute {
				t.Fatalf("%+v, %v", r, err)
			}
			if first := <-requests; first.Action != actionConnect {
				t.Errorf("it begins with action %d", first.Action)
			}
			<-urls
			if second := <-requests; second.Action != actionAnnounce || second.Connection != connID || second.Announce != a {
				t.Errorf("it announces %+v", second)
			}
			if got := <-urls; got != "\x02\x2c/secretpasskey1/announce?auth=secretpasskey2" {
				t.Errorf("the tracker hears of its URL: %q", got)
			}
			if seeds, peers, err := c.Scrape(t.Context(), u, a.InfoHash); err != nil || seeds != 3 || peers != 2 {
				t.Errorf("%d seeds, %d others, %v", seeds, peers, err)
			}
			// The connection ID still holds.
			if third := <-requests; third.Action != actionScrape || third.Connection != connID || !slices.Equal(third.Hashes, [][20]byte{a.InfoHash}) {
				t.Errorf("it scrapes %+v", third)
			}
		})
	}
}

func TestOnlyTheAnswerOfTheTrackerCounts(t *testing.T) {
	stranger := listenUDP(t, "127.0.0.1:0")
	conn := listenUDP(t, "127.0.0.1:0")
	port := make(chan netip.AddrPort, 1)
	u := serveUDP(t, conn, func(r packetRequest, _ []byte, six bool) [][]byte {
		good := answer(r, six)
		forged := append(slices.Clone(good[:replyHeader]), make([]byte, 20)...)
		other := slices.Clone(forged)
		other[4]++ // Another transaction.
		// Somebody else knows the transaction, and comes first.
		if _, err := stranger.WriteToUDPAddrPort(forged, <-port); err != nil {
			t.Error(err)
		}
		return [][]byte{nil, good[:1], good[:7], other, good, forged}
	})
	c := newTestClient(t)
	listen := c.datagrams.listen
	c.datagrams.listen = func() (packetConn, error) {
		conn, err := listen()
		if err == nil {
			at := netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", conn.(*net.UDPConn).LocalAddr().(*net.UDPAddr).Port))
			go func() { port <- at; port <- at }()
		}
		return conn, err
	}
	r, err := c.Announce(t.Context(), u, Announce{})
	if err != nil || !slices.Equal(r.Addrs, addrs("10.0.0.1:6881")) {
		t.Errorf("%+v, %v", r, err)
	}
	if id, ok := c.datagrams.connected(conn.LocalAddr().(*net.UDPAddr).AddrPort()); !ok || id != connID {
		t.Errorf("the connection ID is %x", id)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		to     uint32 // The action to which the tracker answers badly.
		answer func(r packetRequest) []byte
		want   string
	}{
		"a short answer to connect":  {actionConnect, func(r packetRequest) []byte { return answer(r, false)[:15] }, "not that of a tracker"},
		"a short answer to announce": {actionAnnounce, func(r packetRequest) []byte { return answer(r, false)[:19] }, "not that of a tracker"},
		"another action":             {actionConnect, func(r packetRequest) []byte { r.Action = actionAnnounce; return answer(r, false) }, "it answers action 1 instead of 0"},
		"an error to connect": {actionConnect, func(r packetRequest) []byte {
			return append(appendReplyHeader(nil, actionError, r.Transaction), "go away"...)
		}, "the tracker refused: go away"},
		"an error to announce": {actionAnnounce, func(r packetRequest) []byte {
			return append(appendReplyHeader(nil, actionError, r.Transaction), "secretpasskey2 is banned"...)
		}, "the tracker refused: [hidden] is banned"},
	} {
		t.Run(name, func(t *testing.T) {
			var connects atomic.Int64
			u := serveUDP(t, listenUDP(t, "127.0.0.1:0"), func(r packetRequest, _ []byte, _ bool) [][]byte {
				if r.Action == actionConnect {
					connects.Add(1)
				}
				if r.Action == c.to {
					return [][]byte{c.answer(r)}
				}
				return [][]byte{answer(r, false)}
			})
			client := newTestClient(t)
			for range 2 {
				_, err := client.Announce(t.Context(), u, Announce{})
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v", err)
				}
			}
			client.Close()
			// A tracker that refuses may have meant the connection ID.
			if got := connects.Load(); strings.Contains(name, "error") && got != 2 {
				t.Errorf("%d connects, want 2", got)
			}
		})
	}
}

func TestDeniedAddressesOfUDPTrackersAreNotSentTo(t *testing.T) {
	denied := errors.New("connections to it are denied")
	u := serveUDP(t, listenUDP(t, "127.0.0.1:0"), doesWell)
	for _, c := range []struct {
		resolves []string
		want     error
	}{
		{[]string{"127.0.0.1"}, nil},
		{[]string{"127.0.0.2", "127.0.0.1"}, nil},
		{[]string{"::ffff:127.0.0.1"}, nil},
		{[]string{"127.0.0.2"}, denied},
		{[]string{"127.0.0.2", "::1"}, denied},
		{[]string{"::ffff:127.0.0.2"}, denied},
	} {
		client := NewClient(nil, func(a netip.Addr) error {
			if a != netip.MustParseAddr("127.0.0.1") {
				return denied
			}
			return nil
		})
		resolving(client, c.resolves...)
		listen := client.datagrams.listen
		client.datagrams.listen = func() (packetConn, error) {
			if c.want != nil {
				t.Errorf("%v: it opens a socket", c.resolves)
			}
			return listen()
		}
		_, err := client.Announce(t.Context(), strings.Replace(u, "127.0.0.1", "t.example", 1), Announce{})
		if !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.resolves, err, c.want)
		}
		client.Close()
	}
}

func TestANameThatIsNotKnownIsTold(t *testing.T) {
	c := newTestClient(t)
	for want, lookup := range map[string]func() ([]netip.Addr, error){
		"lookup t.example: no such host":    func() ([]netip.Addr, error) { return nil, &net.DNSError{Err: "no such host", Name: "t.example"} },
		"the tracker's name has no address": func() ([]netip.Addr, error) { return nil, nil },
	} {
		c.datagrams.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return lookup() }
		if _, err := c.Announce(t.Context(), "udp://t.example:80/secretpasskey", Announce{}); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// resolving makes a client take every name for these addresses.
func resolving(c *Client, to ...string) {
	c.datagrams.lookup = func(context.Context, string, string) (ips []netip.Addr, err error) {
		for _, s := range to {
			ips = append(ips, netip.MustParseAddr(s))
		}
		return ips, nil
	}
}

func TestBEP15BothFamiliesAreAnnouncedTo(t *testing.T) {
	for _, c := range []struct {
		name      string
		four, six bool // That family is not refused.
		want      []netip.AddrPort
	}{
		{"both", true, true, addrs("10.0.0.1:6881", "[2001:db8::1]:6881")},
		{"only IPv4", true, false, addrs("10.0.0.1:6881")},
		{"only IPv6", false, true, addrs("[2001:db8::1]:6881")},
		{"neither", false, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := listenUDP(t, "[::]:0") // IPv4 as well.
			serveUDP(t, conn, func(r packetRequest, _ []byte, six bool) [][]byte {
				if r.Announce.Key != 9 && r.Action == actionAnnounce {
					t.Errorf("the key is %d", r.Announce.Key)
				}
				if r.Action == actionAnnounce && (six && !c.six || !six && !c.four) {
					return [][]byte{append(appendReplyHeader(nil, actionError, r.Transaction), "no"...)}
				}
				return [][]byte{answer(r, six)}
			})
			client := newTestClient(t)
			resolving(client, "127.0.0.1", "::1")
			r, err := client.Announce(t.Context(), fmt.Sprintf("udp://t.example:%d/", conn.LocalAddr().(*net.UDPAddr).Port), Announce{Key: 9})
			slices.SortFunc(r.Addrs, netip.AddrPort.Compare)
			if (err != nil) != (c.want == nil) || !slices.Equal(r.Addrs, c.want) {
				t.Errorf("%v, %v", r.Addrs, err)
			}
		})
	}
}

func TestOfTwoFamiliesOneAnswerIsEnough(t *testing.T) {
	refused, silent, other := &FailureError{Reason: "no"}, fmt.Errorf("%w: so", errSilent), errors.New("network is unreachable")
	good := Reply{Interval: time.Hour, MinInterval: time.Minute, Seeds: 4, Peers: -1, Addrs: addrs("10.0.0.1:1")}
	more := Reply{Interval: time.Minute, MinInterval: time.Minute, Seeds: 3, Peers: 2, Addrs: addrs("[2001:db8::1]:1")}
	for _, c := range []struct {
		a, b       Reply
		aErr, bErr error
		want       []netip.AddrPort
		wantErr    error
	}{
		{good, more, nil, nil, addrs("10.0.0.1:1", "[2001:db8::1]:1"), nil},
		{good, Reply{}, nil, refused, good.Addrs, nil},
		{Reply{}, more, silent, nil, more.Addrs, nil},
		{Reply{}, Reply{}, refused, silent, nil, refused},
		{Reply{}, Reply{}, silent, refused, nil, refused},
		{Reply{}, Reply{}, refused, other, nil, refused},
		{Reply{}, Reply{}, other, refused, nil, refused},
		{Reply{}, Reply{}, other, silent, nil, silent},
		{Reply{}, Reply{}, silent, other, nil, silent},
		{Reply{}, Reply{}, other, other, nil, other},
	} {
		r, err := bothFamilies(c.a, c.b, c.aErr, c.bErr)
		if err != c.wantErr || !slices.Equal(r.Addrs, c.want) { //nolint:errorlint // It is to be that very one.
			t.Errorf("%v and %v: %v, %v", c.aErr, c.bErr, r.Addrs, err)
		}
		if c.aErr == nil && c.bErr == nil && (r.Interval != time.Hour || r.Seeds != 4 || r.Peers != 2) {
			t.Errorf("both together: %+v", r)
		}
	}
	many := Reply{Addrs: make([]netip.AddrPort, maxPeers)}
	if r, _ := bothFamilies(many, many, nil, nil); len(r.Addrs) != maxPeers {
		t.Errorf("%d addresses", len(r.Addrs))
	}
}

func TestOfALongAnswerTheBeginningIsRead(t *testing.T) {
	for _, n := range []int{maxPeers - 1, maxPeers, maxPeers + 1, 3 * maxPeers} {
		u := serveUDP(t, listenUDP(t, "[::1]:0"), func(r packetRequest, _ []byte, six bool) [][]byte {
			b := answer(r, six)
			if r.Action == actionAnnounce {
				b = append(b[:announceAnswer], bytes.Repeat([]byte{0x20}, 18*n)...)
			}
			return [][]byte{b}
		})
		if r, err := newTestClient(t).Announce(t.Context(), u, Announce{}); err != nil || len(r.Addrs) != min(n, maxPeers) {
			t.Errorf("%d addresses of %d, %v", len(r.Addrs), n, err)
		}
	}
}

func TestAClientThatIsClosedAsksNobody(t *testing.T) {
	c := newTestClient(t)
	u := serveUDP(t, listenUDP(t, "127.0.0.1:0"), doesWell)
	if _, err := c.Announce(t.Context(), u, Announce{}); err != nil {
		t.Error(err)
	}
	c.Close()
	if _, err := c.Announce(t.Context(), u, Announce{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
