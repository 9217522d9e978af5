//go:build slow

package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

const (
	// memoryLimit is how much anonymous memory a download may have at most.
	memoryLimit = 100 << 20
	// sampling is how often it is looked at.
	sampling = 20 * time.Millisecond
	// transfer is how long gigabytes may take on a busy machine.
	transfer = 5 * time.Minute
)

func TestMemoryOf4GiB(t *testing.T) {
	staysSmall(t, newTorrent(t, layout{name: "large", pieceLength: 4 << 20, size: 4 << 30}, random(1, 4<<20)))
}

func TestMemoryOf100000Pieces(t *testing.T) {
	staysSmall(t, newTorrent(t, layout{name: "fine", pieceLength: 16 << 10, size: 100_000 * 16 << 10}, random(2, 16<<10)))
}

func TestMemoryOf100TorrentsAtOnce(t *testing.T) {
	torrents := make([]*torrent, 100)
	for i := range torrents {
		l := layout{name: fmt.Sprintf("one-of-many-%d", i), pieceLength: 256 << 10, size: 16<<20 + int64(i)}
		torrents[i] = newTorrent(t, l, random(uint64(i), 256<<10))
	}
	staysSmall(t, torrents...)
}

// staysSmall downloads torrents, all at once, from two peers that are as fast
// as they can, and looks at the memory meanwhile.
func staysSmall(t *testing.T, torrents ...*torrent) {
	dir := t.TempDir()
	args := []string{"download", "--output", dir, "--port", strconv.Itoa(freeport.For(t)), "--json"}
	var ledgers []*ledger
	for _, tor := range torrents {
		l := newLedger(tor)
		l.begin(1)
		ledgers = append(ledgers, l)
		args = append(args, tor.file)
	}
	for i := range 2 {
		args = append(args, "--peer", (&peer{id: byte(i)}).start(t, ledgers...).addr)
	}
	r := start(t, args...)
	peak, samples := watchMemory(r)
	if code := r.wait(t, transfer); code != 0 {
		t.Fatalf("exit code %d: %s", code, r.stderr())
	}
	for _, tor := range torrents {
		if err := tor.compare(dir); err != nil {
			t.Error(err)
		}
	}
	if s := r.last(); s.State != download.StateComplete {
		t.Errorf("the last snapshot is %+v", s)
	}
	t.Logf("peak %.1f MiB in %d samples", float64(*peak)/(1<<20), *samples)
	if *samples < 10 || *peak == 0 {
		t.Fatal("nothing was measured")
	}
	if *peak > memoryLimit {
		t.Errorf("%d bytes of anonymous memory at the peak, more than %d", *peak, memoryLimit)
	}
}

// watchMemory looks at the anonymous memory of a process until it ends. The
// results are there once it has.
func watchMemory(r *run) (peak *int64, samples *int) {
	peak, samples = new(int64), new(int)
	r.watching.Go(func() {
		for tick := time.NewTicker(sampling); ; {
			n, err := anonymous(r.PID())
			if err != nil {
				tick.Stop()
				return
			}
			*peak = max(*peak, n)
			*samples++
			<-tick.C
		}
	})
	return peak, samples
}

// anonymous returns the anonymous memory of a process in bytes. An error says
// that it has ended.
func anonymous(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(b, []byte("RssAnon:"))
	if !ok {
		return 0, os.ErrProcessDone // A zombie.
	}
	kib, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	n, err := strconv.ParseInt(string(kib), 10, 64)
	return n << 10, err
}
