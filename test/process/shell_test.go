package process

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
	"github.com/torrent-operator/torrent-operator/test/cluster"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// write writes a file into a folder of the test's own and returns its path.
func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// volume mounts a file system in memory, which takes root.
func volume(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"+options); err != nil {
		t.Skipf("mounting a small file system takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// expectFailure runs a command line that must fail: with one line on standard
// error that holds a text, nothing but plain lines on standard output, and an
// exit code that the command's help explains.
func expectFailure(t *testing.T, code int, text string, args ...string) {
	t.Helper()
	r := start(t, args...)
	if got := r.wait(t, patience); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	stderr := r.stderr()
	if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "torrent-operator: ") || !strings.Contains(stderr, text) {
		t.Errorf("standard error is %q, want one line with %q", stderr, text)
	}
	if out := r.stdout(); strings.ContainsAny(out, "\x1b\r") || args[0] != "download" && out != "" {
		t.Errorf("standard output is %q", out)
	}
	help := start(t, args[0], "--help")
	if got := help.wait(t, patience); got != 0 {
		t.Errorf("--help has exit code %d", got)
	}
	if line := fmt.Sprintf(`(?m)^  %d  \w`, code); !regexp.MustCompile(line).MatchString(help.stdout()) {
		t.Errorf("%s --help does not explain exit code %d", args[0], code)
	}
}

func TestFailuresTellAShellWhatIsWrong(t *testing.T) {
	tor := newTorrent(t, layout{name: "data", pieceLength: 64 << 10, size: 3 << 20}, random(5, 3<<20))
	whole, err := os.ReadFile(tor.file)
	if err != nil {
		t.Fatal(err)
	}
	v2, err := bencode.Marshal(map[string]any{"info": map[string]any{
		"name": "x", "piece length": 16384, "meta version": 2, "file tree": map[string]any{},
	}})
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	_, port, _ := net.SplitHostPort(taken.Addr().String()) // Of a listener, so it has one.
	peer := (&peer{}).start(t, newLedger(tor)).addr
	text, dir := write(t, "text", []byte("hello")), t.TempDir()
	missing := filepath.Join(dir, "missing")
	cut, unsupported := write(t, "cut", whole[:len(whole)/2]), write(t, "v2", v2)
	inTheWay := t.TempDir()
	if err := os.WriteFile(filepath.Join(inTheWay, "data"), random(6, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		code int
		text string
		args []string
	}{
		{"download nothing", 2, "FILE", []string{"download"}},
		{"download with an unknown flag", 2, "--fast", []string{"download", tor.file, "--fast"}},
		{"download a missing file", 4, missing, []string{"download", missing}},
		{"download what is no torrent", 3, text, []string{"download", text}},
		{"download half a torrent", 3, cut, []string{"download", cut}},
		{"download a torrent of version 2", 3, "v1", []string{"download", unsupported}},
		{"download a folder", 4, dir, []string{"download", dir}},
		{"download into a missing folder", 4, missing, []string{"download", tor.file, "-o", missing}},
		{"download into a file", 4, text, []string{"download", tor.file, "-o", text}},
		{"download over another file", 4, "data", []string{"download", tor.file, "-o", inTheWay, "-p", strconv.Itoa(freeport.For(t))}},
		{"download on an occupied port", 6, port, []string{"download", tor.file, "-o", dir, "-p", port}},
		{"one good and one wrong file", 4, missing, []string{"download", tor.file, missing}},
		{"inspect a missing file", 4, missing, []string{"inspect", missing}},
		{"inspect what is no torrent", 3, text, []string{"inspect", text}},
		{"inspect a folder", 4, dir, []string{"inspect", dir}},
		{"create of a missing path", 4, missing, []string{"create", missing, "-o", filepath.Join(dir, "x.torrent")}},
		{"create into a missing folder", 4, missing, []string{"create", text, "-o", filepath.Join(missing, "x.torrent")}},
		{"create of a name that no torrent may have", 4, "give it another name", []string{"create", write(t, "x\x01", nil), "-o", filepath.Join(dir, "y.torrent")}},
		{"create with a wrong piece length", 2, "piece-length", []string{"create", text, "--piece-length", "ten"}},
		{"track on an occupied port", 6, port, []string{"tracker", "--listen", ":" + port}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			expectFailure(t, c.code, c.text, c.args...)
		})
	}
	t.Run("download without space", func(t *testing.T) {
		expectFailure(t, 5, "space", "download", tor.file, "-o", volume(t, ""), "-p", strconv.Itoa(freeport.For(t)), "--peer", peer)
	})
	t.Run("download to a read-only volume", func(t *testing.T) {
		expectFailure(t, 4, "read-only", "download", tor.file, "-o", volume(t, ",ro"), "-p", strconv.Itoa(freeport.For(t)), "--peer", peer)
	})
	t.Run("create without space", func(t *testing.T) {
		full := volume(t, "")
		if f, err := os.Create(filepath.Join(full, "filler")); err == nil {
			_, err = f.Write(make([]byte, 2<<20))
			f.Close()
			if err == nil {
				t.Fatal("the volume is larger than it should be")
			}
		}
		expectFailure(t, 5, "space", "create", text, "-o", filepath.Join(full, "x.torrent"))
	})
}

func TestWithoutATerminalProgressIsPlainLines(t *testing.T) {
	t.Parallel()
	tor := newTorrent(t, layout{name: "data", pieceLength: 64 << 10, size: 1 << 20}, random(7, 1<<20))
	o := newOrdeal(t, tor, &peer{})
	o.ledger.begin(1)
	r := start(t, "download", tor.file, "-o", o.dir, "-p", strconv.Itoa(freeport.For(t)), "--peer", o.peers[0])
	if code := r.wait(t, patience); code != 0 {
		t.Fatalf("exit code %d: %s", code, r.stderr())
	}
	lines := strings.Split(strings.TrimSuffix(r.stdout(), "\n"), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "Complete  100%  ") {
		t.Errorf("the last line is %q", last)
	}
	if strings.ContainsAny(r.stdout(), "\x1b\r") || len(lines) > 6 || r.stderr() != "" {
		t.Errorf("standard output is %q, standard error %q", r.stdout(), r.stderr())
	}
}

// terminal returns the two ends of a pseudo-terminal of 60 columns and 20 rows.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave, err := cluster.OpenTerminal(60, 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		master.Close()
		slave.Close()
	})
	return master, slave
}

