package process

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// seeded is a torrent of some megabytes with a peer that has all of it.
func seeded(t *testing.T, name string, size int64, pace *rate.Limiter) (*torrent, *ledger, *peer) {
	t.Helper()
	tor := newTorrent(t, layout{name: name, pieceLength: 256 << 10, size: size}, random(21, size))
	l := newLedger(tor)
	l.begin(1)
	return tor, l, (&peer{pace: pace}).start(t, l)
}

// exits waits for the end of a worker and holds it to its exit code and to what
// it has left.
func (p *post) exits(t *testing.T, r *run, code int, state download.State) report.Result {
	t.Helper()
	if got := r.wait(t, patience); got != code {
		t.Fatalf("exit code %d, want %d: %s", got, code, r.stderr())
	}
	left := p.result(t)
	if left.Progress.State != state {
		t.Errorf("it left %+v, want %s", left, state)
	}
	return left
}

func TestAWorkerTellsTheOperatorAndLeavesAResult(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	tor, _, peer := seeded(t, "data", 8<<20, nil)
	p := newPost(t, o, tor, peer)
	r := start(t, p.args(t)...)
	left := p.exits(t, r, report.ExitDone, download.StateComplete)
	if q := left.Progress; q.InfoHash != tor.hash.String() || q.BytesVerified != tor.Length || q.NodeName != "node-1" || left.Revision != "1" {
		t.Errorf("it left %+v", left)
	}
	pushes := o.told()
	last := pushes[len(pushes)-1]
	if last.Progress.State != download.StateComplete || last.ID != p.order.ID || last.Progress.Pieces.Verified != tor.PieceCount() {
		t.Errorf("it told last %+v", last)
	}
	if err := tor.compare(p.data); err != nil {
		t.Error(err)
	}
	// Another start finds everything done, and touches nothing else.
	p.exits(t, start(t, p.args(t)...), report.ExitDone, download.StateComplete)

	p.order.Task = report.Erase
	p.exits(t, start(t, p.args(t)...), report.ExitDone, download.StateComplete)
	if files, err := os.ReadDir(p.data); err != nil || len(files) > 0 {
		t.Errorf("erased, and %v is left, %v", files, err)
	}
}

func TestAWorkerNeedsNoOperator(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	tor, _, peer := seeded(t, "data", 8<<20, nil)
	for name, spoil := range map[string]func(*post){
		"nobody listens": func(p *post) { p.order.Endpoint = "localhost:1" },
		"no such name":   func(p *post) { p.order.Endpoint = "operator.invalid:8444" },
		"nobody named":   func(p *post) { p.order.Endpoint = "" },
		"a stranger":     func(p *post) { p.put(t, "ca", newOperator(t).ca) },
		"no certificate": func(p *post) { p.put(t, "ca", nil) },
		"a wrong token":  func(p *post) { p.put(t, "token", []byte("x")) },
	} {
		p := newPost(t, o, tor, peer)
		spoil(p)
		r := start(t, p.args(t)...)
		p.exits(t, r, report.ExitDone, download.StateComplete)
		if err := tor.compare(p.data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if told := o.told(); len(told) > 0 {
		t.Errorf("the operator was told %+v", told)
	}
}

func TestWhatChangesReachesAWorkerThatRuns(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	tor, _, peer := seeded(t, "data", 8<<20, nil)
	p := newPost(t, o, tor, peer)
	p.order.Request.Limits.DownloadBytesPerSecond = 64 << 10 // Two minutes.
	r := start(t, p.args(t)...)
	o.await(t, r, "downloading", func(p report.Push) bool { return p.Progress.State == download.StateDownloading })
	next := p.order.Request
	next.Limits = download.Limits{}
	o.want("2", next)
	left := p.exits(t, r, report.ExitDone, download.StateComplete)
	if left.Revision != "2" {
		t.Errorf("it left %+v", left)
	}
}

func TestAWorkerToldToStopGoesOnInAnother(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const size = 32 << 20
			o := newOperator(t)
			tor, l, peer := seeded(t, "data", size, rate.NewLimiter(16<<20, block.Size))
			p := newPost(t, o, tor, peer)
			r := start(t, p.args(t)...)
			<-l.when(func(l *ledger) bool { return l.fresh >= size/3 })
			r.signal(signal)
			code := report.ExitStopped
			if signal == syscall.SIGKILL {
				code = -1
			}
			p.exits(t, r, code, download.StateDownloading)
			l.end()
			l.begin(2)
			p.exits(t, start(t, p.args(t)...), report.ExitDone, download.StateComplete)
			l.mu.Lock()
			defer l.mu.Unlock()
			if again := l.total - size; again > size/3 || len(l.wrongs) > 0 {
				t.Errorf("%d bytes were fetched again: %v", again, l.wrongs)
			}
		})
	}
}

