package picker

import (
	"slices"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// set returns the set of length n of these integers.
func set(n int, in ...int) *bitfield.Bitfield {
	f := bitfield.New(n)
	for _, i := range in {
		f.Set(i)
	}
	return f
}

// torrent returns a picker of pieces of four blocks, of which the first, have,
// are verified.
func torrent(t *testing.T, pieces, have int) *Picker {
	f := bitfield.New(pieces)
	for i := range have {
		f.Set(i)
	}
	p := New(Config{Pieces: pieces, Blocks: 4, LastBlocks: 4, Have: f, Seed: 1})
	t.Cleanup(func() {
		if err := p.check(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func seed(p *Picker, id ID) *Peer {
	r := p.Join(id)
	p.SetAll(r)
	return r
}

func pieces(bs []Block) []uint32 {
	var out []uint32
	for _, b := range bs {
		if !slices.Contains(out, b.Piece) {
			out = append(out, b.Piece)
		}
	}
	return out
}

func TestTimedOutBlocksComeFirst(t *testing.T) {
	p := torrent(t, 20, 4)
	a, b := seed(p, 1), seed(p, 2)
	first := p.Pick(nil, a, 4, false)
	p.Pick(nil, b, 2, false)
	p.Late(1, first[2])
	p.Release(a)
	got := p.Pick(nil, b, 1, false)
	if len(got) != 1 || got[0] != first[2] {
		t.Errorf("got %v, want the block that timed out, %v", got, first[2])
	}
	for _, again := range p.Pick(nil, a, 40, false) {
		if again == first[2] {
			t.Error("a block was asked again of the peer that let it time out")
		}
	}
}

func TestBegunPiecesComeBeforeNewOnes(t *testing.T) {
	p := torrent(t, 20, 4)
	a, b := seed(p, 1), seed(p, 2)
	begun := p.Pick(nil, a, 1, false)[0].Piece
	got := p.Pick(nil, b, 5, false)
	if want := []Block{{begun, 1}, {begun, 2}, {begun, 3}}; !slices.Equal(got[:3], want) {
		t.Errorf("got %v, want first %v", got, want)
	}
	if got[3].Piece == begun || p.InProgress() != 2 {
		t.Errorf("got %v with %d pieces in progress, want a second piece", got, p.InProgress())
	}
}

func TestOwnPieceComesBeforeThatOfAnother(t *testing.T) {
	p := torrent(t, 20, 4)
	a, b := p.Join(1), p.Join(2)
	p.SetHave(a, set(20, 10, 11))
	p.SetHave(b, set(20, 11))
	own := p.Pick(nil, a, 5, false)[4].Piece // Four blocks of one, one of the other.
	if own != 10 && own != 11 {
		t.Fatalf("piece %d", own)
	}
	if own == 11 {
		p.Pick(nil, b, 1, false) // The piece changes hands, and the next goes on with it.
	}
	got := p.Pick(nil, a, 1, false)
	if len(got) != 1 || got[0].Piece != own {
		t.Errorf("got %v, want piece %d", got, own)
	}
}

func TestFastPeerTakesWholePieces(t *testing.T) {
	p := torrent(t, 20, 4)
	a, b := seed(p, 1), seed(p, 2)
	begun := p.Pick(nil, a, 2, true)[0].Piece
	if got := p.Pick(nil, b, 1, false); got[0].Piece == begun {
		t.Error("another peer was asked for a piece that a fast one took")
	}
	p.Release(a)
	if got := p.Pick(nil, b, 40, false); !slices.Contains(pieces(got), begun) {
		t.Error("the piece stayed with the peer that was released")
	}
}

func TestRarestFirst(t *testing.T) {
	p := torrent(t, 40, 4)
	s := seed(p, 1)
	for id := range ID(5) {
		r := p.Join(10 + id)
		have := bitfield.Full(40)
		have.Clear(30)
		if id < 3 {
			have.Clear(20)
		}
		p.SetHave(r, have)
	}
	got := pieces(p.Pick(nil, s, 12, false))
	if !slices.Equal(got[:2], []uint32{30, 20}) {
		t.Errorf("began %v, want 30 (one peer), 20 (three peers)", got)
	}
}

func TestRarestFirstFollowsHaveAndLeave(t *testing.T) {
	p := torrent(t, 40, 4)
	s, r := seed(p, 1), p.Join(2)
	all := bitfield.Full(40)
	all.Clear(17)
	p.SetHave(r, all)
	q := p.Join(3)
	for i := range 40 {
		if i != 8 {
			p.Have(q, uint32(i))
		}
	}
	p.Have(q, 8)
	if !q.Complete() {
		t.Error("a peer that has said have for every piece is not complete")
	}
	p.Leave(q)
	if got := pieces(p.Pick(nil, s, 4, false)); got[0] != 17 {
		t.Errorf("began %v, want 17", got)
	}
}

func TestTiesAreRandomFromTheSeed(t *testing.T) {
	pick := func(n uint64) uint32 {
		p := New(Config{Pieces: 1000, Blocks: 4, LastBlocks: 4, Have: set(1000, 0, 1, 2, 3), Seed: n})
		return p.Pick(nil, seed(p, 1), 1, false)[0].Piece
	}
	different := map[uint32]bool{}
	for n := range uint64(20) {
		if first, second := pick(n), pick(n); first != second {
			t.Errorf("seed %d gave two answers", n)
		}
		different[pick(n)] = true
	}
	if len(different) < 15 {
		t.Errorf("20 seeds began %d different pieces", len(different))
	}
}

func TestFirstPiecesAreRandomUntilThereIsSomethingToTrade(t *testing.T) {
	rarest := func(have int) int {
		n := 0
		for k := range uint64(50) {
			f := bitfield.New(100)
			for i := range have {
				f.Set(i)
			}
			p := New(Config{Pieces: 100, Blocks: 1, LastBlocks: 1, Have: f, Seed: k})
			s, r := seed(p, 1), p.Join(2)
			all := bitfield.Full(100)
			all.Clear(99)
			p.SetHave(r, all)
			if p.Pick(nil, s, 1, false)[0].Piece == 99 {
				n++
			}
		}
		return n
	}
	if n := rarest(0); n > 10 {
		t.Errorf("the rarest of 100 pieces came first %d times of 50 before there was something to trade", n)
	}
	if n := rarest(tradable); n != 50 {
		t.Errorf("the rarest came first %d times of 50", n)
	}
}

func TestEndGameAsksTwoPeersAndTheFirstAnswerCancels(t *testing.T) {
	p := torrent(t, 5, 4)
	a, b, c := seed(p, 1), seed(p, 2), seed(p, 3)
	first := p.Pick(nil, a, 10, false)
	if len(first) != 4 || !p.EndGame() {
		t.Fatalf("got %v, want the last piece", first)
	}
	if got := p.Pick(nil, a, 10, false); len(got) != 0 {
		t.Errorf("the same peer was asked again for %v", got)
	}
	if got := p.Pick(nil, b, 10, false); len(got) != 4 {
		t.Errorf("the second peer was asked for %v, want four blocks", got)
	}
	if got := p.Pick(nil, c, 10, false); len(got) != 0 {
		t.Errorf("a third peer was asked for %v", got)
	}
	_, others := p.Got(2, first[0])
	if !slices.Equal(others, []ID{1}) {
		t.Errorf("to cancel: %v, want peer 1", others)
	}
	_, others = p.Got(1, first[1])
	if !slices.Equal(others, []ID{2}) {
		t.Errorf("to cancel: %v, want peer 2", others)
	}
	p.Lost(1, first[2])
	if got := p.Pick(nil, c, 10, false); !slices.Contains(got, first[2]) || !slices.Contains(got, first[3]) && p.begun[4].blocks[3].more == 0 {
		t.Errorf("after a loss the third peer was asked for %v", got)
	}
	p.Got(2, first[2])
	if whole, _ := p.Got(2, first[3]); !whole {
		t.Error("the piece is not whole")
	}
}

func TestNoEndGameWhileAPieceCanBeBegun(t *testing.T) {
	p := torrent(t, 6, 4)
	a, b := p.Join(1), p.Join(2)
	p.SetHave(a, set(6, 4, 5))
	p.SetHave(b, set(6, 4))
	p.Pick(nil, b, 4, false)
	if got := p.Pick(nil, b, 4, false); len(got) != 0 {
		t.Errorf("asked for %v", got)
	}
	if got := p.Pick(nil, a, 8, false); slices.Contains(pieces(got), 4) {
		// Peer a has piece 5 to itself, so piece 4 was doubled only after it.
		if got[0].Piece != 5 {
			t.Errorf("asked for %v", got)
		}
	}
}

func TestPieceThatNobodyHasDoesNotKeepEndGameAway(t *testing.T) {
	p := torrent(t, 6, 4)
	a := p.Join(1)
	p.SetHave(a, set(6, 4))
	p.Pick(nil, a, 4, false)
	if !p.EndGame() {
		t.Error("no end game although piece 5 can't be had")
	}
}

func TestAbandonedPieceGoesBack(t *testing.T) {
	p := torrent(t, 20, 4)
	a := seed(p, 1)
	got := p.Pick(nil, a, 3, false)
	for _, b := range got {
		p.Lost(1, b)
	}
	if p.InProgress() != 0 {
		t.Error("a piece of which nothing came and nothing is to come is still begun")
	}
}

func TestLastPieceIsShort(t *testing.T) {
	p := New(Config{Pieces: 2, Blocks: 4, LastBlocks: 1, Have: set(2, 0), Seed: 1})
	got := p.Pick(nil, seed(p, 1), 10, false)
	if !slices.Equal(got, []Block{{1, 0}}) {
		t.Errorf("got %v", got)
	}
	if whole, _ := p.Got(1, got[0]); !whole {
		t.Error("the last piece is not whole after its only block")
	}
}

func TestRestoredBlocksAreNotAskedAgain(t *testing.T) {
	p := torrent(t, 20, 4)
	if p.Restore(9, set(4, 0, 3)) {
		t.Error("half a piece is whole")
	}
	if !p.Restore(10, bitfield.Full(4)) || !p.Whole(10) {
		t.Error("a whole piece is not whole")
	}
	if p.Restore(2, set(4, 1)) || p.begun[2] != nil {
		t.Error("a verified piece was begun")
	}
	got := p.Pick(nil, seed(p, 1), 2, false)
	if !slices.Equal(got, []Block{{9, 1}, {9, 2}}) {
		t.Errorf("got %v, want the rest of the piece on the disk", got)
	}
	p.Got(1, got[0])
	if s := p.Senders(nil, 9); !slices.Equal(s, []ID{Nobody, 1, Nobody, Nobody}) {
		t.Errorf("senders %v", s)
	}
}

func TestFailedPieceIsFetchedFromOneOther(t *testing.T) {
	p := torrent(t, 20, 4)
	a, b, c := seed(p, 1), seed(p, 2), seed(p, 3)
	index := p.Pick(nil, a, 2, false)[0].Piece
	p.Pick(nil, b, 2, false)
	for i := range uint32(4) {
		p.Got(ID(1+i/2), Block{index, i})
	}
	p.Failed(index, []ID{1, 2})
	for _, r := range []*Peer{a, b} {
		if got := pieces(p.Pick(nil, r, 4, false)); slices.Contains(got, index) {
			t.Errorf("peer %d, a suspect, was asked for the piece again", r.ID())
		}
	}
	p2 := p.Pick(nil, c, 70, false)
	if !slices.Contains(pieces(p2), index) {
		t.Fatalf("the third peer was not asked for the piece")
	}
	// In end game too, the piece stays with the one who works on it.
	for _, r := range []*Peer{a, b} {
		if got := pieces(p.Pick(nil, r, 70, false)); slices.Contains(got, index) {
			t.Errorf("peer %d was asked for a piece that has to come from one", r.ID())
		}
	}
}

func TestSuspectGetsTheFailedPieceWhenNothingElseIsLeft(t *testing.T) {
	p := torrent(t, 5, 4)
	a := seed(p, 1)
	for _, b := range p.Pick(nil, a, 4, false) {
		p.Got(1, b)
	}
	p.Failed(4, []ID{1})
	if got := p.Pick(nil, a, 4, false); len(got) != 4 {
		t.Errorf("got %v, want the piece again", got)
	}
}

func TestLostPieceIsFetchedAgain(t *testing.T) {
	p := torrent(t, 5, 5)
	a := seed(p, 1)
	if got := p.Pick(nil, a, 4, false); len(got) != 0 || a.Useful() {
		t.Fatalf("asked for %v of a complete torrent", got)
	}
	p.Vanished(3)
	if got := p.Pick(nil, a, 4, false); len(got) != 4 || got[0].Piece != 3 || !a.Useful() {
		t.Errorf("asked for %v", got)
	}
}

func TestPickOfStaysWithinThePieces(t *testing.T) {
	p := torrent(t, 20, 4)
	a := seed(p, 1)
	got := p.PickOf(nil, a, 6, []uint32{2, 7, 8})
	if want := []uint32{7, 8}; !slices.Equal(pieces(got), want) || len(got) != 6 {
		t.Errorf("got %v, want six blocks of %v", got, want)
	}
	got = p.PickOf(nil, a, 6, []uint32{2, 7, 8})
	if len(got) != 2 {
		t.Errorf("got %v, want the last two blocks of piece 8", got)
	}
}

// TestSparsePeerGetsItsRarePieces drives the search among a peer's own pieces,
// which takes over when the order of all pieces is of no help.
func TestSparsePeerGetsItsRarePieces(t *testing.T) {
	const n = 10_000
	p := New(Config{Pieces: n, Blocks: 1, LastBlocks: 1, Have: set(n, 0, 1, 2, 3), Seed: 3})
	for id := range ID(3) {
		r := p.Join(id)
		have := bitfield.New(n)
		for i := 4; i < n; i++ {
			if i%5000 != 77 || id == 0 {
				have.Set(i)
			}
		}
		p.SetHave(r, have)
	}
	r := p.Join(9)
	p.SetHave(r, set(n, 77, 4000, 5077, 6000, n-1))
	got := pieces(p.Pick(nil, r, 2, false))
	slices.Sort(got)
	if !slices.Equal(got, []uint32{77, 5077}) {
		t.Errorf("began %v, want the two that fewest have", got)
	}
	if got := p.Pick(nil, r, 10, false); len(got) != 3 {
		t.Errorf("got %v, want the peer's other three", got)
	}
	if err := p.check(); err != nil {
		t.Error(err)
	}
}

// Small pieces are begun in runs of 1 MiB, which the disk writes together, as
// long as the next one is as rare and not begun.
func TestSmallPiecesAreBegunInRuns(t *testing.T) {
	const inARun = runBlocks / 4
	p := torrent(t, 400, 4)
	r, other := seed(p, 1), p.Join(2)
	p.SetHave(other, set(400, 100))
	p.begin(200)
	order := pieces(p.Pick(nil, r, 4*399, false))[1:] // The first is the one that was begun.
	runs := 1
	for i := 1; i < len(order); i++ {
		if order[i] != order[i-1]+1 {
			runs++
		}
	}
	if most := 3 * len(order) / inARun; len(order) != 395 || runs < len(order)/inARun || runs > most {
		t.Errorf("%d pieces in %d runs, not in at most %d; their order: %v", len(order), runs, most, order)
	}
	if at := slices.Index(order, 100); at != len(order)-1 {
		t.Errorf("the piece that is less rare was begun as number %d of %d", at, len(order))
	}
}

func TestLargePiecesAreBegunInNoOrder(t *testing.T) {
	p := New(Config{Pieces: 100, Blocks: runBlocks, LastBlocks: runBlocks, Have: set(100, 0, 1, 2, 3), Seed: 1})
	order := pieces(p.Pick(nil, seed(p, 1), 96*runBlocks, false))
	neighbours := 0
	for i := 1; i < len(order); i++ {
		if order[i] == order[i-1]+1 {
			neighbours++
		}
	}
	if len(order) != 96 || neighbours > 40 {
		t.Errorf("%d pieces, of which %d follow the one before: %v", len(order), neighbours, order)
	}
}
