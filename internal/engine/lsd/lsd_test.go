package lsd

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

func hashOf(i int) (h [20]byte) {
	h[0], h[1] = byte(i>>8), byte(i)
	return h
}

func TestBEP14Announce(t *testing.T) {
	a := announce{port: 6881, hashes: [][20]byte{hashOf(1), hashOf(2)}, cookie: "me"}
	want := "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n" +
		"Infohash: 0001000000000000000000000000000000000000\r\nInfohash: 0002000000000000000000000000000000000000\r\ncookie: me\r\n\r\n\r\n"
	if got := string(a.bytes(groups[four].String())); got != want {
		t.Errorf("%q", got)
	}
	if got, ok := parse([]byte(want)); !ok || got.port != a.port || !slices.Equal(got.hashes, a.hashes) || got.cookie != a.cookie {
		t.Errorf("%+v, %v", got, ok)
	}
	if got := string((&announce{}).bytes(groups[six].String())); !strings.Contains(got, "Host: [ff15::efc0:988f]:6771\r\n") {
		t.Errorf("%q", got)
	}
}

func TestAnnouncesOfOthers(t *testing.T) {
	const hash = "0123456789abcdef0123456789ABCDEF01234567"
	head, ih := request+"\r\n", "Infohash: "+hash+"\r\n"
	for name, c := range map[string]struct {
		packet string
		ok     bool
	}{
		"headers in any order and case":    {head + "INFOHASH:" + hash + "\r\nx-new: 1\r\nport:1\r\n\r\n", true},
		"no end":                           {head + "Port: 1\r\n" + ih, true},
		"no port":                          {head + ih, false},
		"port 0":                           {head + "Port: 0\r\n" + ih, false},
		"a port that is none":              {head + "Port: 65536\r\n" + ih, false},
		"no info hash":                     {head + "Port: 1\r\n", false},
		"an info hash that is none":        {head + "Port: 1\r\nInfohash: 0123\r\n", false},
		"one that is none beside another":  {head + "Port: 1\r\nInfohash: zz\r\n" + ih, true},
		"another request":                  {"M-SEARCH * HTTP/1.1\r\nPort: 1\r\n" + ih, false},
		"headers after the end of headers": {head + "Port: 1\r\n\r\n" + ih, false},
		"nothing":                          {"", false},
		"as long as may be":                {head + "Port: 1\r\n" + ih + strings.Repeat("x", maxPacket-len(head+"Port: 1\r\n"+ih)), true},
		"longer":                           {head + "Port: 1\r\n" + ih + strings.Repeat("x", maxPacket+1-len(head+"Port: 1\r\n"+ih)), false},
	} {
		a, ok := parse([]byte(c.packet))
		if ok != c.ok || ok && (a.port != 1 || len(a.hashes) != 1 || hex.EncodeToString(a.hashes[0][:]) != strings.ToLower(hash)) {
			t.Errorf("%s: %+v, %v", name, a, ok)
		}
	}
}

func TestAnAnnounceAtItsLimits(t *testing.T) {
	a := announce{port: 65535, cookie: strings.Repeat("c", maxCookie)}
	for i := range maxHashes + 1 {
		a.hashes = append(a.hashes, hashOf(i))
	}
	if got, ok := parse(a.bytes("")); !ok || !slices.Equal(got.hashes, a.hashes[:maxHashes]) {
		t.Errorf("%d torrents are read", len(got.hashes))
	}
	a.hashes = a.hashes[:maxHashes]
	if n := len(a.bytes(groups[six].String())); n > maxPacket {
		t.Errorf("an announce of all has %d bytes", n)
	}
	if got, _ := parse([]byte(request + "\r\ncookie: " + strings.Repeat("c", 2*maxCookie))); len(got.cookie) != maxCookie {
		t.Errorf("a cookie of %d bytes is kept", len(got.cookie))
	}
}

