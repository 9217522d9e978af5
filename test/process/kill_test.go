package process

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

const (
	// kills is how often a process is killed during one download.
	kills = 20
	// assembly is the engine's budget for pieces in assembly: what a kill
	// may cost at most.
	assembly = 64 << 20
)

// ordeal is a download whose process is killed again and again.
type ordeal struct {
	*ledger
	dir   string
	rng   *rand.Rand
	peers []string
	life  int          // How many there were.
	whole map[int]bool // Pieces that stood on disk when the last one ended.
}

// newOrdeal prepares a download from peers. One more peer has nothing and
// wants nothing: whom the process tells of each piece that it has.
func newOrdeal(t *testing.T, tor *torrent, peers ...*peer) *ordeal {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("PROCESS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the kills were those of PROCESS_SEED=%d", seed)
		}
	})
	o := &ordeal{ledger: newLedger(tor), dir: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 0))}
	peers = append(peers, &peer{has: func(int) bool { return false }})
	for i, p := range peers {
		p.id = byte(i)
		o.peers = append(o.peers, p.start(t, o.ledger).addr)
	}
	return o
}

// begin starts the next process, in the same folder.
func (o *ordeal) begin(t *testing.T, more ...string) *run {
	t.Helper()
	o.life++
	o.ledger.begin(o.life)
	args := []string{"download", o.file, "--output", o.dir, "--port", strconv.Itoa(freeport.For(t)), "--json"}
	for _, p := range o.peers {
		args = append(args, "--peer", p)
	}
	return start(t, append(args, more...)...)
}

// killWhen kills the process as soon as something holds, but not before it
// has told all peers what it has.
func (o *ordeal) killWhen(t *testing.T, r *run, due func(*ledger) bool) {
	t.Helper()
	select {
	case <-o.when(func(l *ledger) bool { return l.greets >= len(o.peers) && due(l) }):
	case <-r.Done():
		t.Fatalf("life %d has ended by itself: %v", o.life, r.Err())
	case <-time.After(patience):
		t.Fatalf("life %d does not get where it is to be killed: %+v", o.life, r.last())
	}
	r.kill(t)
	o.bury(t, r)
}

// bury looks at what a process has left: it must have known all that an
// earlier one had, and from now on nothing that it had may be asked for again.
func (o *ordeal) bury(t *testing.T, r *run) {
	t.Helper()
	before := o.safe.Clone()
	greeted, _ := o.end()
	if greeted != nil {
		var forgotten []int
		for piece := range before.All() {
			if !greeted.Has(piece) {
				forgotten = append(forgotten, piece)
			}
		}
		if len(forgotten) > 0 {
			t.Errorf("life %d does not know pieces %v, which an earlier one had", o.life, forgotten)
		}
		// Whoever made room in memory may have been killed between the last
		// block of a piece that nobody has hashed and the journal.
		unknown := 0
		for piece := range o.whole {
			if !greeted.Has(piece) {
				unknown++
			}
		}
		if unknown > 1 {
			t.Errorf("life %d does not know %d pieces that stand whole on disk", o.life, unknown)
		}
	}
	if s := r.last(); s.Pieces.Have != nil {
		reported, err := bitfield.Parse(s.Pieces.Have, o.PieceCount())
		if err != nil {
			t.Fatal(err)
		}
		o.keep(reported)
	}
	o.whole = o.onDisk(o.dir)
}

// finish runs a last process to its end, and then counts.
func (o *ordeal) finish(t *testing.T, more ...string) {
	t.Helper()
	r := o.begin(t, more...)
	if code := r.wait(t, patience); code != 0 {
		t.Fatalf("exit code %d: %s", code, r.stderr())
	}
	o.bury(t, r)
	if s := r.last(); s.State != download.StateComplete || s.BytesVerified != s.BytesTotal {
		t.Errorf("the last snapshot is %+v", s)
	}
	if err := o.compare(o.dir); err != nil {
		t.Error(err)
	}
	for _, w := range o.wrongs[:min(len(o.wrongs), 5)] {
		t.Error(w)
	}
	if o.fresh != o.Length {
		t.Errorf("%d bytes were sent of %d", o.fresh, o.Length)
	}
	died := int64(o.life - 1)
	t.Logf("%d bytes were sent in %d lives: %d KiB more than there are, %d KiB for each kill",
		o.total, o.life, (o.total-o.Length)>>10, (o.total-o.Length)>>10/max(1, died))
	if most := o.Length + died*assembly; o.total > most {
		t.Errorf("%d bytes were sent, more than the size and the budget for each kill, %d", o.total, most)
	}
}

// moments returns where in a download of so many bytes kills are to come:
// spread over 5 to 95% of it, each a little off.
func (o *ordeal) moments(n int) []int64 {
	var at []int64
	for k := range n {
		percent := 5 + 90*float64(k)/float64(n-1) + o.rng.Float64() - 0.5
		at = append(at, int64(min(max(percent, 5), 95)/100*float64(o.Length)))
	}
	return at
}

