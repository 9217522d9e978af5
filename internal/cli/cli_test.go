package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// Tests keep to themselves: no download takes part in the DHT of the Internet.
func TestMain(m *testing.M) {
	os.Setenv(dhtEnv, "false")
	os.Exit(m.Run())
}

// result is how a command line ended.
type result struct {
	code           int
	stdout, stderr string
}

func newRoot(stdin io.Reader, stdout, stderr io.Writer, args ...string) *cobra.Command {
	root := &cobra.Command{Use: "torrent-operator"}
	root.AddCommand(Commands()...)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root
}

// run runs a command line to its end.
func run(t *testing.T, args ...string) result {
	t.Helper()
	return runWith(t.Context(), t, nil, args...)
}

func runWith(ctx context.Context, t *testing.T, stdin []byte, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Run(ctx, newRoot(bytes.NewReader(stdin), &stdout, &stderr, args...))
	return result{code, stdout.String(), stderr.String()}
}

// expectFailure wants an exit code and exactly one line on standard error with
// a text in it, and nothing on standard output.
func (r result) expectFailure(t *testing.T, code exitCode, text string) {
	t.Helper()
	if r.code != int(code) {
		t.Errorf("exit code %d, want %d (%s)", r.code, code, r.stderr)
	}
	if strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "torrent-operator: ") || !strings.Contains(r.stderr, text) {
		t.Errorf("standard error %q, want one line with %q", r.stderr, text)
	}
	if r.stdout != "" {
		t.Errorf("standard output %q", r.stdout)
	}
}

func (r result) expectSuccess(t *testing.T) {
	t.Helper()
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
}

// write writes a file below a folder of the test's own and returns its path.
func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// content returns n bytes that differ from piece to piece.
func content(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func TestWrongCommandLinesExitWithTwo(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"nonsense", "unknown command"},
		{"create", "the PATH of one file or folder"},
		{"create a b", "but got 2"},
		{"create . --nonsense", "unknown flag"},
		{"create . --piece-length ten", "is no size"},
		{"create . --piece-length 100KiB", "power of two"},
		{"create . --piece-length 8KiB", "power of two"},
		{"create . --tracker t.example", "begins with http:// or https:// or udp://"},
		{"create . --web-seed ftp://t.example/", "must be a URL"},
		{"create . --node t.example", "host:port"},
		{"create . --node t.example:70000", "host:port"},
		{"inspect", "one .torrent FILE"},
		{"inspect x --json=maybe", "invalid argument"},
		{"tracker x", "no arguments"},
		{"tracker --interval 0s", "from 1s to 24h"},
		{"tracker --interval 25h", "from 1s to 24h"},
		{"tracker --listen nowhere", "--listen nowhere is no address"},
		{"tracker --listen 127.0.0.1:0 --listen-udp nowhere", "--listen-udp nowhere is no address"},
		{"download", "one .torrent FILE or more"},
		{"download x --port 70000", "--port"},
		{"download x --port ten", "flag: invalid syntax (see"},
		{"download x --max-peers -1", "must not be negative"},
		{"download x --seed-ratio -1", "must not be negative"},
		{"download x --limit-down 10QB", "is no size"},
		{"download x --peer 10.0.0.1", "host:port"},
		{"download x --dht-bootstrap 10.0.0.1", "host:port"},
		{"download x --dht=maybe", "invalid argument"},
		{"download x --allow-peers 10.0.0.1", "is no network"},
		{"download x --deny-peers nonsense/8", "is no network"},
		{"download x --encryption forced", "none of allow, prefer, require and disable"},
		{"download x --tracker udp://t.example", "a udp:// URL needs a port"},
		{"download x --tracker udp://:80", "must be a URL"},
		{"download x --tracker wss://t.example", "http:// or https:// or udp://"},
		{"create . --tracker udp://t.example:0", "a udp:// URL needs a port"},
		{"download x --web-seed ftp://t.example/", "must be a URL"},
		{"download x --seed --seed-ratio 2", "only one of"},
		{"download x --include [a", "malformed"},
		{"download x --exclude a//b", "no path"},
		{"download x --priority a", "high=PATTERN or low=PATTERN"},
		{"download x --priority low=", "a pattern is empty"},
		{"download x --seed-ratio inf", "at most 1000000"},
		{"download x --seed-ratio nan", "at most 1000000"},
	} {
		t.Run(c.args, func(t *testing.T) {
			r := run(t, strings.Fields(c.args)...)
			r.expectFailure(t, exitUsage, c.want)
			if !strings.Contains(r.stderr, "--help") {
				t.Errorf("it does not say where to look: %s", r.stderr)
			}
		})
	}
}