func FuzzAnnounce(f *testing.F) {
	a := announce{port: 6881, hashes: [][20]byte{hashOf(1), hashOf(2)}, cookie: "me"}
	f.Add(a.bytes(groups[four].String()))
	f.Add([]byte(request + "\r\nPort:\r\nInfohash:\r\n:\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := parse(b)
		if !ok {
			return
		}
		again, ok := parse(a.bytes(""))
		if !ok || again.port != a.port || !slices.Equal(again.hashes, a.hashes) {
			t.Errorf("%+v became %+v", a, again)
		}
	})
}

func TestBEP14ATorrentIsToldOfEachFiveMinutesAndNothingTwiceAMinute(t *testing.T) {
	s := schedule{}
	if _, ok := s.wake(); ok || s.next(start) != nil {
		t.Error("nothing is to be told, and it is")
	}
	s.add(start, hashOf(1))
	var told []string
	for at := start; at.Before(start.Add(10 * time.Minute)); at = at.Add(time.Second) {
		if at.Equal(start.Add(10 * time.Second)) {
			s.add(at, hashOf(2))
		}
		if at.Equal(start.Add(7 * time.Minute)) {
			s.remove(hashOf(2))
		}
		due, _ := s.wake()
		if list := s.next(at); list != nil {
			if !due.Equal(at) {
				t.Errorf("due was %s, told was %s", due, at)
			}
			told = append(told, fmt.Sprint(at.Sub(start)))
			for _, h := range list {
				told = append(told, fmt.Sprint(h[1]))
			}
		}
	}
	if got := strings.Join(told, " "); got != "0s 1 1m0s 2 5m0s 1 6m0s 2" {
		t.Error(got)
	}
}

func TestManyTorrentsHaveTheirTurns(t *testing.T) {
	s := schedule{}
	for i := range 3*maxHashes + 1 {
		s.add(start, hashOf(i))
	}
	at, told := start, map[[20]byte]int{}
	for range 8 {
		list := s.next(at)
		if len(list) == 0 || len(list) > maxHashes {
			t.Fatalf("%d torrents in an announce", len(list))
		}
		for _, h := range list {
			told[h]++
		}
		at, _ = s.wake()
	}
	for i := range 3*maxHashes + 1 {
		if told[hashOf(i)] != 2 {
			t.Errorf("torrent %d was told of %d times", i, told[hashOf(i)])
		}
	}
}

// loopback is where the tests speak: nobody else hears them.
func loopback() ([]net.Interface, error) {
	all, err := net.Interfaces()
	return slices.DeleteFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagLoopback == 0 }), err
}

func listening(t *testing.T, port uint16) *Server {
	t.Helper()
	s, err := Start(Config{Port: port, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Interfaces: loopback})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestTwoOfOneNetworkFindEachOther(t *testing.T) {
	first, second := listening(t, 1001), listening(t, 1002)
	found := make(chan netip.AddrPort, 100)
	first.Tell(hashOf(1), func(a netip.AddrPort) { found <- a })
	first.Tell(hashOf(2), func(a netip.AddrPort) { t.Errorf("found %s, which has told of another torrent", a) })
	second.Tell(hashOf(1), func(netip.AddrPort) {})
	if a := <-found; a != netip.MustParseAddrPort("127.0.0.1:1002") {
		t.Errorf("found %s", a)
	}
}

func TestWhoIsNotWantedAnyMoreIsNotFound(t *testing.T) {
	s := listening(t, 1001)
	n := 0
	count := func(netip.AddrPort) { n++ }
	a := announce{port: 1, hashes: [][20]byte{hashOf(1)}}
	from := netip.MustParseAddr("192.0.2.1")
	one, another := s.Tell(hashOf(1), count), s.Tell(hashOf(1), count)
	s.heard(a.bytes(""), from)
	one.Stop()
	s.heard(a.bytes(""), from)
	another.Stop()
	s.heard(a.bytes(""), from)
	if n != 3 || len(s.torrents) != 0 || len(s.schedule.waiting) != 0 {
		t.Errorf("found %d times, and %d torrents are left", n, len(s.torrents))
	}
	s.Tell(hashOf(1), count)
	s.heard(a.bytes(""), netip.MustParseAddr("fe80::1%lo"))
	a.cookie = s.cookie
	s.heard(a.bytes(""), from)
	if n != 3 {
		t.Error("found oneself, or whom one can't dial")
	}
}
