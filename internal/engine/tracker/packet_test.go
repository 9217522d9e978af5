package tracker

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	anIPv4 = netip.MustParseAddr("192.0.2.1")
	anIPv6 = netip.MustParseAddr("2001:db8::1")
)

func TestBEP15RequestsByteForByte(t *testing.T) {
	a := Announce{
		InfoHash: everyByte(0x10), PeerID: everyByte(0x40), Port: 0x1ae1, Event: Started, NumWant: 80, Key: 0xcafebabe,
		Stats: Stats{Downloaded: 1, Left: 2, Uploaded: 3},
	}
	const announce = "0102030405060708" + "00000001" + "a1b2c3d4" +
		"101112131415161718191a1b1c1d1e1f20212223" + "404142434445464748494a4b4c4d4e4f50515253" +
		"0000000000000001" + "0000000000000002" + "0000000000000003" +
		"00000002" + "00000000" + "cafebabe" + "00000050" + "1ae1"
	for _, c := range []struct {
		name string
		r    packetRequest
		want string
	}{
		{"connect", packetRequest{Action: actionConnect, Transaction: 0xa1b2c3d4}, "0000041727101980" + "00000000" + "a1b2c3d4"},
		{"announce", packetRequest{Connection: 0x0102030405060708, Action: actionAnnounce, Transaction: 0xa1b2c3d4, Announce: a}, announce},
		{"scrape", packetRequest{Connection: 1, Action: actionScrape, Transaction: 2, Hashes: [][20]byte{everyByte(0), everyByte(1)}},
			"0000000000000001" + "00000002" + "00000002" +
				"000102030405060708090a0b0c0d0e0f10111213" + "0102030405060708090a0b0c0d0e0f1011121314"},
	} {
		b := c.r.append(nil)
		if got := hex.EncodeToString(b); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
		back, ok := parseRequest(b)
		if c.r.Action == actionConnect {
			c.r.Connection = protocolID
		}
		if !ok || !reflect.DeepEqual(back, c.r) {
			t.Errorf("%s is read as %+v, %v", c.name, back, ok)
		}
	}
	for event, want := range map[Event]uint32{None: 0, Completed: 1, Started: 2, Stopped: 3} {
		b := packetRequest{Action: actionAnnounce, Announce: Announce{Event: event, NumWant: -1}}.append(nil)
		back, _ := parseRequest(b)
		if got := binary.BigEndian.Uint32(b[80:]); got != want || back.Announce.Event != event || back.Announce.NumWant != -1 {
			t.Errorf("event %q is %d, and read as %q with %d wanted", event, got, back.Announce.Event, back.Announce.NumWant)
		}
	}
}

func TestBEP41PathAndQueryFollowAnAnnounce(t *testing.T) {
	long := strings.Repeat("x", 600)
	for data, want := range map[string]string{
		"":             "",
		"/dir?a=b&c=d": "\x02\x0c/dir?a=b&c=d",
		long[:254]:     "\x02\xfe" + long[:254],
		long[:255]:     "\x02\xff" + long[:255],
		long[:256]:     "\x02\xff" + long[:255] + "\x02\x01x",
		long[:510]:     "\x02\xff" + long[:255] + "\x02\xff" + long[:255],
		long[:511]:     "\x02\xff" + long[:255] + "\x02\xff" + long[:255] + "\x02\x01x",
	} {
		b := packetRequest{Action: actionAnnounce, URLData: data}.append(nil)
		if got := string(b[announceRequest:]); got != want {
			t.Errorf("%d bytes become the option %q", len(data), got)
		}
		if _, ok := parseRequest(b); !ok {
			t.Errorf("an announce with an option of %d bytes is not read", len(data))
		}
	}
}

func TestRequestsTooShortAreNone(t *testing.T) {
	for action, least := range map[uint32]int{actionConnect: 16, actionAnnounce: 98, actionScrape: 16} {
		b := packetRequest{Action: action, Announce: Announce{Port: 1}}.append(nil)
		for n := range least + 20 {
			_, ok := parseRequest(append(slices.Clone(b), make([]byte, 20)...)[:n])
			if ok != (n >= least) {
				t.Errorf("action %d with %d bytes: %v", action, n, ok)
			}
		}
	}
	for name, b := range map[string][]byte{
		"a connect without the magic number": make([]byte, 16),
		"an error":                           packetRequest{Action: actionError}.append(nil),
		"an unknown action":                  packetRequest{Action: 4}.append(make([]byte, 0)),
	} {
		if _, ok := parseRequest(b); ok {
			t.Errorf("%s is taken for a request", name)
		}
	}
}

