package picker

import (
	"math/bits"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// ID names a peer in the picker's answers: the number of its connection.
// [Nobody] is not a peer.
type ID uint32

// Nobody is the sender of blocks that an earlier run left on the disk.
const Nobody ID = 1<<32 - 1

// Peer is what the picker knows of one connection. [Picker.Join] makes it.
type Peer struct {
	id    ID
	have  *bitfield.Bitfield // nil if the peer has everything or nothing.
	all   bool
	based bool // It counts for every piece, less those that it lacks (order.base).
	want  int  // A missing piece that the peer has, or -1 if there is none.
	place int  // In Picker.peers.

	last uint32 // The piece that the peer was last asked to begin,
	run  int    // and how many before it, and with it, follow each other.

	// dry is, for each class, Picker.version when the peer last had no piece
	// to begin, or -1.
	dry [maxClasses]int
	// short lists rare pieces of one class of the peer to be begun next, in
	// the memory of list.
	short []uint32
	class int
	list  [8]uint32
	// low says, for each class, where to look for the peer's first piece.
	low [maxClasses]lowest
}

// lowest says that a peer has no piece to begin before a word of the set of
// them, as long as Picker.version stays the same.
type lowest struct{ version, word int }

// neverYet is a version that never is.
const neverYet = -1

// moist forgets that the peer has nothing to begin.
func (r *Peer) moist() {
	for k := range maxClasses {
		r.dry[k], r.low[k] = neverYet, lowest{version: neverYet}
	}
}

// among returns the w-th word of those of a set that the peer has.
func (r *Peer) among(f *bitfield.Bitfield, w int) uint64 {
	x := word(f.Bytes(), w)
	switch {
	case r.have != nil:
		x &= word(r.have.Bytes(), w)
	case !r.all:
		x = 0
	}
	return x
}

// ID returns the number that the peer joined with.
func (r *Peer) ID() ID { return r.id }

// Has says whether the peer has a piece.
func (r *Peer) Has(piece uint32) bool {
	return r.all || r.have != nil && r.have.Has(int(piece))
}

// Complete says whether the peer has every piece.
func (r *Peer) Complete() bool { return r.all }

// Count returns how many pieces the peer has, if it does not have all.
func (r *Peer) Count() int {
	if r.have == nil {
		return 0
	}
	return r.have.Count()
}

// Useful says whether the peer has a piece that is wanted and not verified
// here, so that it is worth being interested in.
func (r *Peer) Useful() bool { return r.want >= 0 }

// Join adds a peer that has nothing yet.
func (p *Picker) Join(id ID) *Peer {
	r := &Peer{id: id, want: -1, place: len(p.peers)}
	r.moist()
	p.peers = append(p.peers, r)
	return r
}

// Leave removes a peer. Its requests must have been given back before, by
// [Picker.Lost].
func (p *Picker) Leave(r *Peer) {
	p.Release(r)
	p.forget(r)
	last := p.peers[len(p.peers)-1]
	p.peers[r.place], last.place = last, r.place
	p.peers = p.peers[:len(p.peers)-1]
}

// Release lets others work on the pieces that the peer was left alone with: it
// choked us, went silent, or is about to leave.
func (p *Picker) Release(r *Peer) {
	r.short = nil
	for _, pc := range p.open {
		if pc.owner == r.id {
			pc.owner = Nobody
		}
	}
}

// forget takes back all that the peer was counted for.
func (p *Picker) forget(r *Peer) {
	switch {
	case r.all:
		p.order.decAll()
	case r.have != nil:
		p.order.leave(r.have, r.based)
	}
	r.all, r.based, r.have, r.want, r.short = false, false, nil, -1, nil
	r.moist()
}

// SetHave says that the peer has exactly these pieces. The picker keeps the
// set and changes it.
func (p *Picker) SetHave(r *Peer, have *bitfield.Bitfield) {
	if have.IsFull() {
		p.SetAll(r)
		return
	}
	p.forget(r)
	if have.Count() == 0 {
		return
	}
	r.have = have
	r.based = p.order.join(have)
	p.seek(r)
}

// SetAll says that the peer has every piece.
func (p *Picker) SetAll(r *Peer) {
	p.forget(r)
	r.all, r.based = true, true
	p.order.incAll()
	p.seek(r)
}

// Have says that the peer has one more piece.
func (p *Picker) Have(r *Peer, piece uint32) {
	if r.Has(piece) {
		return
	}
	if r.have == nil {
		r.have = bitfield.New(p.have.Len())
	}
	if r.have.Count()+1 == r.have.Len() {
		p.SetAll(r)
		return
	}
	r.have.Set(int(piece))
	r.moist()
	p.order.inc(piece)
	if r.want < 0 && p.missing.Has(int(piece)) {
		r.want = int(piece)
	}
}

// DontHave says that the peer has lost a piece. What it was asked for of that
// piece is given back, or not, by [Picker.Lost].
func (p *Picker) DontHave(r *Peer, piece uint32) {
	if !r.Has(piece) {
		return
	}
	if r.all {
		r.all, r.have = false, bitfield.Full(p.have.Len())
	}
	r.have.Clear(int(piece))
	p.order.dec(piece)
	if pc := p.begun[piece]; pc != nil && pc.owner == r.id {
		pc.owner = Nobody
	}
	r.short = nil
	if r.have.Count() == 0 {
		p.forget(r)
	} else if r.want == int(piece) {
		p.seek(r)
	}
}

// seek finds a piece to want of the peer, from the last one on and around.
// Looking again only when that very piece is verified makes a verified piece
// cost a comparison a peer.
func (p *Picker) seek(r *Peer) {
	n := words(p.missing)
	w := max(r.want, 0) / 64
	r.want = -1
	if r.have == nil && !r.all {
		return
	}
	for range n {
		if x := r.among(p.missing, w); x != 0 {
			r.want = w*64 + bits.LeadingZeros64(x)
			return
		}
		if w++; w == n {
			w = 0
		}
	}
}
