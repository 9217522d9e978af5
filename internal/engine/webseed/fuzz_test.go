package webseed

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// FuzzAnswer: whatever a server answers, the connection ends with a reason that
// tells no more than it should, and each lease ends with a commit or an abandon.
func FuzzAnswer(f *testing.F) {
	p := newPayload(f, file{"a", 20_000}, file{"b", 5})
	good := "HTTP/1.1 206 P\r\nContent-Range: bytes 0-19999/20000\r\nContent-Length: 20000\r\n\r\n" + string(p.bytes[:20_000])
	for _, s := range []string{
		"", good, good[:100], good + "HTTP/1.1 206 P\r\nContent-Range: bytes 0-4/5\r\nContent-Length: 5\r\n\r\n" + string(p.bytes[20_000:]),
		"HTTP/1.1 200 O\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"HTTP/1.1 302 F\r\nLocation: http://h/%zz\r\n\r\n", "HTTP/1.1 302 F\r\nLocation: //other/x\r\nContent-Length: 0\r\n\r\n" + good,
		"HTTP/1.1 503 S\r\nRetry-After: 99999999999999999999\r\n\r\n", "HTTP/1.1 206 P\r\nContent-Range: bytes -1--1/-1\r\n\r\n",
		"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 416 R\r\nContent-Range: bytes */1\r\n\r\n", "\xff\x00\r\n\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, whole bool) {
		transport := Transport(&http.Transport{
			Dial: func(string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					defer theirs.Close()
					if _, err := http.ReadRequest(bufio.NewReader(theirs)); err == nil {
						_, _ = theirs.Write(b)
					}
				}()
				return ours, nil
			},
		})
		defer transport.CloseIdleConnections()
		s, err := New(Config{URL: "http://h/secret/", Info: p.info, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		s.whole = whole
		w := &lenient{newWorld(t, p)}
		c := s.Connect(w)
		c.Send(p.blocks()...)
		stop := time.AfterFunc(5*time.Second, func() { c.Close("all came") }) // It waits for more requests.
		defer stop.Stop()
		go func() {
			if w.await(len(p.blocks())) == nil {
				c.Close("all came")
			}
		}()
		err = c.Run(t.Context())
		w.mu.Lock()
		w.ended = err
		w.news.Broadcast()
		defer w.mu.Unlock()
		var e *Error
		if !errors.As(err, &e) || strings.Contains(e.Error(), "secret") {
			t.Fatalf("it ended with %v", err)
		}
		if len(w.leases) > 0 {
			t.Fatalf("%d leases are left over", len(w.leases))
		}
		if wait := s.After(err); wait < 0 || wait > maxRetryAfter {
			t.Fatalf("it is tried again after %v", wait)
		}
	})
}

// lenient takes wrong bytes, as a disk does at first.
type lenient struct{ *world }

func (l *lenient) Commit(index, begin uint32, lease []byte) bool {
	off := l.offset(index, begin)
	l.mu.Lock()
	copy(lease, l.p.bytes[off:])
	l.mu.Unlock()
	return l.world.Commit(index, begin, lease)
}

// FuzzRange: what is taken for a range is one.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 5-9/*", "bytes */5", " bytes 1 - 2 / 3 ", "bytes 9-5/10", "bytes 0-9223372036854775807/*", "bytes"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, size, ok := parseRange(s)
		if ok && (first < 0 || last < first || size != -1 && size <= last) {
			t.Fatalf("%q is the range %d-%d/%d", s, first, last, size)
		}
	})
}

// FuzzAddress: wherever names lead, it is on the host of the seed, below its path.
func FuzzAddress(f *testing.F) {
	f.Add("content", "a/../b")
	f.Add("..", "..")
	f.Add("%2e%2e", "?x#y")
	f.Fuzz(func(t *testing.T, name, part string) {
		m, err := metainfo.Parse([]byte("d4:infod5:filesld6:lengthi0e4:pathl" + str(part) + "eee4:name" + str(name) + "12:piece lengthi16384e6:pieces0:ee"))
		if err != nil {
			return
		}
		s, err := New(Config{URL: "http://h:1/base", Info: m.Info})
		if err != nil {
			t.Fatal(err)
		}
		u := s.address(0)
		again, err := parse(u.String())
		if len(u.String()) <= maxURL && (err != nil || again.Host != "h:1" || again.RawQuery != "" || !strings.HasPrefix(again.EscapedPath(), "/base")) {
			t.Fatalf("%q, %q lead to %s (%v)", name, part, u, err)
		}
	})
}