func TestRatiosAreRoundedToAPercentAndNeverToNone(t *testing.T) {
	for ratio, want := range map[float64]int{1.5: 150, 1.15: 115, 0.001: 1, maxSeedRatio: 100 * maxSeedRatio} {
		f := downloadFlags{seedRatio: ratio}
		if got := f.spec(torrent{}).Seeding.RatioPercent; got != want {
			t.Errorf("a ratio of %v is %d%%, want %d%%", ratio, got, want)
		}
	}
}

func TestHelpDocumentsExitCodes(t *testing.T) {
	for _, command := range []string{"download", "create", "inspect", "tracker"} {
		r := run(t, command, "--help")
		if r.expectSuccess(t); !strings.Contains(r.stdout, exitHelp) {
			t.Errorf("%s --help has no exit codes", command)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "1B": 1, "1KiB": 1024, "1Ki": 1024, "1kB": 1000, "10MiB": 10 << 20, "10MiB/s": 10 << 20,
		"1.5GiB": 3 << 29, "2TB": 2e12, "100Mi": 100 << 20,
	} {
		var s size
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%s is %d (%v), want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "10M", "10 MiB", "1e30", "NaN", "Inf", "99999999TiB", "10MiBB", "0x10"} {
		var s size
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken for %d", text, s)
		}
	}
}

// tree writes some files and returns their folder.
func tree(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dataset")
	write(t, dir, "a.bin", content(100_000))
	write(t, dir, "sub/b.bin", content(40_000))
	write(t, dir, "sub/empty", nil)
	return dir
}

func TestCreateAndInspect(t *testing.T) {
	dir, out := tree(t), filepath.Join(t.TempDir(), "x.torrent")
	r := run(t, "create", dir, "-o", out, "--tracker", "https://a.example/announce", "--tracker", "udp://b.example:80",
		"--web-seed", "https://c.example/", "--node", "d.example:6881", "--piece-length", "32KiB", "--private", "--source", "here", "--comment", "for all")
	r.expectSuccess(t)
	for _, want := range []string{"Wrote " + out, "Name:        dataset", "136KiB (140000 bytes)", "5 of 32.0KiB", "Files:       3", "https://a.example/announce (tier 1)", "udp://b.example:80 (tier 2)"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is not in:\n%s", want, r.stdout)
		}
	}
	r = run(t, "inspect", out)
	r.expectSuccess(t)
	for _, want := range []string{"Private:     yes", "Source:      here", "Comment:     for all", "Web seed:    https://c.example/",
		"DHT node:    d.example:6881", "Created:     2", "  97.6KiB  dataset/a.bin", "  39.0KiB  dataset/sub/b.bin", "       0B  dataset/sub/empty"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is not in:\n%s", want, r.stdout)
		}
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	m, err := metainfo.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	r = runWith(t.Context(), t, b, "inspect", "-", "--json")
	r.expectSuccess(t)
	var got inspected
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "dataset" || got.InfoHash != m.InfoHash.String() || got.BytesTotal != 140_000 || got.Pieces != 5 || got.PieceLength != 32<<10 ||
		!got.Private || got.CreationDate == nil || len(got.Files) != 3 || got.Files[1].Path != "dataset/sub/b.bin" || got.Files[1].Offset != 100_000 ||
		len(got.Trackers) != 2 || len(got.WebSeeds) != 1 || len(got.Nodes) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestCreateWithoutDateGivesTheSameBytes(t *testing.T) {
	dir := tree(t)
	one := run(t, "create", dir, "-o", "-", "--no-date")
	two := run(t, "create", dir, "-o", "-", "--no-date")
	one.expectSuccess(t)
	if one.stdout != two.stdout {
		t.Error("the bytes differ")
	}
	if m, err := metainfo.Parse([]byte(one.stdout)); err != nil || !m.CreationDate.IsZero() {
		t.Errorf("%v, dated %v", err, m.CreationDate)
	}
}

