package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// dataset is a folder, its .torrent file, and what is in it.
type dataset struct {
	folder, file string // The folder's parent, and the .torrent file.
	meta         *metainfo.Metainfo
}

func newDataset(t *testing.T, size int, args ...string) dataset {
	t.Helper()
	parent := t.TempDir()
	write(t, parent, "dataset/a.bin", content(size))
	write(t, parent, "dataset/sub/b.bin", content(size/3+1))
	write(t, parent, "dataset/sub/empty", nil)
	d := dataset{folder: parent, file: filepath.Join(parent, "x.torrent")}
	run(t, append([]string{"create", filepath.Join(parent, "dataset"), "-o", d.file, "--piece-length", "64KiB"}, args...)...).expectSuccess(t)
	b, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	if d.meta, err = metainfo.Parse(b); err != nil {
		t.Fatal(err)
	}
	return d
}

// expectIn wants all files of the dataset below a folder.
func (d dataset) expectIn(t *testing.T, folder string) {
	t.Helper()
	for _, f := range d.meta.Info.Files {
		want, err := os.ReadFile(filepath.Join(d.folder, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(folder, f.Path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs (%v)", f.Path, err)
		}
	}
}

// serve seeds the dataset from its own folder and returns the seeder's address.
func (d dataset) serve(t *testing.T) string {
	t.Helper()
	port := freeport.For(t)
	e, err := engine.New(engine.Config{PortFirst: port, PortLast: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	torrent, err := e.Add(engine.Spec{Metainfo: d.meta, Dir: d.folder, Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	for torrent.Progress().State != download.StateSeeding {
		select {
		case <-torrent.Changed():
		case <-torrent.Done():
			t.Fatalf("the seeder ended: %+v", torrent.Progress().Err)
		}
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// follow runs a command line, gives each line of its output to see, and ends
// it when see returns false.
func follow(t *testing.T, see func(line string) bool, args ...string) (code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stdout, w := io.Pipe()
	var errs strings.Builder
	ended := make(chan int, 1)
	go func() {
		code := Run(ctx, newRoot(nil, w, &errs, args...))
		w.Close()
		ended <- code
	}()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if !see(lines.Text()) {
			cancel(errStopped)
		}
	}
	return <-ended, errs.String()
}

func TestDownloadFromAPeerIntoAFolder(t *testing.T) {
	d, out := newDataset(t, 1_000_000), t.TempDir()
	r := run(t, "download", d.file, "-o", out, "--peer", d.serve(t), "--port", strconv.Itoa(freeport.For(t)))
	r.expectSuccess(t)
	d.expectIn(t, out)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "Complete  100%") || !strings.Contains(last, "21/21 pieces") {
		t.Errorf("the last line is %q", last)
	}
	// What is there is found again, without any peer.
	run(t, "download", d.file, "-o", out, "--port", strconv.Itoa(freeport.For(t))).expectSuccess(t)
	run(t, "download", d.file, "-o", out, "--port", strconv.Itoa(freeport.For(t)), "--verify").expectSuccess(t)
}

func TestDownloadByATrackerWithJSON(t *testing.T) {
	urls, stop := startTracker(t, "--listen", "127.0.0.1:0")
	defer stop()
	for _, announce := range urls {
		t.Run(announce[:4], func(t *testing.T) { downloadByTracker(t, announce) })
	}
}

func downloadByTracker(t *testing.T, announce string) {
	d, out := newDataset(t, 300_000, "--tracker", announce), t.TempDir()
	torrent, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	d.serve(t)
	r := runWith(t.Context(), t, torrent, "download", "-", "-o", out, "--port", strconv.Itoa(freeport.For(t)), "--json")
	r.expectSuccess(t)
	d.expectIn(t, out)
	var last jsonProgress
	sawTracker, before := false, ""
	for line := range strings.Lines(r.stdout) {
		if line == before {
			t.Errorf("it is written twice: %s", line)
		}
		last, before = jsonProgress{}, line
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		sawTracker = sawTracker || len(last.Trackers) == 1 && strings.HasPrefix(announce, last.Trackers[0].URL) && last.Trackers[0].Seeds != nil
	}
	if last.State != download.StateComplete || last.BytesVerified != last.BytesTotal || last.CompletedAt == nil || !sawTracker {
		t.Errorf("the last line is %+v; a tracker was shown: %v", last, sawTracker)
	}
}

func TestASecondStartGoesOnWhereTheFirstWasStopped(t *testing.T) {
	d, out := newDataset(t, 3_000_000), t.TempDir()
	peer := d.serve(t)
	var stopped int64
	code, stderr := follow(t, func(line string) bool {
		var p jsonProgress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Error(err)
		}
		stopped = p.BytesVerified
		return p.BytesTotal == 0 || p.BytesVerified < p.BytesTotal/4 // It is 0 until the files are chosen.
	}, "download", d.file, "-o", out, "--peer", peer, "--port", strconv.Itoa(freeport.For(t)), "--json", "--limit-down", "500KiB")
	if code != int(exitStopped) || !strings.Contains(stderr, "the same command goes on from there") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var last jsonProgress
	code, stderr = follow(t, func(line string) bool {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Error(err)
		}
		return true
	}, "download", d.file, "-o", out, "--peer", peer, "--port", strconv.Itoa(freeport.For(t)), "--json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	d.expectIn(t, out)
	if stopped == 0 || last.BytesDownloaded > last.BytesTotal-stopped {
		t.Errorf("%d bytes were there, and %d of %d were fetched again", stopped, last.BytesDownloaded, last.BytesTotal)
	}
}

func TestSeedGoesOnUntilItIsStopped(t *testing.T) {
	d, out := newDataset(t, 200_000), t.TempDir()
	code, stderr := follow(t, func(line string) bool { return !strings.HasPrefix(line, "Seeding") },
		"download", d.file, "-o", out, "--peer", d.serve(t), "--port", strconv.Itoa(freeport.For(t)), "--seed")
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	d.expectIn(t, out)
}

func TestDownloadOnTheWrongFilesAndFolders(t *testing.T) {
	d, dir := newDataset(t, 100_000), t.TempDir()
	text := write(t, dir, "text", []byte("hello"))
	missing := filepath.Join(dir, "missing")
	run(t, "download", missing).expectFailure(t, exitFiles, "no such file")
	run(t, "download", text).expectFailure(t, exitTorrent, "invalid torrent")
	run(t, "download", d.file, "-o", missing).expectFailure(t, exitFiles, "can't use the folder "+missing)
	run(t, "download", d.file, "-o", text).expectFailure(t, exitFiles, "can't use the folder "+text)
	write(t, dir, "dataset/a.bin/in-the-way", []byte("x"))
	r := run(t, "download", d.file, "-o", dir, "--port", strconv.Itoa(freeport.For(t)))
	if r.stdout = ""; r.code == 0 {
		t.Fatal("a folder where a file should be was ignored")
	}
	r.expectFailure(t, exitFiles, "a.bin")
}

func TestDownloadOnATakenPort(t *testing.T) {
	d := newDataset(t, 1000)
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	run(t, "download", d.file, "-o", t.TempDir(), "--port", port).expectFailure(t, exitPort, "port "+port+" is taken")
}

func TestDownloadWithoutSpace(t *testing.T) {
	d, out := newDataset(t, 3_000_000), smallVolume(t, 1<<20)
	peer := d.serve(t)
	for _, extra := range [][]string{nil, {"--preallocate"}} {
		r := run(t, append([]string{"download", d.file, "-o", out, "--peer", peer, "--port", strconv.Itoa(freeport.For(t))}, extra...)...)
		r.stdout = ""
		r.expectFailure(t, exitSpace, "space")
	}
}

func TestDownloadStopsQuicklyWithoutPeers(t *testing.T) {
	d := newDataset(t, 100_000)
	began := time.Now()
	code, _ := follow(t, func(string) bool { return false }, "download", d.file, "-o", t.TempDir(), "--port", strconv.Itoa(freeport.For(t)))
	if code != int(exitStopped) {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > stopWait/2 {
		t.Errorf("it took %v", took)
	}
}

func TestAWebSeedIsEnoughAndIsShown(t *testing.T) {
	d, out := newDataset(t, 300_000), t.TempDir()
	web := httptest.NewServer(http.FileServer(http.Dir(d.folder)))
	defer web.Close()
	seen := false
	code, stderr := follow(t, func(line string) bool {
		var p jsonProgress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Error(err)
		}
		for _, c := range p.Connections {
			seen = seen || c.Source == "webseed" && c.Client == web.URL
		}
		if strings.Contains(line, "passkey") {
			t.Errorf("a secret is told: %s", line)
		}
		return true
	}, "download", d.file, "-o", out, "--web-seed", web.URL+"/?passkey=1", "--port", strconv.Itoa(freeport.For(t)), "--json", "--limit-down", "200KiB")
	if code != 0 || !seen {
		t.Fatalf("exit code %d, the web seed was shown: %v; %s", code, seen, stderr)
	}
	d.expectIn(t, out)
}

func TestHeadersAndCertificatesGoToTheTrackerThatTheyAreFor(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	told := make(chan string, 10)
	tracker := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told <- r.Header.Get("Authorization") + "|" + r.Header.Get("X-Other")
		_, _ = io.WriteString(w, "d8:intervali1800e5:peers0:e")
		stop()
	}))
	defer tracker.Close()
	d := newDataset(t, 100_000, "--tracker", tracker.URL+"/announce")
	folder := t.TempDir()
	write(t, folder, "headers", []byte("authorization:  Bearer s3cret \nX-Other: x\n"))
	write(t, folder, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tracker.Certificate().Raw}))
	runWith(ctx, t, nil, "download", d.file, "--output", d.folder, "--seed", "--port", strconv.Itoa(freeport.For(t)),
		"--headers", tracker.URL+"="+filepath.Join(folder, "headers"), "--ca-bundle", tracker.URL+"="+filepath.Join(folder, "ca.pem")).expectSuccess(t)
	if got := <-told; got != "Bearer s3cret|x" {
		t.Errorf("the tracker got %q", got)
	}
}

