package cli

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/tracker"
)

// startTracker runs the tracker command and returns its announce URL; stop ends
// it and returns its exit code and error output.
func startTracker(t *testing.T, args ...string) (announce string, stop func() (int, string)) {
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
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatalf("no URL: exit code %d, %s", <-ended, stderr.String())
	}
	return lines.Text(), func() (int, string) {
		cancel(errStopped)
		return <-ended, stderr.String()
	}
}

func TestTheTrackerPrintsItsURLAndServesUntilItIsStopped(t *testing.T) {
	announce, stop := startTracker(t, "--listen", "127.0.0.1:0", "--interval", "20s")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := tracker.NewClient(transport)
	for port, want := range []int{0, 1, 2} {
		r, err := client.Announce(t.Context(), announce, tracker.Announce{PeerID: [20]byte{byte(port)}, Port: port + 1, Stats: tracker.Stats{Left: 1}, NumWant: 50})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Addrs) != want || r.Interval.Seconds() != 20 {
			t.Errorf("peer %d: %+v", port, r)
		}
	}
	if code, stderr := stop(); code != 0 || stderr != "" {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestTheTrackerOnATakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	run(t, "tracker", "--listen", l.Addr().String()).expectFailure(t, exitPort, "the port is taken")
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
		if got := announceURL(tcp); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
