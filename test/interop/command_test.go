package interop

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// asCommand is set in the environment of each torrent-operator that is started
// here: it tells a test binary to be that command.
const asCommand = "INTEROP_AS_COMMAND"

// ours starts torrent-operator.
func ours(t *testing.T, name string, args ...string) *process {
	t.Helper()
	cmd := program(append([]string{command}, args...)...)
	cmd.Env = append(cmd.Environ(), asCommand+"=1", "XDG_CACHE_HOME="+t.TempDir()) // Each knows nothing yet of the DHT.
	return start(t, name, cmd)
}

// startDownload starts torrent-operator's download of a torrent into dir.
func startDownload(t *testing.T, name, torrent, dir string, more ...string) *process {
	t.Helper()
	args := []string{"download", torrent, "--output", dir, "--port", strconv.Itoa(freeport.For(t)), "--json", "--dht=false"}
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
	Peers         struct {
		Connected int `json:"connected"`
	} `json:"peers"`
	Connections []connection `json:"connections"`
}

// connection is a peer in a snapshot.
type connection struct {
	Addr     netip.AddrPort `json:"addr"`
	Source   string         `json:"source"`
	Client   string         `json:"client"`
	Incoming bool           `json:"incoming"`
}

// progress returns all snapshots that a torrent-operator has written so far.
func (p *process) progress(t *testing.T) (all []snapshot) {
	t.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var s snapshot
		if json.Unmarshal(line, &s) == nil { // The last line may not be whole yet.
			all = append(all, s)
		}
	}
	return all
}

// last returns the last snapshot that a torrent-operator has written so far;
// it is zero if there is none.
func (p *process) last(t *testing.T) (s snapshot) {
	t.Helper()
	if all := p.progress(t); len(all) > 0 {
		s = all[len(all)-1]
	}
	return s
}
