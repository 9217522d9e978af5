package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/test/cluster"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// operator is one process of the manager command.
type operator struct {
	*testing.T
	process *cluster.Process
	log     string // The file that it logs to.
	metrics string // URL.
	health  string // URL without a path.
}

// startOperator is startCautiousOperator with leave to connect to loopback,
// where all peers and trackers of the tests are.
func startOperator(t *testing.T, volumes string, flags ...string) *operator {
	t.Helper()
	return startCautiousOperator(t, volumes, append(flags, "--allow-cidrs=127.0.0.0/8")...)
}

// startCautiousOperator starts the manager, waits until it is ready, and stops
// it at the end of the test. It may write below volumes.
func startCautiousOperator(t *testing.T, volumes string, flags ...string) *operator {
	t.Helper()
	metrics, health := freeAddress(t), freeAddress(t)
	o := &operator{T: t, metrics: "http://" + metrics + "/metrics", health: "http://" + health}
	log, err := os.CreateTemp(t.TempDir(), "operator-*.log")
	if err != nil {
		t.Fatal(err)
	}
	o.log = log.Name()
	log.Close()
	o.process, err = cluster.Command{
		Args: append([]string{
			program, "manager", "--executor=in-process", "--kubeconfig=" + kubeconfig, "--node-name=" + node,
			"--local-volume-root=" + volumes, "--listen-ports=21000-29999",
			"--progress-min-interval=500ms", "--log-level=debug",
			"--metrics-bind-address=" + metrics, "--metrics-insecure", "--health-probe-bind-address=" + health,
		}, flags...),
		Log: o.log,
	}.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.process.Stop(20 * time.Second) })
	o.await("it is ready", func() bool { code, _ := o.get(o.health + "/readyz"); return code == http.StatusOK })
	return o
}

// kill ends the process as kill -9 does.
func (o *operator) kill() { o.process.Stop(0) }

// logged returns all that the operator has logged.
func (o *operator) logged() string {
	o.Helper()
	b, err := os.ReadFile(o.log)
	if err != nil {
		o.Fatal(err)
	}
	return string(b)
}

// await waits until ok says so, as long as the operator runs.
func (o *operator) await(what string, ok func() bool) {
	o.Helper()
	awaitOf(o.T, "the operator: "+what, func() bool {
		select {
		case <-o.process.Done():
			o.Fatalf("waiting until %s: the operator has ended: %v", what, o.process.Err())
		default:
		}
		return ok()
	})
}

// get answers with the status code and body of a GET, and 0 if nobody answers.
func (o *operator) get(url string) (code int, body string) {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		o.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(b)
}

// awaitOf waits until ok says so; what names it for whoever reads the failure.
func awaitOf(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	for tick := time.NewTicker(25 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain until %s", what)
		case <-t.Context().Done():
			t.Fatalf("the test ended before %s", what)
		}
	}
}

// freeAddress returns a loopback address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	return "127.0.0.1:" + strconv.Itoa(freeport.For(t))
}

// launch runs a command of the command line until the end of the test, and
// returns the first line that it prints.
func launch(t *testing.T, args ...string) string {
	t.Helper()
	out := &lines{first: make(chan string, 1)}
	p, err := cluster.Command{
		Args: append([]string{program}, args...), Stdout: out, Log: filepath.Join(t.TempDir(), "log"),
	}.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(10 * time.Second) })
	select {
	case line := <-out.first:
		return line
	case <-p.Done():
		t.Fatalf("%s has ended: %v", args[0], p.Err())
	case <-time.After(patience):
		t.Fatalf("%s says nothing", args[0])
	}
	return ""
}

// lines hands on the first line that is written to it, and drops the others.
type lines struct {
	first chan string
	said  strings.Builder
}

// Write is called by one goroutine, that of the process that prints.
func (l *lines) Write(p []byte) (int, error) {
	had := strings.Contains(l.said.String(), "\n")
	if !had {
		fmt.Fprintf(&l.said, "%s", p)
		if line, _, whole := strings.Cut(l.said.String(), "\n"); whole {
			l.first <- line
		}
	}
	return len(p), nil
}
