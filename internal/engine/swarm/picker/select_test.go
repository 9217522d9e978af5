package picker

import (
	"slices"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// selection returns a picker of pieces of two blocks, wanted in these classes.
func selection(t *testing.T, pieces int, sequential bool, wanted ...*bitfield.Bitfield) *Picker {
	p := New(Config{
		Pieces: pieces, Blocks: 2, LastBlocks: 2, Have: bitfield.New(pieces), Seed: 1, Wanted: wanted, Sequential: sequential,
	})
	t.Cleanup(func() {
		if err := p.check(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// take has all blocks that can be asked of a peer arrive and be verified, a
// piece at a time, and returns the pieces in the order in which they were
// begun.
func take(p *Picker, r *Peer) (order []uint32) {
	for {
		blocks := p.Pick(nil, r, 2, false)
		if len(blocks) == 0 {
			return order
		}
		for _, b := range blocks {
			if !slices.Contains(order, b.Piece) {
				order = append(order, b.Piece)
			}
			if whole, _ := p.Got(r.id, b); whole {
				p.Verified(b.Piece)
			}
		}
	}
}

func TestOnlyWantedPiecesAreAsked(t *testing.T) {
	p := selection(t, 40, false, set(40, 3, 5, 30))
	r := seed(p, 1)
	if !r.Useful() || p.Missing() != 3 {
		t.Fatalf("useful %v, %d missing", r.Useful(), p.Missing())
	}
	got := take(p, r)
	slices.Sort(got)
	if !slices.Equal(got, []uint32{3, 5, 30}) || p.Missing() != 0 {
		t.Errorf("got %v, with %d missing", got, p.Missing())
	}
	if r.Useful() {
		t.Error("a peer is of use that has nothing but what nobody wants")
	}
	p.Have(p.Join(2), 7)
	if got := p.PickOf(nil, r, 4, []uint32{7, 8}); len(got) > 0 {
		t.Errorf("asked for %v, which is allowed or suggested and not wanted", got)
	}
	if p.Restore(9, bitfield.Full(2)) || p.InProgress() != 0 {
		t.Error("blocks of a piece that nobody wants were taken up")
	}
}

func TestMoreUrgentPiecesComeBeforeRarerOnes(t *testing.T) {
	p := selection(t, 40, false, set(40, 10, 11), set(40, 0, 1, 2, 3, 4, 5), set(40, 20))
	for i := range 4 {
		p.have.Set(36 + i) // There is something to trade, so rarity counts.
	}
	r := seed(p, 1)
	for id := range ID(5) { // What is urgent is common.
		p.SetHave(p.Join(10+id), set(40, 10, 11))
	}
	got := take(p, r)
	if len(got) != 9 || max(got[0], got[1]) != 11 || min(got[0], got[1]) != 10 || got[8] != 20 {
		t.Errorf("got %v, want 10 and 11 first and 20 last", got)
	}
}

func TestAPeerWithoutUrgentPiecesIsAskedForOthers(t *testing.T) {
	p := selection(t, 200, false, set(200, 10, 11), set(200, 50, 51))
	r := p.Join(1)
	p.SetHave(r, set(200, 50, 90))
	if got := take(p, r); !slices.Equal(got, []uint32{50}) {
		t.Fatalf("got %v, want piece 50", got)
	}
	p.Have(r, 11)
	if got := take(p, r); !slices.Equal(got, []uint32{11}) {
		t.Errorf("got %v, want piece 11, which the peer has now", got)
	}
}

func TestSequentialOrder(t *testing.T) {
	p := selection(t, 300, true, set(300, 280, 290), set(300, 0, 1, 5, 64, 65, 200))
	a, b := seed(p, 1), p.Join(2)
	p.SetHave(b, set(300, 65, 200, 250))
	if got := p.Pick(nil, b, 2, false); got[0].Piece != 65 {
		t.Errorf("asked for %v, want 65, the first that the peer has", got)
	}
	if got, want := take(p, a), []uint32{280, 290, 0, 1, 5, 64, 200, 65}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: in their order within a class, the one begun by another last", got, want)
	}
}

func TestSequentialOrderGoesBackToWhatCameBack(t *testing.T) {
	p := selection(t, 300, true, bitfield.Full(300))
	r := seed(p, 1)
	first := p.Pick(nil, r, 300, false)
	for _, b := range first[2:] {
		if whole, _ := p.Got(1, b); whole {
			p.Verified(b.Piece)
		}
	}
	p.Lost(1, first[0])
	p.Lost(1, first[1])
	if got := p.Pick(nil, r, 1, false); got[0].Piece != 0 {
		t.Errorf("asked for %v, want piece 0, which was given back", got)
	}
	late := p.Join(2)
	p.SetHave(late, set(300, 299))
	if got := p.Pick(nil, late, 2, false); got[0].Piece != 299 {
		t.Fatalf("asked for %v", got)
	}
	p.Have(late, 200)
	if got := p.Pick(nil, late, 2, false); len(got) == 0 || got[0].Piece != 200 {
		t.Errorf("asked for %v, want 200, which the peer has now", got)
	}
}
