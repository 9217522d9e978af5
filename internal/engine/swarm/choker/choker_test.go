package choker

import (
	"math/rand/v2"
	"testing"
	"time"
)

func unchoked(peers []*Peer) (out []int) {
	for i, p := range peers {
		if p.Unchoked {
			out = append(out, i)
		}
	}
	return out
}

func equal(a []int, b ...int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// leechers returns interested peers that give at these rates.
func leechers(rates ...int64) (peers []*Peer) {
	for _, r := range rates {
		peers = append(peers, &Peer{Interested: true, Rate: r, Connected: time.Hour, Waited: time.Minute})
	}
	return peers
}

func TestTitForTat(t *testing.T) {
	peers := leechers(10, 60, 20, 50, 30, 40)
	peers[0].Unchoked, peers[0].Optimistic = true, true
	Choose(peers, Options{Slots: 3})
	if got := unchoked(peers); !equal(got, 0, 1, 3, 5) {
		t.Errorf("unchoked %v, want the three that give most and the optimistic one", got)
	}
	if !peers[0].Optimistic || peers[1].Optimistic {
		t.Error("the optimistic slot moved before its time")
	}
}

func TestUninterestedAndSnubbedPeersGetNoSlot(t *testing.T) {
	peers := leechers(60, 50, 40, 30, 20)
	peers[0].Interested = false
	peers[1].Snubbed = true
	peers[4].Unchoked, peers[4].Optimistic = true, true
	Choose(peers, Options{Slots: 2})
	if got := unchoked(peers); !equal(got, 2, 3, 4) {
		t.Errorf("unchoked %v, want 2, 3 and the optimistic 4", got)
	}
}

func TestOptimisticUnchokeRotates(t *testing.T) {
	seen := map[int]bool{}
	rng := rand.New(rand.NewPCG(1, 1))
	peers := leechers(60, 50, 1, 2, 3, 4)
	for range 40 {
		Choose(peers, Options{Slots: 2, Rotate: true, Random: rng.Uint64()})
		if n := len(unchoked(peers)); n != 3 {
			t.Fatalf("%d unchoked, want 3", n)
		}
		for i, p := range peers {
			if p.Optimistic {
				seen[i] = true
			}
		}
	}
	for i := 2; i < 6; i++ {
		if !seen[i] {
			t.Errorf("peer %d never had the optimistic slot", i)
		}
	}
}

func TestNewcomersAreThreeTimesAsLikely(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	n := 0
	for range 4000 {
		peers := leechers(0, 0)
		peers[1].Connected = time.Second
		Choose(peers, Options{Slots: 0, Rotate: true, Random: rng.Uint64()})
		if peers[1].Optimistic {
			n++
		}
	}
	if n < 2850 || n > 3150 {
		t.Errorf("the newcomer was chosen %d times of 4000, want about 3000", n)
	}
}

func TestOptimisticSlotIsRefilledWhenInterestEnds(t *testing.T) {
	peers := leechers(9, 8, 7)
	peers[2].Unchoked, peers[2].Optimistic, peers[2].Interested = true, true, false
	Choose(peers, Options{Slots: 1})
	if peers[2].Unchoked || peers[2].Optimistic {
		t.Error("a peer without interest keeps the optimistic slot")
	}
	if got := unchoked(peers); !equal(got, 0, 1) {
		t.Errorf("unchoked %v, want both others", got)
	}
}

func TestFewerPeersThanSlots(t *testing.T) {
	peers := leechers(0, 0)
	Choose(peers, Options{Slots: 4})
	if got := unchoked(peers); !equal(got, 0, 1) {
		t.Errorf("unchoked %v, want both", got)
	}
	Choose(nil, Options{Slots: 4})
}

func TestEqualRatesKeepTheirSlots(t *testing.T) {
	peers := leechers(5, 5, 5, 5, 5)
	peers[4].Unchoked, peers[3].Unchoked = true, true
	peers[0].Unchoked, peers[0].Optimistic = true, true
	Choose(peers, Options{Slots: 2})
	if got := unchoked(peers); !equal(got, 0, 3, 4) {
		t.Errorf("unchoked %v, want no change", got)
	}
}

func TestSeedGivesEveryPeerItsTurn(t *testing.T) {
	peers := leechers(make([]int64, 12)...)
	for i, p := range peers {
		p.Waited = time.Duration(i) * time.Second
	}
	turns := make([]int, len(peers))
	for range 120 {
		was := map[*Peer]bool{}
		for _, p := range peers {
			was[p] = p.Unchoked
		}
		Choose(peers, Options{Slots: 3, Seeding: true})
		if n := len(unchoked(peers)); n != 4 {
			t.Fatalf("%d unchoked, want 4", n)
		}
		for i, p := range peers {
			if p.Unchoked && !was[p] {
				turns[i]++
			}
			if p.Unchoked != was[p] {
				p.Waited = 0
			}
			p.Waited += Interval
		}
	}
	for i, n := range turns {
		if n < 6 || n > 7 {
			t.Errorf("peer %d had %d turns of 120 intervals, want 6 or 7: %v", i, n, turns)
		}
	}
}

func TestSeedKeepsTheFastestWhenNobodyWaits(t *testing.T) {
	peers := leechers(1, 9, 5)
	for _, p := range peers {
		p.Unchoked, p.Waited = true, 2*Turn
	}
	Choose(peers, Options{Slots: 1, Seeding: true})
	if got := unchoked(peers); !equal(got, 1, 2) {
		t.Errorf("unchoked %v, want the two fastest", got)
	}
}
