package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// ours starts torrent-operator.
func ours(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return start(t, name, append([]string{command}, args...), asCommand+"=1")
}

// download starts torrent-operator's download of a torrent into dir.
func startDownload(t *testing.T, name, torrent, dir string, more ...string) *process {
	t.Helper()
	args := []string{"download", torrent, "--output", dir, "--port", strconv.Itoa(freePort(t)), "--json"}
	return ours(t, name, append(args, more...)...)
}

// createTorrent makes a .torrent file with torrent-operator.
func createTorrent(t *testing.T, torrent, path string, pieceLength int, announce string, more ...string) {
	t.Helper()
	args := []string{
		"create", path, "--output", torrent, "--piece-length", strconv.Itoa(pieceLength), "--tracker", announce,
	}
	run(t, append(append([]string{command}, args...), more...)...)
}

// run runs a program to its end and returns what it prints.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(cmd.Environ(), asCommand+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(argv, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// snapshot is what a test reads of a line of download --json.
type snapshot struct {
	State         download.State `json:"state"`
	BytesTotal    int64          `json:"bytesTotal"`
	BytesVerified int64          `json:"bytesVerified"`
	BytesUploaded int64          `json:"bytesUploaded"`
	BytesWasted   int64          `json:"bytesWasted"`
}

// progress returns the last snapshot that torrent-operator wrote.
func (p *process) progress() (s snapshot, err error) {
	lines := bytes.Split(p.tail(1<<20), []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		if json.Unmarshal(lines[i], &s) == nil && s.State != "" {
			return s, nil
		}
	}
	return s, fmt.Errorf("%s has written no progress", p.name)
}
