// Package picker decides which blocks of a torrent to ask a peer for next.
//
// It is told what happens (a peer has a piece, a block came, a request was
// lost) and answers one question, [Picker.Pick]. The order of its answers is:
//
//  1. blocks of pieces already begun: those whose request timed out first,
//     then those of pieces that the peer itself began, then those of pieces
//     that nobody works on, then of any others;
//  2. blocks of the rarest piece that the peer has, ties broken at random; of
//     any piece at random while there is nothing yet to trade with others; if
//     pieces are wanted in their order, of the first piece that it has. A
//     more urgent class comes before all that;
//  3. blocks of pieces that were left to others: those that a fast peer took
//     as a whole, and those that failed with this peer's help;
//  4. when every block that can be had has been asked for, end game: blocks
//     that others were asked for and did not bring yet.
//
// The cost of an answer does not depend on how many pieces there are. The
// package is pure and is used by the swarm alone; all randomness derives from
// [Config].Seed.
package picker

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

const (
	// tradable is how many pieces must be verified before the rarest are
	// preferred: until then any piece will do, so that there is soon
	// something that others want.
	tradable = 4
	// rivals is how many peers may be asked for the same block in end game.
	rivals = 2
	// probes is how many pieces are tried in the order of their rarity
	// before the search goes on among the peer's own pieces, and candidates
	// how many of those are compared.
	probes, candidates = 16, 32
	// runBlocks is how many blocks of pieces that follow each other a peer is
	// asked for in a run, if pieces are smaller: 1 MiB.
	runBlocks = 64
	// duels is how many blocks one question gives out in end game.
	duels = 16
	// maxClasses is how many classes of urgency there may be.
	maxClasses = 3
)

// Config describes a torrent to a picker.
type Config struct {
	Pieces     int // Pieces of the torrent.
	Blocks     int // Blocks of every piece but the last.
	LastBlocks int // Blocks of the last piece.
	// Wanted are the pieces to be fetched, in at most three classes, the most
	// urgent first; no piece is in two. nil is everything in one class.
	Wanted     []*bitfield.Bitfield
	Sequential bool               // Pieces of a class are begun in their order.
	Have       *bitfield.Bitfield // The verified pieces. The picker keeps it and changes it.
	Seed       uint64             // All randomness derives from it.
}

// Block is a block of a piece, by its number: its offset in units of 16 KiB.
type Block struct{ Piece, Index uint32 }

// Picker holds what is known of pieces, blocks and peers. It has one owner.
type Picker struct {
	c       Config
	have    *bitfield.Bitfield // Verified.
	missing *bitfield.Bitfield // Wanted and not verified.
	order   *order
	peers   []*Peer
	rng     *rand.Rand

	begun  map[uint32]*piece // Begun and not verified. Never iterated over, but in Active, which sorts.
	open   []*piece          // Of begun, those that are not whole; the first loose have a free block.
	loose  int
	failed map[uint32][]ID // Who had a hand in the last copy of pieces that failed. Never iterated over.
	spare  []*piece        // To be used again.
	others []ID            // Result of Got.

	// version counts how often a piece came back to be begun: a peer that
	// had none to begin has none as long as it stays the same.
	version int
}

// New returns the picker of a torrent.
func New(c Config) *Picker {
	rng := rand.New(rand.NewPCG(c.Seed, 0x7069636b6572))
	p := &Picker{
		c:       c,
		have:    c.Have,
		missing: bitfield.New(c.Pieces),
		order:   newOrder(c.Pieces, c.Wanted, c.Have, rng),
		rng:     rng,
		begun:   map[uint32]*piece{},
		failed:  map[uint32][]ID{},
	}
	for k := range p.order.classes {
		for i := range p.order.classes[k].in.All() { // Nothing is begun yet.
			p.missing.Set(i)
		}
	}
	return p
}

// Missing returns how many pieces are wanted and not verified.
func (p *Picker) Missing() int { return p.missing.Count() }

// Blocks returns how many blocks a piece has.
func (p *Picker) Blocks(piece uint32) int {
	if int(piece) == p.c.Pieces-1 {
		return p.c.LastBlocks
	}
	return p.c.Blocks
}

// InProgress returns how many pieces are begun and not verified.
func (p *Picker) InProgress() int { return len(p.begun) }

// Active returns the pieces that are begun and not verified, in ascending order.
func (p *Picker) Active() []uint32 { return slices.Sorted(maps.Keys(p.begun)) }

// Senders returns who sent each block of a begun piece, [Nobody] for those
// that did not come yet or that were on the disk. It is valid until the piece
// changes.
func (p *Picker) Senders(dst []ID, index uint32) []ID {
	pc := p.begun[index]
	if pc == nil {
		return dst
	}
	for _, b := range pc.blocks {
		if b.state == got {
			dst = append(dst, b.id)
		} else {
			dst = append(dst, Nobody)
		}
	}
	return dst
}

// Whole says whether every block of a piece came and it waits to be verified.
func (p *Picker) Whole(index uint32) bool {
	pc := p.begun[index]
	return pc != nil && pc.got == len(pc.blocks)
}

// Restore says that an earlier run left these blocks of a piece on the disk,
// and whether that is all of them and the piece is wanted.
func (p *Picker) Restore(index uint32, blocks *bitfield.Bitfield) (whole bool) {
	if !p.missing.Has(int(index)) || p.begun[index] != nil {
		return false
	}
	pc := p.begin(index)
	for i := range blocks.All() {
		if i < len(pc.blocks) {
			pc.set(uint32(i), got, Nobody)
		}
	}
	p.settle(pc)
	return pc.got == len(pc.blocks)
}

// Verified says that a whole piece has its right hash.
func (p *Picker) Verified(index uint32) {
	if pc := p.begun[index]; pc != nil {
		p.end(pc)
	}
	delete(p.failed, index)
	p.order.remove(index)
	if !p.have.Set(int(index)) {
		return
	}
	p.missing.Clear(int(index))
	for _, r := range p.peers {
		if r.want == int(index) {
			p.seek(r)
		}
	}
}

// Failed says that a whole piece was wrong, and that all of its blocks are
// gone. It is fetched again from one single peer if that can be, and from
// those suspects only when they have nothing else to give.
func (p *Picker) Failed(index uint32, suspects []ID) {
	if pc := p.begun[index]; pc != nil {
		p.end(pc)
	}
	p.failed[index] = append([]ID{}, suspects...)
	p.order.add(index)
	p.version++
}

// Suspected says whether the peer had a hand in a piece that failed and was not
// got since.
func (p *Picker) Suspected(r *Peer) bool {
	for _, ids := range p.failed {
		if slices.Contains(ids, r.id) {
			return true
		}
	}
	return false
}

// Vanished says that a verified piece was lost.
func (p *Picker) Vanished(index uint32) {
	if !p.have.Clear(int(index)) || p.order.class(index) == nil {
		return
	}
	p.missing.Set(int(index))
	p.order.add(index)
	p.version++
	for _, r := range p.peers {
		if r.want < 0 && r.Has(index) {
			r.want = int(index)
		}
	}
}
