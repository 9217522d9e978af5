package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/test/freeport"
)

func TestDownloadOfSelectedFiles(t *testing.T) {
	d, out := newDataset(t, 1_000_000), t.TempDir()
	peer := d.serve(t)
	r := run(t, "download", d.file, "-o", out, "--peer", peer, "--port", strconv.Itoa(freeport.For(t)),
		"--include", "sub", "--exclude", "empty", "--priority", "high=b.bin", "--sequential")
	r.expectSuccess(t)
	if lines := strings.Split(strings.TrimSpace(r.stdout), "\n"); !strings.Contains(lines[len(lines)-1], "6/6 pieces") {
		t.Errorf("the last line is %q", lines[len(lines)-1])
	}
	got, err := os.ReadFile(filepath.Join(out, "dataset/sub/b.bin"))
	if err != nil || string(got) != string(content(1_000_000/3+1)) {
		t.Errorf("b.bin differs (%v)", err)
	}
	for _, name := range []string{"a.bin", "sub/empty"} {
		if _, err := os.Stat(filepath.Join(out, "dataset", name)); err == nil {
			t.Errorf("%s is not selected and was made", name)
		}
	}
	run(t, "download", d.file, "-o", out, "--peer", peer, "--port", strconv.Itoa(freeport.For(t))).expectSuccess(t)
	d.expectIn(t, out)
}

func TestDownloadOfNothing(t *testing.T) {
	d, out := newDataset(t, 1000), t.TempDir()
	r := run(t, "download", d.file, "-o", out, "--port", strconv.Itoa(freeport.For(t)), "--include", "*.zip")
	r.stdout = "" // It had begun.
	r.expectFailure(t, exitUsage, `it holds "a.bin", "sub/b.bin", "sub/empty"`)
	if left, _ := os.ReadDir(out); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
}
