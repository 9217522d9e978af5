package swarmtest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
)

// repeat returns n nodes alike.
func repeat(n int, of Node) []Node {
	out := make([]Node, n)
	for i := range out {
		out[i] = of
	}
	return out
}

// run runs a world, and checks what must be true of every one.
func run(t *testing.T, w *World, until func() bool, limit time.Duration) {
	t.Helper()
	if err := w.Run(until, limit); err != nil {
		t.Fatal(err)
	}
	var sent, received int64
	for i := range w.nodes {
		st := w.Stats(i)
		sent += st.Uploaded
		received += st.Downloaded
		for j := range w.nodes {
			if liar := w.c.Nodes[j]; w.Bans(i, j) && liar.Lies == 0 && liar.LiesOfTorrent == 0 {
				t.Errorf("seed %d: node %d banned node %d, which is honest", w.c.Seed, i, j)
			}
		}
	}
	// Blocks may be under way still, or counted by the world and not yet by
	// the node that is told of them in the same instant.
	if way := w.Sent - w.Received - w.Lost; way < 0 || way > int64(len(w.nodes))*64*blockSize {
		t.Errorf("seed %d: %d bytes sent, %d received, %d lost", w.c.Seed, w.Sent, w.Received, w.Lost)
	}
	if d := w.Sent - sent; d < 0 || d > int64(len(w.nodes))*blockSize {
		t.Errorf("seed %d: %d bytes were sent, the swarms say %d", w.c.Seed, w.Sent, sent)
	}
	if d := w.Received - received; d < 0 || d > int64(len(w.nodes))*blockSize {
		t.Errorf("seed %d: %d bytes were received, the swarms say %d", w.c.Seed, w.Received, received)
	}
}

func copies(w *World, i int) float64 { return float64(w.SentBy(i)) / float64(w.c.Length) }

func TestFiftyLeechersNeedFewCopiesOfTheSeed(t *testing.T) {
	for seed := range uint64(1) {
		w := New(Config{
			Seed: seed, Pieces: 100, PieceLength: 4 * blockSize,
			Nodes: append([]Node{{Complete: true}}, repeat(50, Node{})...),
		})
		run(t, w, w.Done, 10*time.Minute)
		t.Logf("seed %d: done after %v, the seed sent %.2f copies", seed, w.Now(), copies(w, 0))
		if c := copies(w, 0); c > 3 {
			t.Errorf("seed %d: the seed sent %.2f copies, want at most 3", seed, c)
		}
	}
}

func TestSameSeedSameEffects(t *testing.T) {
	hash := func(seed uint64) uint64 {
		w := New(Config{
			Seed: seed, Pieces: 20, PieceLength: 2 * blockSize, Length: 20*2*blockSize - 20_000,
			Nodes: append([]Node{{Complete: true}, {Complete: true, Lies: 0.1}}, repeat(10, Node{})...),
			Loss:  0.01, Break: time.Minute,
		})
		run(t, w, w.Done, 10*time.Minute)
		return w.Hash()
	}
	if a, b := hash(7), hash(7); a != b {
		t.Errorf("the same seed gave two histories: %x, %x", a, b)
	}
	if a, b := hash(7), hash(8); a == b {
		t.Errorf("two seeds gave the same history: %x", a)
	}
}

func TestLiarsAreBannedAndNobodyElse(t *testing.T) {
	for seed := range uint64(3) {
		nodes := append([]Node{{Complete: true}, {Complete: true}}, repeat(12, Node{})...)
		nodes = append(nodes, repeat(6, Node{Complete: true, Lies: 0.2})...)
		w := New(Config{Seed: seed, Pieces: 60, PieceLength: 8 * blockSize, Nodes: nodes})
		run(t, w, w.Done, 20*time.Minute)
		checkLiars(t, w)
	}
}

