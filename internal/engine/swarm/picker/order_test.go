package picker

import (
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// A peer may have pieces, lose them, and have them again as often as it likes:
// what is counted for it must not drift.
func TestCountsDoNotDrift(t *testing.T) {
	for _, n := range []int{1, 2, 3, 64, 65} {
		p := New(Config{Pieces: n, Blocks: 1, LastBlocks: 1, Have: bitfield.New(n), Seed: 1})
		r := p.Join(1)
		for range 3 {
			for i := range n {
				p.Have(r, uint32(i))
			}
			for i := range n {
				p.DontHave(r, uint32(i))
			}
			if r.Useful() || r.have != nil {
				t.Errorf("of %d pieces, the peer has %v and wants %d", n, r.have, r.want)
			}
			p.SetAll(r)
			p.DontHave(r, uint32(n-1))
			p.Have(r, uint32(n-1))
			if !r.Complete() {
				t.Errorf("of %d pieces, the peer does not have all", n)
			}
			p.SetHave(r, bitfield.New(n))
		}
		if err := p.check(); err != nil {
			t.Error(err)
		}
		if p.order.base != 0 || p.order.classes[0].buckets() > 2 {
			t.Errorf("of %d pieces: base %d, %d buckets", n, p.order.base, p.order.classes[0].buckets())
		}
	}
}

func TestALostPieceIsNotPicked(t *testing.T) {
	p := New(Config{Pieces: 200, Blocks: 1, LastBlocks: 1, Have: bitfield.New(200), Seed: 1})
	r := p.Join(1)
	p.SetHave(r, set(200, 5, 6, 7))
	p.scan(r, 0) // The short list has all three.
	p.DontHave(r, 6)
	for _, b := range p.Pick(nil, r, 3, false) {
		if b.Piece == 6 {
			t.Error("the peer is asked for the piece that it has lost")
		}
	}
}