func TestOnATerminalProgressIsRedrawnInPlace(t *testing.T) {
	t.Parallel()
	tor := newTorrent(t, layout{name: "data", pieceLength: 64 << 10, size: 1 << 20}, random(8, 1<<20))
	o := newOrdeal(t, tor, &peer{})
	o.ledger.begin(1)
	master, slave := terminal(t)
	drawn := make(chan []byte, 1)
	go func() {
		var all bytes.Buffer
		_, _ = all.ReadFrom(master) // It ends with an error when nobody has the other end any more.
		drawn <- all.Bytes()
	}()
	p, err := cluster.Command{
		Args:   []string{command, "download", tor.file, "-o", o.dir, "-p", strconv.Itoa(freeport.For(t)), "--peer", o.peers[0]},
		Env:    []string{"TERM=xterm", "LC_ALL=C.UTF-8", "NO_COLOR=1"},
		Log:    filepath.Join(t.TempDir(), "stderr"),
		Stdout: slave,
	}.Start()
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Process: p}
	t.Cleanup(func() { r.signal(unix.SIGKILL) })
	if code := r.wait(t, patience); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	slave.Close()
	out := string(<-drawn)
	if !strings.Contains(out, "A\x1b[J") {
		t.Errorf("nothing is redrawn: %q", out)
	}
	last := strings.Split(strings.TrimSuffix(out[strings.LastIndex(out, "\x1b[J")+3:], "\r\n"), "\r\n")
	if len(last) != 4 || last[0] != "data" || last[1] != strings.Repeat("█", 59) || !strings.HasPrefix(last[2], "Complete  100%") {
		t.Errorf("the last picture is %q", last)
	}
}

func TestHelpOfEveryCommandIsForPeople(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"download", "create", "inspect", "tracker"} {
		out, err := exec.CommandContext(t.Context(), command, name, "--help").Output()
		if err != nil || !bytes.Contains(out, []byte("Exit codes:")) || !bytes.Contains(out, []byte("Usage:")) {
			t.Errorf("%s --help: %v\n%s", name, err, out)
		}
	}
}