// checkLiars holds that who stored a wrong block has banned its sender.
func checkLiars(t *testing.T, w *World) {
	t.Helper()
	lied := 0
	for i := range w.nodes {
		for j := range w.nodes {
			if !w.Deceived(i, j) {
				continue
			}
			lied++
			if !w.Bans(i, j) && !w.Shuns(i, j) {
				t.Errorf("seed %d: node %d got wrong bytes of node %d and has not banned it", w.c.Seed, i, j)
			}
		}
	}
	if lied == 0 {
		t.Errorf("seed %d: nobody was deceived, so nothing was tested", w.c.Seed)
	}
}

func TestLiarsBehindOneAddressWithHonestPeers(t *testing.T) {
	ip := netip.MustParseAddr("127.0.0.1")
	nodes := append([]Node{{Complete: true, IP: ip}}, repeat(8, Node{IP: ip})...)
	nodes = append(nodes, repeat(3, Node{Complete: true, Lies: 0.3, IP: ip})...)
	w := New(Config{Seed: 1, Pieces: 40, PieceLength: 4 * blockSize, Nodes: nodes})
	run(t, w, w.Done, 20*time.Minute)
	checkLiars(t, w)
}

func TestOnlyLiarsHaveThePiecesButNotAlways(t *testing.T) {
	// Nobody is honest, and still it ends: most pieces get through, and each
	// that does not costs a liar its connection.
	nodes := append(repeat(30, Node{Complete: true, Lies: 0.02}), repeat(2, Node{})...)
	w := New(Config{Seed: 4, Pieces: 20, PieceLength: 4 * blockSize, Nodes: nodes})
	run(t, w, w.Done, 30*time.Minute)
}

func TestLatencyLossAndBrokenConnections(t *testing.T) {
	nodes := []Node{{Complete: true, Latency: 150 * time.Millisecond}}
	for i := range 15 {
		nodes = append(nodes, Node{
			Latency: time.Duration(5+20*i) * time.Millisecond,
			Up:      int64(32<<10) << (i % 5),
			Down:    int64(128<<10) << (i % 4),
			Plain:   i%3 == 0,
			Starts:  time.Duration(i) * time.Second,
		})
	}
	w := New(Config{
		Seed: 3, Pieces: 40, PieceLength: 4 * blockSize, Length: 40*4*blockSize - 50_001, Nodes: nodes,
		Loss: 0.03, Break: 40 * time.Second,
	})
	run(t, w, w.Done, 20*time.Minute)
}

func TestHighLatencyDoesNotKeepALinkIdle(t *testing.T) {
	// 4 MiB/s at a round trip of 400 ms need 100 blocks under way.
	w := New(Config{Seed: 1, Pieces: 200, PieceLength: 16 * blockSize, Nodes: []Node{
		{Complete: true, Up: 4 * mib, Latency: 100 * time.Millisecond},
		{Down: 8 * mib, Latency: 100 * time.Millisecond},
	}})
	run(t, w, w.Done, 5*time.Minute)
	if best := 50*time.Second/4 + 5*time.Second; w.Now() > best {
		t.Errorf("50 MiB took %v, want at most %v", w.Now(), best)
	}
}

func TestStalledPeersDoNotHoldUpTheRest(t *testing.T) {
	for _, plain := range []bool{false, true} {
		nodes := append([]Node{{Complete: true}}, repeat(5, Node{Plain: plain})...)
		nodes = append(nodes, repeat(5, Node{Complete: true, StallAfter: 20, Plain: plain})...)
		w := New(Config{Seed: 2, Pieces: 40, PieceLength: 4 * blockSize, Nodes: nodes})
		run(t, w, w.Done, 5*time.Minute)
	}
}

func TestEndGameIsCheap(t *testing.T) {
	// One of the seeds is so slow that without end game it would decide when
	// the last piece comes.
	nodes := append(repeat(4, Node{Complete: true}), Node{Complete: true, Up: 2 << 10}, Node{Down: 8 * mib})
	w := New(Config{Seed: 1, Pieces: 100, PieceLength: 4 * blockSize, Nodes: nodes})
	run(t, w, w.Done, time.Minute)
	st := w.Stats(5)
	if st.Wasted*20 > st.Downloaded {
		t.Errorf("%d of %d bytes were wasted", st.Wasted, st.Downloaded)
	}
	if w.Now() > 10*time.Second {
		t.Errorf("6.25 MiB from four seeds of 1 MiB/s took %v", w.Now())
	}
}

