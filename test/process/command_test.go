package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/test/cluster"
)

// command is the path of torrent-operator, as "make build" makes it.
var command string

// patience is how long anything may take that should take moments.
const patience = time.Minute

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "process")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv("TORRENT_OPERATOR_DHT", "false") // Tests keep to themselves.
	command = filepath.Join(dir, "torrent-operator")
	build := exec.Command("go", "build", "-trimpath", "-o", command, "../..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building torrent-operator: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// run is a process of torrent-operator.
type run struct {
	*cluster.Process
	log string // What it wrote to standard error.

	watching sync.WaitGroup // Who watches it until it ends.

	mu    sync.Mutex
	out   []byte     // What it wrote to standard output.
	lines []snapshot // Those of its lines that are JSON.
	seen  chan struct{}
}

// snapshot is what is read of a line of download --json.
type snapshot struct {
	State           download.State `json:"state"`
	InfoHash        string         `json:"infoHash"`
	Name            string         `json:"name"`
	BytesTotal      int64          `json:"bytesTotal"`
	BytesVerified   int64          `json:"bytesVerified"`
	BytesDownloaded int64          `json:"bytesDownloaded"`
	Pieces          struct {
		Have []byte `json:"have"`
	} `json:"pieces"`
}

// start starts torrent-operator. The process is gone when the test is over,
// however it ends.
func start(t *testing.T, args ...string) *run {
	t.Helper()
	return launch(t, append([]string{command}, args...)...)
}

// launch is start for any program that turns into torrent-operator.
func launch(t *testing.T, args ...string) *run {
	t.Helper()
	r := &run{log: filepath.Join(t.TempDir(), "stderr"), seen: make(chan struct{}, 1)}
	var err error
	r.Process, err = cluster.Command{Args: args, Log: r.log, Stdout: r}.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-r.Done():
		default:
			r.Stop(0)
		}
	})
	return r
}

// Write takes in standard output.
func (r *run) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := bytes.LastIndexByte(r.out, '\n') + 1
	r.out = append(r.out, p...)
	for line := range bytes.Lines(r.out[from:]) {
		var s snapshot
		if json.Unmarshal(line, &s) == nil && s.State != "" {
			r.lines = append(r.lines, s)
		}
	}
	select {
	case r.seen <- struct{}{}:
	default:
	}
	return len(p), nil
}

// last returns the last snapshot; its State is empty if there is none.
func (r *run) last() (s snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.lines); n > 0 {
		s = r.lines[n-1]
	}
	return s
}

// await waits for a snapshot.
func (r *run) await(t *testing.T, what string, ok func(snapshot) bool) {
	t.Helper()
	timeout := time.After(patience)
	next := 0
	for {
		r.mu.Lock()
		for ; next < len(r.lines); next++ {
			if ok(r.lines[next]) {
				r.mu.Unlock()
				return
			}
		}
		r.mu.Unlock()
		select {
		case <-r.seen:
		case <-r.Done():
			t.Fatalf("the process ended (%v) before it was %s", r.Err(), what)
		case <-timeout:
			t.Fatalf("after %v the process is not %s: %+v", patience, what, r.last())
		}
	}
}

// kill ends the process as a kernel out of memory does.
func (r *run) kill(t *testing.T) {
	t.Helper()
	r.signal(syscall.SIGKILL)
	r.wait(t, patience)
}

// signal sends a signal to the process, unless it has been waited for.
func (r *run) signal(s syscall.Signal) {
	select {
	case <-r.Done():
	default:
		syscall.Kill(r.PID(), s) //nolint:errcheck // It may have ended just now.
	}
}

// wait waits for the end and returns the exit code; -1 after a signal.
func (r *run) wait(t *testing.T, most time.Duration) int {
	t.Helper()
	select {
	case <-r.Done():
	case <-time.After(most):
		t.Fatalf("the process has not ended within %v; its last snapshot is %+v", most, r.last())
	}
	r.watching.Wait()
	var exit *exec.ExitError
	switch err := r.Err(); {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		t.Fatal(err)
		return -1
	}
}

// stdout and stderr return what the process has written.
func (r *run) stdout() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.out)
}

func (r *run) stderr() string {
	b, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
