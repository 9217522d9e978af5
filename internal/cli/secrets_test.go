package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

const secret = "s3cr3tPasskey"

// secretURLs returns announce URLs and web seeds that hold the secret and of
// which most fail, each in its own way, and two origins of trackers that do.
func secretURLs(t *testing.T) (trackers, seeds []string, failing [2]string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reason := "unknown passkey in " + r.URL.String()
		switch {
		case strings.HasPrefix(r.URL.Path, "/works"):
			fmt.Fprint(w, "d8:intervali1800e5:peers0:e")
		case strings.HasPrefix(r.URL.Path, "/refuses"):
			fmt.Fprintf(w, "d14:failure reason%d:%se", len(reason), reason)
		case strings.HasPrefix(r.URL.Path, "/moves"):
			http.Redirect(w, r, "http://:bad port/"+secret, http.StatusFound)
		default:
			http.Error(w, reason, http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	gone := "127.0.0.1:" + strconv.Itoa(freeport.For(t))
	return []string{
			s.URL + "/works/" + secret, s.URL + "/refuses?passkey=" + secret, s.URL + "/moves/" + secret, s.URL + "/missing/" + secret,
			strings.Replace(s.URL, "http://", "http://me:"+secret+"@", 1) + "/refuses", "http://" + gone + "/" + secret, "udp://" + gone + "/" + secret,
		},
		[]string{s.URL + "/missing/" + secret + "/", s.URL + "/moves/?key=" + secret, "http://" + gone + "/" + secret + "/"},
		[2]string{s.URL, "http://" + gone}
}

// What stands in paths, queries and user information of URLs may be a passkey,
// and must not come out, whatever becomes of the URL.
func TestDownloadTellsProgramsNoPasskeys(t *testing.T) {
	trackers, seeds, failing := secretURLs(t)
	d := newDataset(t, 100_000)
	var flags []string
	for _, tracker := range trackers {
		flags = append(flags, "--tracker", tracker)
	}
	for _, seed := range seeds {
		flags = append(flags, "--web-seed", seed)
	}
	tried := map[string]bool{}
	_, stderr := follow(t, func(line string) bool {
		if strings.Contains(line, secret) {
			t.Error(line)
		}
		var p jsonProgress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Error(err)
		}
		for _, tracker := range p.Trackers {
			tried[tracker.URL] = tried[tracker.URL] || tracker.LastError != ""
		}
		return !tried[failing[0]] || !tried[failing[1]]
	}, append([]string{"download", "-o", t.TempDir(), "--port", strconv.Itoa(freeport.For(t)), "--json", d.file}, flags...)...)
	if strings.Contains(stderr, secret) {
		t.Error(stderr)
	}
}

// views shows a download in several ways, and stops it when it was seen.
type views struct {
	all  []view
	seen func(p *download.Progress) bool
	stop context.CancelFunc
}

func (v views) show(p *download.Progress, peers []engine.PeerInfo, last bool) {
	for _, one := range v.all {
		one.show(p, peers, last)
	}
	if v.seen(p) {
		v.stop()
	}
}

func TestDownloadTellsPeopleNoPasskeys(t *testing.T) {
	trackers, seeds, failing := secretURLs(t)
	for name, c := range map[string]struct{ trackers, seeds []string }{
		"trackers": {trackers: trackers[1:]}, "web seeds": {seeds: seeds}, "both": {trackers, seeds},
	} {
		t.Run(name, func(t *testing.T) {
			port := freeport.For(t)
			e, err := engine.New(engine.Config{PortFirst: port, PortLast: port})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close(context.WithoutCancel(t.Context()))
			f := downloadFlags{output: t.TempDir(), trackers: c.trackers, webSeeds: c.seeds}
			spec := f.spec(torrent{meta: newDataset(t, 100_000).meta})
			spec.StallTimeout = time.Millisecond
			tor, err := e.Add(spec)
			if err != nil {
				t.Fatal(err)
			}
			var lines, whole, row strings.Builder
			on := func(b *strings.Builder) *terminal.Screen {
				return &terminal.Screen{Out: b, Width: func() int { return 2000 }, Height: func() int { return 50 }}
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			reason := ""
			err = watch(ctx, tor, views{
				all: []view{
					&lineView{terminal.Lines{Out: &lines}}, &screenView{screen: on(&whole)},
					&rowView{board: &board{screen: on(&row), rows: make([]*download.Progress, 1), running: 1}},
				},
				seen: func(p *download.Progress) bool {
					failed := 0
					for _, tracker := range p.Trackers {
						if tracker.LastError != "" {
							failed |= 1 << slices.Index(failing[:], tracker.URL)
						}
					}
					for _, seed := range p.WebSeeds {
						if seed.LastError != "" {
							failed |= 1 << slices.Index(failing[:], seed.URL)
						}
					}
					if failed != 3 || p.Err == nil {
						return false
					}
					reason = p.Err.Message
					return true
				},
				stop: stop,
			})
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("it ended with %v", err)
			}
			for how, b := range map[string]*strings.Builder{"lines": &lines, "screen": &whole} {
				if strings.Contains(b.String(), secret) || !strings.Contains(b.String(), reason) {
					t.Errorf("%s show a secret, or not why it stalls (%s):\n%s", how, reason, b)
				}
			}
			if strings.Contains(row.String(), secret) || row.Len() == 0 {
				t.Errorf("a row shows %q", &row)
			}
		})
	}
}

func TestErrorsOfTheCommandLineTellNoPasskeys(t *testing.T) {
	d := newDataset(t, 1000)
	link := d.meta.Magnet()
	link.Trackers = []string{"http://tracker.example/" + secret}
	base := []string{"download", "-o", t.TempDir(), d.file}
	for what, args := range map[string][]string{
		"a tracker of another scheme":  append(base, "--tracker", "ftp://tracker.example/"+secret),
		"a UDP tracker without a port": append(base, "--tracker", "udp://tracker.example/"+secret),
		"a tracker that is no URL":     append(base, "--tracker", "http://:bad port/"+secret),
		"a web seed":                   append(base, "--web-seed", "udp://me:"+secret+"@seed.example/"+secret),
		"a tracker of a new torrent":   {"create", d.folder, "-o", d.file + "2", "--tracker", "ftp://tracker.example/" + secret},
		"a web seed of a new torrent":  {"create", d.folder, "-o", d.file + "2", "--web-seed", "ftp://seed.example/" + secret},
		"a URL instead of a file":      {"download", "https://tracker.example/download?passkey=" + secret},
		"the same torrent twice":       {"download", link.String(), link.String()},
		"a folder that is missing":     {"download", "-o", d.folder + "/none", link.String()},
	} {
		r := run(t, args...)
		if r.code == 0 || r.stderr == "" || strings.Contains(r.stderr+r.stdout, secret) {
			t.Errorf("%s: exit code %d, and it says %q", what, r.code, r.stderr)
		}
	}
}

// recorder keeps what a logger writes.
type recorder struct {
	mu sync.Mutex
	strings.Builder
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Builder.Write(b)
}

// net/http tells the standard logger what a server sends unasked, which may be
// the URL that it was asked for.
func TestWhatAServerSendsUnaskedIsNotLogged(t *testing.T) {
	var all, kept recorder
	log.SetOutput(io.MultiWriter(&all, discreet{&kept}))
	defer log.SetOutput(os.Stderr)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	answered, hungUp := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(hungUp)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") //nolint:errcheck // The client would say so.
		<-answered
		io.WriteString(conn, "you asked for /"+secret) //nolint:errcheck // As above.
		io.Copy(io.Discard, conn)                      //nolint:errcheck // Until it hangs up.
	}()
	idle := make(chan struct{})
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		PutIdleConn: func(error) { close(idle) },
	}), http.MethodGet, "http://"+l.Addr().String()+"/"+secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	var transport http.Transport
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	<-idle
	close(answered)
	<-hungUp
	log.Print("something else")
	if !strings.Contains(all.String(), secret) {
		t.Errorf("net/http does not log it any more: %q", all.String())
	}
	if got := kept.String(); strings.Contains(got, secret) || !strings.Contains(got, "something else") {
		t.Errorf("the log says %q", got)
	}
}
