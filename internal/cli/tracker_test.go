package cli

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/tracker"
)

// startTracker runs the tracker command and returns the announce URLs that it
// prints; stop ends it and returns its exit code and error output.
func startTracker(t *testing.T, args ...string) (announce []string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	stdout, w := io.Pipe()
	var stderr strings.Builder
	ended := make(chan int, 1)
	go func() {
		code := Run(ctx, newRoot(nil, w, &stderr, append([]string{"tracker"}, args...)...))
		w.Close()
		ended <- code
	}()
	urls := make([]byte, 1000)
	n, err := stdout.Read(urls)
	if err != nil {
		t.Fatalf("no URL: exit code %d, %s", <-ended, stderr.String())
	}
	return strings.Fields(string(urls[:n])), func() (int, string) {
		cancel(errStopped)
		return <-ended, stderr.String()
	}
}

func TestTheTrackerPrintsItsURLsAndServesUntilItIsStopped(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		urls, stop := startTracker(t, "--listen", listen, "--interval", "20s")
		if len(urls) != 2 || !strings.HasPrefix(urls[0], "http://") || urls[1] != strings.Replace(urls[0], "http", "udp", 1) {
			t.Fatalf("it prints %v", urls)
		}
		transport := &http.Transport{}
		client := tracker.NewClient(transport, func(netip.Addr) error { return nil })
		for port := range 4 {
			r, err := client.Announce(t.Context(), urls[port%2], tracker.Announce{PeerID: [20]byte{byte(port)}, Port: port + 1, Stats: tracker.Stats{Left: 1}, NumWant: 50})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Addrs) != port || r.Interval.Seconds() != 20 {
				t.Errorf("peer %d, by %s: %+v", port, urls[port%2], r)
			}
		}
		transport.CloseIdleConnections()
		client.Close()
		if code, stderr := stop(); code != 0 || stderr != "" {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	}
}

func TestTheTrackerOverUDPElsewhereOrNot(t *testing.T) {
	urls, stop := startTracker(t, "--listen", "127.0.0.1:0", "--listen-udp", "127.0.0.2:0")
	if len(urls) != 2 || !strings.HasPrefix(urls[0], "http://127.0.0.1:") || !strings.HasPrefix(urls[1], "udp://127.0.0.2:") {
		t.Errorf("it prints %v", urls)
	}
	stop()
	urls, stop = startTracker(t, "--listen", "127.0.0.1:0", "--listen-udp", "none")
	if len(urls) != 1 || !strings.HasPrefix(urls[0], "http://127.0.0.1:") {
		t.Errorf("it prints %v", urls)
	}
	stop()
}

func TestTheTrackerOnATakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	run(t, "tracker", "--listen", l.Addr().String()).expectFailure(t, exitPort, "the port is taken, or reserved to root; choose another with --listen")
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	run(t, "tracker", "--listen", "127.0.0.1:0", "--listen-udp", u.LocalAddr().String()).expectFailure(t, exitPort, "choose another with --listen-udp")
}

func TestTheURLOfATrackerOnAllAddressesIsTheLoopbackOne(t *testing.T) {
	for addr, want := range map[string]string{
		"[::]:6969":        "http://127.0.0.1:6969/announce",
		"0.0.0.0:80":       "http://127.0.0.1:80/announce",
		"10.0.0.1:6969":    "http://10.0.0.1:6969/announce",
		"[2001:db8::1]:80": "http://[2001:db8::1]:80/announce",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := announceURL("http", tcp); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