func TestCredentialsThatAreWrong(t *testing.T) {
	d := newDataset(t, 1000)
	folder := t.TempDir()
	write(t, folder, "good", []byte("A: s3cret"))
	write(t, folder, "bad", []byte("s3cret"))
	write(t, folder, "empty", nil)
	good := "=" + filepath.Join(folder, "good")
	for _, c := range []struct {
		flag, value string
		code        exitCode
	}{
		{"--headers", "https://a", exitUsage},
		{"--headers", "a.example.org" + good, exitUsage},
		{"--headers", "https://a/path" + good, exitUsage},
		{"--headers", "https://me@a" + good, exitUsage},
		{"--ca-bundle", "ftp://a" + good, exitUsage},
		{"--headers", "https://a=" + filepath.Join(folder, "bad"), exitFiles},
		{"--headers", "https://a=" + filepath.Join(folder, "empty"), exitFiles},
		{"--headers", "https://a=" + filepath.Join(folder, "missing"), exitFiles},
		{"--ca-bundle", "https://a=" + folder, exitFiles},
	} {
		r := run(t, "download", d.file, "--output", d.folder, c.flag, c.value)
		if r.code != int(c.code) || strings.Contains(r.stderr, "s3cret") || !strings.Contains(r.stderr, c.flag) && c.code == exitUsage {
			t.Errorf("%s %s: exit code %d, %s", c.flag, c.value, r.code, r.stderr)
		}
	}
}