func TestSeedMayLeaveAfterOneCopy(t *testing.T) {
	for seed := range uint64(3) {
		w := New(Config{
			Seed: seed, Pieces: 60, PieceLength: 4 * blockSize,
			Nodes: append([]Node{{Complete: true, Up: mib / 4}}, repeat(20, Node{})...),
		})
		run(t, w, func() bool { return w.Spread(0) }, 10*time.Minute)
		t.Logf("seed %d: every piece was out after %v and %.2f copies", seed, w.Now(), copies(w, 0))
		if c := copies(w, 0); c > 2 {
			t.Errorf("seed %d: the seed had to send %.2f copies to get every piece out", seed, c)
		}
		w.Leave(0)
		run(t, w, w.Done, 10*time.Minute)
	}
}

func TestNodesMeetAgainWhenTheTrackerTellsFew(t *testing.T) {
	w := New(Config{
		Seed: 6, Pieces: 30, PieceLength: 2 * blockSize, Addresses: 3,
		Nodes: append([]Node{{Complete: true, MaxPeers: 4}}, repeat(20, Node{MaxPeers: 4})...),
	})
	run(t, w, w.Done, 30*time.Minute)
}

// Without a tracker, who knows one peer gets to know the others from it (BEP
// 11), so that the one may leave.
func TestPeersWhoKnowOnlyOneFindEachOther(t *testing.T) {
	nodes := append([]Node{{Up: 1, Down: 4 << 10, Limit: 4 << 10}, {Complete: true}}, repeat(30, Node{MaxPeers: 12})...)
	w := New(Config{Seed: 1, Pieces: 40, PieceLength: 4 * blockSize, Nodes: nodes, OnlyFirst: true})
	run(t, w, func() bool {
		for i := range nodes {
			if w.Stats(i).Connected < 8 {
				return false
			}
		}
		return true
	}, 5*time.Minute)
	w.Leave(0)
	run(t, w, w.Done, 10*time.Minute)
}

func TestFailureTellsTheSeed(t *testing.T) {
	w := New(Config{Seed: 99, Pieces: 4, PieceLength: blockSize, Nodes: repeat(2, Node{})})
	err := w.Run(w.Done, 5*time.Second)
	if err == nil {
		t.Fatal("a torrent without a seed was completed")
	}
	if want := "seed 99"; fmt.Sprint(err)[:len(want)] != want {
		t.Errorf("the error begins %q", fmt.Sprint(err)[:20])
	}
}

// Under a download limit it is not the peers' fault that blocks come late: they
// are neither hung up on, nor is what they were asked for asked of others too.
func TestALowDownloadLimitBlamesNoPeer(t *testing.T) {
	for _, c := range []struct {
		limit         int64
		seeds, pieces int
	}{{1 << 10, 5, 100}, {20 << 10, 50, 200}, {200 << 10, 70, 500}} {
		nodes := append(repeat(c.seeds, Node{Complete: true}), Node{Down: c.limit, Limit: c.limit})
		w := New(Config{Pieces: c.pieces, PieceLength: 4 * blockSize, Nodes: nodes})
		run(t, w, w.Done, 10*time.Hour)
		st := w.Stats(c.seeds)
		if best := time.Duration(w.c.Length/c.limit) * time.Second; w.Now() > best*21/20+10*time.Second {
			t.Errorf("%d bytes a second took %v, and could take %v", c.limit, w.Now(), best)
		}
		if st.Wasted*20 > st.Downloaded {
			t.Errorf("at %d bytes a second %d of %d were wasted", c.limit, st.Wasted, st.Downloaded)
		}
		for reason, n := range st.Closes {
			switch reason {
			case swarm.ReasonSeeds, swarm.ReasonDuplicate, swarm.ReasonSelf:
			default:
				t.Errorf("at %d bytes a second %d peers were closed: %s", c.limit, n, reason)
			}
		}
	}
}
