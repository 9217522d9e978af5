package swarmtest

import (
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// TestEverybodyGetsWhatTheyWantAndNothingElse has peers that want different
// parts of a torrent, a few of them in order, around one seed that leaves as
// soon as the others have everything between them.
func TestEverybodyGetsWhatTheyWantAndNothingElse(t *testing.T) {
	const pieces = 90
	for seed := range uint64(3) {
		c := Config{Seed: seed, Pieces: pieces, PieceLength: 2 * blockSize, Nodes: []Node{{Complete: true}}, Loss: 0.001}
		for i := range 24 {
			wants := []*bitfield.Bitfield{bitfield.New(pieces), bitfield.New(pieces)}
			for k := range 40 {
				wants[min(1, k/4)].Set((i*15 + k) % pieces)
			}
			c.Nodes = append(c.Nodes, Node{Wants: wants, Sequential: i%4 == 0, Starts: time.Duration(i) * time.Second})
		}
		w := New(c)
		run(t, w, func() bool { return w.Spread(0) }, 10*time.Minute)
		w.Leave(0)
		run(t, w, w.Done, 10*time.Minute)
		for i, n := range w.nodes[1:] {
			have, urgent, rest := n.swarm.Have(), n.c.Wants[0], n.c.Wants[1]
			if have.Count() != urgent.Count()+rest.Count() || !have.Includes(urgent) || !have.Includes(rest) {
				t.Errorf("seed %d: node %d wants %x and %x, and has %x", seed, i+1, urgent.Bytes(), rest.Bytes(), have.Bytes())
			}
		}
	}
}