func TestAnEventThatIsUnknownIsNone(t *testing.T) {
	for _, n := range []uint32{4, 5, 1 << 31, 0xffffffff} {
		b := packetRequest{Action: actionAnnounce, Announce: Announce{Event: Stopped}}.append(nil)
		binary.BigEndian.PutUint32(b[80:], n)
		if r, ok := parseRequest(b); !ok || r.Announce.Event != None {
			t.Errorf("event %d is %q (%v)", n, r.Announce.Event, ok)
		}
	}
}

func TestNoMoreTorrentsOfAScrapeThanTheLimitAreRead(t *testing.T) {
	for _, n := range []int{0, 1, serverPacketScrape - 1, serverPacketScrape, serverPacketScrape + 1} {
		b := packetRequest{Action: actionScrape, Hashes: make([][20]byte, n)}.append(nil)
		for _, more := range []int{0, 19} {
			r, ok := parseRequest(append(b, make([]byte, more)...))
			if !ok || len(r.Hashes) != min(n, serverPacketScrape) {
				t.Errorf("%d torrents and %d bytes: %d are read (%v)", n, more, len(r.Hashes), ok)
			}
		}
	}
}

// answerHeader begins an answer to transaction 7.
func answerHeader(action uint32) []byte { return appendReplyHeader(nil, action, 7) }

func TestBEP15AnAnnounceReplyOfEitherFamily(t *testing.T) {
	head := append(answerHeader(actionAnnounce), "\x00\x00\x07\x08\x00\x00\x00\x02\x00\x00\x00\x03"...)
	four := append(slices.Clone(head), "\x0a\x00\x00\x01\x1a\xe1\x0a\x00\x00\x02\x1a\xe2"...)
	six := append(slices.Clone(head), "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe1"...)
	for _, c := range []struct {
		b    []byte
		from netip.Addr
		want []netip.AddrPort
	}{
		{head, anIPv4, nil},
		{four, anIPv4, addrs("10.0.0.1:6881", "10.0.0.2:6882")},
		{append(four, "\x0a\x00\x00\x03\x1a"...), anIPv4, addrs("10.0.0.1:6881", "10.0.0.2:6882")},
		{four, anIPv6, nil},
		{six, anIPv6, addrs("[2001:db8::1]:6881")},
		{append(six, make([]byte, 17)...), anIPv6, addrs("[2001:db8::1]:6881")},
	} {
		r, err := parseAnnounceReply(c.b, c.from)
		if err != nil || !slices.Equal(r.Addrs, c.want) {
			t.Errorf("%x from %v: %v, %v", c.b, c.from, r.Addrs, err)
		}
		if r.Interval != 30*time.Minute || r.MinInterval != 30*time.Minute || r.Peers != 2 || r.Seeds != 3 {
			t.Errorf("%+v", r)
		}
	}
}

func TestNumbersOfAPacketAreMovedIntoBounds(t *testing.T) {
	for _, c := range []struct {
		interval       uint32
		every, atLeast time.Duration
	}{
		{0, defaultInterval, defaultMinimum},
		{0xffffffff, defaultInterval, defaultMinimum},
		{9, shortest, shortest},
		{10, shortest, shortest},
		{11, 11 * time.Second, 11 * time.Second},
		{86400, longest, longest},
		{86401, longest, longest},
		{0x7fffffff, longest, longest},
	} {
		b := binary.BigEndian.AppendUint32(answerHeader(actionAnnounce), c.interval)
		r, err := parseAnnounceReply(append(b, "\xff\xff\xff\xff\x80\x00\x00\x00"...), anIPv4)
		if err != nil || r.Interval != c.every || r.MinInterval != c.atLeast || r.Seeds != -1 || r.Peers != -1 {
			t.Errorf("interval %d: %+v, %v", c.interval, r, err)
		}
	}
}

func TestNoMoreAddressesOfAPacketThanTheLimitAreTaken(t *testing.T) {
	for _, from := range []netip.Addr{anIPv4, anIPv6} {
		for _, n := range []int{maxPeers - 1, maxPeers, maxPeers + 1} {
			b := append(answerHeader(actionAnnounce), make([]byte, 12)...)
			r, err := parseAnnounceReply(append(b, bytes.Repeat([]byte{0x20}, n*(from.BitLen()/8+2))...), from)
			if err != nil || len(r.Addrs) != min(n, maxPeers) {
				t.Errorf("%d addresses of %d: %v", len(r.Addrs), n, err)
			}
		}
	}
}

