package swarmtest

import (
	"testing"
	"time"
)

// Of the peers that have the torrent, 30% lie about what it is made of and
// about its blocks. Everybody who knows the info hash alone gets all of it,
// bans everybody who lied to them, and nobody else.
func TestSwarmWithLiarsInMetadataAndBlocksCompletes(t *testing.T) {
	for seed := range uint64(6) {
		nodes := repeat(14, Node{Complete: true})
		nodes = append(nodes, repeat(3, Node{Complete: true, LiesOfTorrent: 1, Lies: 0.2})...)
		nodes = append(nodes, repeat(3, Node{Complete: true, LiesOfTorrent: 0.3, Lies: 0.5})...)
		for i := range 10 {
			nodes = append(nodes, Node{Resolves: true, Starts: time.Duration(i) * 3 * time.Second})
		}
		w := New(Config{Seed: seed, Pieces: 60, PieceLength: 4 * blockSize, Nodes: nodes, Metadata: []int{500, 50_000, 400_000}[seed%3], Loss: 0.001})
		run(t, w, w.Done, 30*time.Minute)
		misled := 0
		for i := range w.nodes {
			for j := range w.nodes {
				if !w.Misled(i, j) {
					continue
				}
				misled++
				if !w.Bans(i, j) && !w.Shuns(i, j) {
					t.Errorf("seed %d: node %d was misled by node %d and has not banned it", seed, i, j)
				}
			}
		}
		if misled == 0 {
			t.Errorf("seed %d: nobody was misled, so nothing was tested", seed)
		}
		checkLiars(t, w)
		t.Logf("seed %d: done after %v, %d lies about the torrent", seed, w.Now(), misled)
	}
}

// A single seed is enough for a crowd that knows nothing but the hash: who has
// got the info dictionary passes it on.
func TestMetadataSpreadsThroughACrowdThatHasOnlyTheHash(t *testing.T) {
	nodes := append([]Node{{Complete: true}}, repeat(30, Node{Resolves: true})...)
	w := New(Config{Seed: 3, Pieces: 40, PieceLength: 2 * blockSize, Nodes: nodes, Metadata: 100_000, Break: 30 * time.Second})
	run(t, w, w.Done, 30*time.Minute)
	t.Logf("done after %v", w.Now())
}