func TestCreateWritesIntoTheWorkingFolderAndReplacesNothing(t *testing.T) {
	dir := tree(t)
	t.Chdir(t.TempDir())
	run(t, "create", dir).expectSuccess(t)
	before, err := os.ReadFile("dataset.torrent")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "create", dir, "--comment", "new").expectFailure(t, exitFiles, "exists already")
	if after, err := os.ReadFile("dataset.torrent"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
	run(t, "create", dir, "--comment", "new", "--force").expectSuccess(t)
	if after, err := os.ReadFile("dataset.torrent"); err != nil || bytes.Equal(before, after) {
		t.Errorf("the file was not replaced (%v)", err)
	}
	left, err := os.ReadDir(".")
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestCreateOnTheWrongFiles(t *testing.T) {
	dir, empty := tree(t), t.TempDir()
	missing := filepath.Join(empty, "missing")
	run(t, "create", missing).expectFailure(t, exitFiles, "no such file")
	run(t, "create", empty).expectFailure(t, exitFiles, "no file in this folder")
	run(t, "create", dir, "-o", filepath.Join(missing, "x.torrent")).expectFailure(t, exitFiles, "there is no folder "+missing)
	run(t, "create", dir, "-o", empty).expectFailure(t, exitFiles, "is a folder")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	run(t, "create", dir, "-o", "-").expectFailure(t, exitFiles, filepath.Join(dir, "link"))
}

func TestCreateStopsWithASignal(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStopped)
	out := filepath.Join(t.TempDir(), "x.torrent")
	runWith(ctx, t, nil, "create", tree(t), "-o", out).expectFailure(t, exitStopped, "nothing was written")
	if _, err := os.Stat(out); err == nil {
		t.Error("a file was written")
	}
}

func TestCreateWithoutSpace(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/dev/full is Linux's")
	}
	run(t, "create", tree(t), "-o", "/dev/full").expectFailure(t, exitSpace, "no space left")
}

func TestInspectOnTheWrongFiles(t *testing.T) {
	dir := t.TempDir()
	run(t, "inspect", filepath.Join(dir, "missing")).expectFailure(t, exitFiles, "can't read "+filepath.Join(dir, "missing")+": no such file")
	run(t, "inspect", dir).expectFailure(t, exitFiles, "is a directory")
	run(t, "inspect", "magnet:?xt=urn:btih:1").expectFailure(t, exitTorrent, "1 characters")
	run(t, "inspect", "magnet:?xt=urn:btmh:1220").expectFailure(t, exitTorrent, "version 2")
	run(t, "inspect", "https://a.example/b.torrent").expectFailure(t, exitFiles, "fetch it first")
	run(t, "inspect", write(t, dir, "text", []byte("hello"))).expectFailure(t, exitTorrent, "text: invalid torrent")
	run(t, "inspect", write(t, dir, "empty", nil)).expectFailure(t, exitTorrent, "empty: invalid torrent")
	run(t, "inspect", write(t, dir, "cut", []byte("d8:announce"))).expectFailure(t, exitTorrent, "cut: invalid torrent")
	runWith(t.Context(), t, []byte("x"), "inspect", "-").expectFailure(t, exitTorrent, "standard input: invalid torrent")
}

func TestATorrentsNamesBringNoControlCharactersToTheTerminal(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "x", []byte("x"))
	r := run(t, "create", path, "-o", "-", "--comment", "a\x1b[2Jb")
	r.expectSuccess(t)
	r = runWith(t.Context(), t, []byte(r.stdout), "inspect", "-")
	r.expectSuccess(t)
	if strings.Contains(r.stdout, "\x1b") || !strings.Contains(r.stdout, "Comment:     a?[2Jb") {
		t.Errorf("%q", r.stdout)
	}
}

func TestAnErrorsTextBringsNoControlCharactersToTheTerminal(t *testing.T) {
	var out strings.Builder
	root := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error {
		return errors.New("the tracker\nsays \x1b]0;title\x07 no\u202e")
	}}
	root.SetArgs([]string{})
	root.SetErr(&out)
	if code := Run(t.Context(), root); code != 1 || out.String() != "x: the tracker says ?]0;title? no?\n" {
		t.Errorf("exit code %d, and %q", code, out.String())
	}
}