func TestAnswersTooShortOrOfAnotherActionAreRefused(t *testing.T) {
	read := map[uint32]func([]byte) error{
		actionConnect:  func(b []byte) error { _, err := parseConnectReply(b); return err },
		actionAnnounce: func(b []byte) error { _, err := parseAnnounceReply(b, anIPv4); return err },
		actionScrape:   func(b []byte) error { _, _, err := parseScrapeReply(b); return err },
	}
	for action, least := range map[uint32]int{actionConnect: 16, actionAnnounce: 20, actionScrape: 20} {
		for n := replyHeader; n < 40; n++ {
			b := append(answerHeader(action), make([]byte, 40)...)[:n]
			if err := read[action](b); (err == nil) != (n >= least) || err != nil && !errors.Is(err, errNotReply) {
				t.Errorf("action %d with %d bytes: %v", action, n, err)
			}
			for _, other := range []uint32{actionConnect, actionAnnounce, actionScrape, 4, 0xffffffff} {
				if other != action {
					if err := read[other%3](append(answerHeader(action), make([]byte, 40)...)); other%3 != action && !errors.Is(err, errNotReply) {
						t.Errorf("action %d is taken for %d: %v", action, other, err)
					}
				}
			}
		}
		for text, want := range map[string]string{
			"go away": "go away", "": noReason, "\x1b[2J\x00": "?[2J?",
			strings.Repeat("x", maxText): strings.Repeat("x", maxText), strings.Repeat("x", maxText+1): strings.Repeat("x", maxText-3) + "…",
		} {
			var refused *FailureError
			if err := read[action](append(answerHeader(actionError), text...)); !errors.As(err, &refused) || refused.Reason != want {
				t.Errorf("the error %.20q in answer to action %d: %v", text, action, err)
			}
		}
	}
	for n := range 12 {
		if id, ok := replyTransaction(append(answerHeader(actionError), "more"...)[:n]); ok != (n >= replyHeader) || ok && id != 7 {
			t.Errorf("%d bytes have transaction ID %d, %v", n, id, ok)
		}
	}
}

func TestBEP15AScrapeReply(t *testing.T) {
	b := appendScrapeEntry(answerHeader(actionScrape), tally{seeds: 1, completed: 2, leechers: 3})
	if got := hex.EncodeToString(b[replyHeader:]); got != "000000010000000200000003" {
		t.Errorf("the entry is %s", got)
	}
	if seeds, peers, err := parseScrapeReply(b); err != nil || seeds != 1 || peers != 3 {
		t.Errorf("%d seeds, %d others, %v", seeds, peers, err)
	}
}

// FuzzPacket reads what a tracker or anybody else may send as every answer.
func FuzzPacket(f *testing.F) {
	f.Add(append(answerHeader(actionConnect), "12345678"...))
	f.Add(append(answerHeader(actionAnnounce), "\x00\x00\x07\x08\x00\x00\x00\x02\x00\x00\x00\x03\x0a\x00\x00\x01\x1a\xe1"...))
	f.Add(appendScrapeEntry(answerHeader(actionScrape), tally{1, 2, 3}))
	f.Add(append(answerHeader(actionError), "no"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := replyTransaction(b); !ok {
			return // Nothing that short is handed on.
		}
		check := func(err error) {
			var refused *FailureError
			if err != nil && !errors.Is(err, errNotReply) && (!errors.As(err, &refused) || refused.Reason == "" || len(refused.Reason) > maxText) {
				t.Errorf("%v", err)
			}
		}
		_, err := parseConnectReply(b)
		check(err)
		seeds, peers, err := parseScrapeReply(b)
		check(err)
		if seeds < -1 || peers < -1 {
			t.Errorf("%d seeds, %d others", seeds, peers)
		}
		for _, from := range []netip.Addr{anIPv4, anIPv6} {
			r, err := parseAnnounceReply(b, from)
			check(err)
			if err != nil {
				continue
			}
			if r.MinInterval < shortest || r.Interval < r.MinInterval || r.Interval > longest || len(r.Addrs) > maxPeers || r.Seeds < -1 || r.Peers < -1 {
				t.Errorf("%+v", r)
			}
			for _, a := range r.Addrs {
				if !usable(a) || a.Addr().Is4In6() {
					t.Errorf("address %v", a)
				}
			}
		}
	})
}
