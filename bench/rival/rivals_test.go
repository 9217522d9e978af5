//go:build rivals

package rival

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/bench/light"
	"github.com/torrent-operator/torrent-operator/bench/rig"
)

// patience is how long a transfer may take before it counts as stuck.
const patience = 2 * time.Minute

// TestRivalsDownloadAndSeed lets every rival download a torrent of several
// files from two peers that dial it, and seed what it has got to two more.
func TestRivalsDownloadAndSeed(t *testing.T) {
	payload := rig.Payload{Name: "payload", PieceLength: 256 << 10, Sizes: []int64{20<<20 + 123, 1, 300 << 10}}
	torrent, err := payload.Make(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	clients, err := All(t.Context(), t.TempDir(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		t.Run(c.Name(), func(t *testing.T) {
			if c.Version() == "" || c.Settings() == "" {
				t.Errorf("it is version %q with settings %q, and both should be told", c.Version(), c.Settings())
			}
			dir := t.TempDir()
			download(t, c, torrent, dir)
			if err := torrent.Check(dir); err != nil {
				t.Fatal(err)
			}
			seed(t, c, torrent, dir)
			if err := torrent.Check(dir); err != nil {
				t.Errorf("seeding has changed the payload: %v", err)
			}
		})
	}
}

// download lets a client download into dir.
func download(t *testing.T, c rig.Client, torrent *rig.Torrent, dir string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	job := newJob(t, torrent, dir)
	p, verified := start(ctx, t, c.Leech, job)
	defer p.Stop()
	served := make(chan error, 2)
	seeding, stop := context.WithCancel(ctx)
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		config := light.SeedConfig{
			Torrent: torrent.File, Dir: torrent.Dir, Dial: []string{address(job)}, From: netip.MustParseAddr(from), Out: io.Discard,
		}
		go func() { served <- light.Seed(seeding, config) }()
	}
	_, err := verified.Await(ctx)
	stop()
	for range cap(served) {
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// seed lets a client seed what is in dir.
func seed(t *testing.T, c rig.Client, torrent *rig.Torrent, dir string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	job := newJob(t, torrent, dir)
	p, verified := start(ctx, t, c.Seed, job)
	defer p.Stop()
	if _, err := verified.Await(ctx); err != nil {
		t.Fatal(err)
	}
	err := light.Leech(ctx, light.LeechConfig{
		Torrent: torrent.File, Address: address(job), Connections: 2, From: netip.MustParseAddr("127.0.0.2"),
		Verify: true, Out: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func start(ctx context.Context, t *testing.T, prepare func(rig.Job) (rig.Command, error), job rig.Job) (*rig.Process, *rig.Line) {
	t.Helper()
	c, err := prepare(job)
	if err != nil {
		t.Fatal(err)
	}
	p, lines, err := rig.Start(ctx, t.Name(), c, c.Verified)
	if err != nil {
		t.Fatal(err)
	}
	return p, lines[0]
}

func newJob(t *testing.T, torrent *rig.Torrent, dir string) rig.Job {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return rig.Job{
		Torrent: torrent, Dir: dir, Scratch: t.TempDir(), Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Peers: 2,
	}
}

func address(j rig.Job) string { return net.JoinHostPort(j.Host, strconv.Itoa(j.Port)) }