// manyFiles is 96 MiB in files of all sizes; hardly any piece ends with one.
func manyFiles(t *testing.T) *torrent {
	l := layout{name: "many", pieceLength: 256 << 10, files: []sized{
		{"README", 1234}, {"empty", 0}, {"train/0.tar", 40<<20 + 13}, {"train/none", 0}, {"train/1.tar", 33<<20 - 7},
	}}
	for i := range 100 {
		l.files = append(l.files, sized{"labels/" + strconv.Itoa(i) + ".json", int64(1 + i*97)})
	}
	l.files = append(l.files, sized{"validation/deep/er.tar", 22<<20 + 1})
	size := int64(0)
	for _, f := range l.files {
		size += f.size
	}
	return newTorrent(t, l, random(3, size))
}

func TestKilledTwentyTimesItFetchesNoPieceAgain(t *testing.T) {
	t.Parallel()
	const usual = 24 << 20
	pace := rate.NewLimiter(usual, block.Size)
	o := newOrdeal(t, manyFiles(t), &peer{pace: pace})
	for k, at := range o.moments(kills) {
		r := o.begin(t)
		pace.SetLimit(usual)
		if k == kills/2 {
			pace.SetLimit(usual / 32) // So slow that what is written is synced meanwhile.
		}
		o.killWhen(t, r, func(l *ledger) bool { return l.fresh >= at })
	}
	pace.SetLimit(usual)
	o.finish(t)
	// One peer at so modest a rate leaves few pieces begun.
	if lost := o.total - o.Length; lost > kills*8*o.PieceLength {
		t.Errorf("%d bytes were fetched again after %d kills, more than 8 pieces for each", lost, kills)
	}
}

// Pieces of 16 MiB of which each peer has but one: all are begun, and far more
// is in them than the budget holds, so their blocks must be on disk and known.
func TestKilledTwentyTimesWithManyLargePiecesBegun(t *testing.T) {
	t.Parallel()
	const pieceLength, pieces = 16 << 20, 12
	size := int64(pieces*pieceLength - 12345)
	tor := newTorrent(t, layout{name: "large", pieceLength: pieceLength, size: size}, random(4, size))
	// Slow enough for a process to keep up: what waits in its sockets when it
	// is killed was sent, but not fetched.
	peers, pace := make([]*peer, pieces), rate.NewLimiter(150<<20, 8*block.Size)
	for i := range peers {
		peers[i] = &peer{has: func(piece int) bool { return piece == i }, pace: pace}
	}
	o := newOrdeal(t, tor, peers...)
	for _, at := range o.moments(kills) {
		o.killWhen(t, o.begin(t), func(l *ledger) bool { return l.fresh >= at })
	}
	o.finish(t)
}

func TestKilledWhileItChecksWhatIsThere(t *testing.T) {
	t.Parallel()
	o := newOrdeal(t, manyFiles(t), &peer{})
	o.killWhen(t, o.begin(t), func(l *ledger) bool { return l.fresh >= l.Length*4/5 })
	early := 0
	for k := range 10 {
		var more []string
		if k%2 == 0 {
			more = []string{"--verify"}
		}
		r := o.begin(t, more...)
		r.await(t, "checking", func(s snapshot) bool { return s.State == download.StateChecking })
		r.kill(t)
		if greeted := o.greetings(); greeted == 0 {
			early++
		}
		o.bury(t, r)
	}
	t.Logf("%d were killed before they had connected to anybody", early)
	if early == 0 {
		t.Error("no process was killed before it had connected to anybody")
	}
	o.finish(t)
}

func TestKilledAroundCompletion(t *testing.T) {
	t.Parallel()
	const pieceLength = 64 << 10
	size := int64(8<<20 + 5)
	for name, due := range map[string]func(*ledger) bool{
		"when the last block leaves":  func(l *ledger) bool { return l.fresh == l.Length },
		"when the last piece is told": func(l *ledger) bool { return l.have.IsFull() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 5 {
				tor := newTorrent(t, layout{name: "small", pieceLength: pieceLength, size: size}, random(uint64(i), size))
				o := newOrdeal(t, tor, &peer{})
				r := o.begin(t)
				select {
				case <-o.when(due):
				case <-r.Done(): // It was faster.
				case <-time.After(patience):
					t.Fatalf("it does not complete: %+v", r.last())
				}
				r.kill(t)
				o.bury(t, r)
				complete := o.safe.IsFull()
				fetched := o.total
				o.finish(t)
				if complete && o.total != fetched {
					t.Errorf("%d bytes were fetched for a complete torrent", o.total-fetched)
				}
			}
		})
	}
	t.Run("when it says that it is complete", func(t *testing.T) {
		t.Parallel()
		o := newOrdeal(t, newTorrent(t, layout{name: "small", pieceLength: pieceLength, size: size}, random(9, size)), &peer{})
		r := o.begin(t, "--seed")
		r.await(t, "complete", func(s snapshot) bool {
			return slices.Contains([]download.State{download.StateSeeding, download.StateComplete}, s.State)
		})
		r.kill(t)
		o.bury(t, r)
		o.finish(t)
		if o.total != size {
			t.Errorf("%d bytes were fetched of %d", o.total, size)
		}
	})
}
