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
	want  int // A piece that the peer has and that is not verified, or -1 if there is none.
	place int // In Picker.peers.
	dry   int // Picker.version when the peer last had no piece to begin, or -1.

	// short lists rare pieces of the peer to be begun next, in the memory
	// of list.
	short []uint32
	list  [8]uint32
}

// ID returns the number that the peer joined with.
func (r *Peer) ID() ID { return r.id }

// Has says whether the peer has a piece.
func (r *Peer) Has(piece uint32) bool {
	return r.all || r.have != nil && r.have.Has(int(piece))
}

// Complete says whether the peer has every piece.
func (r *Peer) Complete() bool { return r.all }

// Useful says whether the peer has a piece that is not verified here, so that
// it is worth being interested in.
func (r *Peer) Useful() bool { return r.want >= 0 }

// Join adds a peer that has nothing yet.
func (p *Picker) Join(id ID) *Peer {
	r := &Peer{id: id, want: -1, place: len(p.peers), dry: -1}
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
		p.order.leave(r.have)
	}
	r.all, r.have, r.want, r.dry, r.short = false, nil, -1, -1, nil
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
	p.order.join(have)
	p.seek(r)
}

// SetAll says that the peer has every piece.
func (p *Picker) SetAll(r *Peer) {
	p.forget(r)
	r.all = true
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
	r.dry = -1
	p.order.inc(piece)
	if r.want < 0 && !p.have.Has(int(piece)) {
		r.want = int(piece)
	}
}

// seek finds a piece to want of the peer, from the last one on and around.
// Looking again only when that very piece is verified makes a verified piece
// cost a comparison a peer.
func (p *Picker) seek(r *Peer) {
	n := words(p.have)
	w := max(r.want, 0) / 64
	r.want = -1
	if r.have == nil && !r.all {
		return
	}
	verified := p.have.Bytes()
	for range n {
		x := ^word(verified, w)
		if !r.all {
			x &= word(r.have.Bytes(), w)
		}
		if i := w*64 + bits.LeadingZeros64(x); x != 0 && i < p.have.Len() {
			r.want = i
			return
		}
		if w++; w == n {
			w = 0
		}
	}
}