// One worker has the data and seeds it; another has no peer but that one.
func TestAWorkerServesItsNeighbour(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	tor, _, peer := seeded(t, "data", 8<<20, nil)
	a := newPost(t, o, tor, peer)
	a.exits(t, start(t, a.args(t)...), report.ExitDone, download.StateComplete)
	a.order.Task, a.order.Request.Peers = report.Seed, nil
	a.order.Request.Seeding = download.Seeding{Policy: download.SeedForever}
	seeder := start(t, a.args(t)...)
	at := o.await(t, seeder, "seeding", func(p report.Push) bool { return p.Progress.State == download.StateSeeding })
	if want := "127.0.0.1:" + strconv.Itoa(a.order.Request.Inbound.Port); at.Progress.Address != want {
		t.Errorf("it is reached at %q, want %s", at.Progress.Address, want)
	}
	b := newPost(t, o, tor)
	b.order.ID.UID = "another"
	b.order.Request.Neighbours = []string{at.Progress.Address}
	b.exits(t, start(t, b.args(t)...), report.ExitDone, download.StateComplete)
	if err := tor.compare(b.data); err != nil {
		t.Error(err)
	}
	seeder.signal(syscall.SIGTERM)
	if left := a.exits(t, seeder, report.ExitStopped, download.StateSeeding); left.Progress.Address != "" {
		t.Errorf("it left %+v", left)
	}
}

// seedReadOnly starts a worker that sees its volume as a seeder's Pod does.
func (p *post) seedReadOnly(t *testing.T) *run {
	t.Helper()
	p.order.Task, p.order.Request.Peers = report.Seed, nil
	p.order.Request.Seeding = download.Seeding{Policy: download.SeedForever}
	const script = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ! touch "$0/x" 2>/dev/null && exec "$@"`
	return launch(t, append([]string{"unshare", "--mount", "/bin/sh", "-c", script, p.data, command}, p.args(t)...)...)
}

func TestAWorkerSeedsFromAVolumeThatItCanOnlyRead(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("this test has to run as root, to mount a volume read-only")
	}
	o := newOperator(t)
	tor, _, peer := seeded(t, "data", 8<<20, nil)
	a := newPost(t, o, tor, peer)
	a.exits(t, start(t, a.args(t)...), report.ExitDone, download.StateComplete)
	seeder := a.seedReadOnly(t)
	at := o.await(t, seeder, "seeding", func(p report.Push) bool { return p.Progress.State == download.StateSeeding })
	if at.Progress.CompletedAt.IsZero() || at.Progress.BytesVerified != tor.Length {
		t.Errorf("it seeds %+v", at.Progress)
	}
	b := newPost(t, o, tor)
	b.order.ID.UID = "another"
	b.order.Request.Neighbours = []string{at.Progress.Address}
	b.exits(t, start(t, b.args(t)...), report.ExitDone, download.StateComplete)
	if err := tor.compare(b.data); err != nil {
		t.Error(err)
	}
	seeder.signal(syscall.SIGTERM)
	a.exits(t, seeder, report.ExitStopped, download.StateSeeding)

	if err := os.Truncate(filepath.Join(a.data, "data"), 1<<20); err != nil {
		t.Fatal(err)
	}
	left := a.exits(t, a.seedReadOnly(t), report.ExitFailed, download.StateFailed)
	if f := left.Progress.Err; f.Reason != download.ReasonDataMissing || f.Permanent {
		t.Errorf("with a file that is cut off it left %+v", f)
	}
	a.order.Task, a.order.Request.Peers = report.Download, []string{peer.addr} // As the operator does then.
	a.exits(t, start(t, a.args(t)...), report.ExitDone, download.StateComplete)
	if err := tor.compare(a.data); err != nil {
		t.Error(err)
	}
}

func TestAWorkerThatOnlyResolvesTouchesNoVolume(t *testing.T) {
	t.Parallel()
	tor, _, _ := seeded(t, "data", 8<<20, nil)
	p := newPost(t, newOperator(t), tor)
	p.order.Request.ResolveOnly = true
	args := p.args(t)
	if err := os.Remove(p.data); err != nil {
		t.Fatal(err)
	}
	left := p.exits(t, start(t, args...), report.ExitDone, download.StateWaiting)
	if q := left.Progress; q.InfoHash != tor.hash.String() || q.BytesTotal != tor.Length || q.Name != "data" {
		t.Errorf("it left %+v", left)
	}
}

func TestAWorkerThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	tor, _, peer := seeded(t, "data", 8<<20, nil)
	p := newPost(t, newOperator(t), tor, peer)
	p.order.Request.InfoHash = "0123456789012345678901234567890123456789"
	left := p.exits(t, start(t, p.args(t)...), report.ExitFailed, download.StateFailed)
	if f := left.Progress.Err; f.Reason != download.ReasonInfoHashMismatch || !f.Permanent {
		t.Errorf("it left %+v", f)
	}

	args := p.args(t)
	p.put(t, "order", []byte(`{"Task":"Fly"}`))
	left = p.exits(t, start(t, args...), report.ExitOrder, download.StateFailed)
	if f := left.Progress.Err; !f.Permanent || f.Message == "" {
		t.Errorf("it left %+v", f)
	}
}
