package picker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// check compares everything that the picker keeps in step with what it can be
// computed from.
func (p *Picker) check() error {
	if err := p.checkOrder(); err != nil {
		return err
	}
	for i, pc := range p.open {
		if pc.place != i {
			return fmt.Errorf("piece %d is at %d and says %d", pc.index, i, pc.place)
		}
		if (pc.free > 0) != (i < p.loose) {
			return fmt.Errorf("piece %d has %d free blocks at %d of %d loose", pc.index, pc.free, i, p.loose)
		}
		if p.begun[pc.index] != pc {
			return fmt.Errorf("piece %d is open and not begun", pc.index)
		}
	}
	whole := 0
	for index, pc := range p.begun {
		if pc.place < 0 {
			whole++
		}
		if p.order.has(index) || p.have.Has(int(index)) {
			return fmt.Errorf("piece %d is begun and also to begin or verified", index)
		}
		if err := pc.check(); err != nil {
			return fmt.Errorf("piece %d: %w", index, err)
		}
	}
	if whole+len(p.open) != len(p.begun) {
		return fmt.Errorf("%d begun, %d open, %d whole", len(p.begun), len(p.open), whole)
	}
	for _, r := range p.peers {
		useful := false
		for i := range p.c.Pieces {
			useful = useful || r.Has(uint32(i)) && !p.have.Has(i) && p.order.class(uint32(i)) != nil
		}
		if useful != r.Useful() || useful && (!p.missing.Has(r.want) || !r.Has(uint32(r.want))) {
			return fmt.Errorf("peer %d: wants %d, useful %v", r.id, r.want, useful)
		}
	}
	return nil
}

func (p *Picker) checkOrder() error {
	o := p.order
	for i := range p.c.Pieces {
		n := 0
		for _, r := range p.peers {
			if r.Has(uint32(i)) {
				n++
			}
		}
		if a := o.availability(uint32(i)); a != n {
			return fmt.Errorf("piece %d: availability %d, want %d", i, a, n)
		}
		c := o.class(uint32(i))
		if missing := c != nil && !p.have.Has(i); missing != p.missing.Has(i) {
			return fmt.Errorf("piece %d: missing %v", i, !missing)
		}
		if c == nil {
			continue
		}
		at := int(o.pos[i])
		if c.list[at] != uint32(i) {
			return fmt.Errorf("piece %d is not where it should stand", i)
		}
		if in := c.in.Has(i); in != (at >= c.start[0]) {
			return fmt.Errorf("piece %d: in %v at %d, %d out", i, in, at, c.start[0])
		} else if in && (at < c.start[n] || at >= c.start[n+1]) {
			return fmt.Errorf("piece %d of availability %d at %d, outside %d..%d", i, n, at, c.start[n], c.start[n+1])
		}
	}
	for k := range o.classes {
		if c := &o.classes[k]; c.start[len(c.start)-1] != len(c.list) {
			return fmt.Errorf("the last border of class %d is %d of %d", k, c.start[len(c.start)-1], len(c.list))
		}
	}
	return nil
}

func (pc *piece) check() error {
	var n [4]int
	for i, b := range pc.blocks {
		n[b.state]++
		if b.state <= late && uint32(i) < pc.low {
			return fmt.Errorf("block %d is free, below %d", i, pc.low)
		}
		if b.state == asked && pc.find(uint32(i), b.id) >= 0 {
			return fmt.Errorf("block %d asked twice of %d", i, b.id)
		}
	}
	if pc.free != n[free]+n[late] || pc.late != n[late] || pc.got != n[got] {
		return fmt.Errorf("free %d, late %d, got %d: want %v", pc.free, pc.late, pc.got, n)
	}
	more := 0
	for _, q := range pc.extra {
		if !q.late {
			more++
		}
		if pc.blocks[q.block].state == got {
			return fmt.Errorf("block %d came and is still waited for", q.block)
		}
	}
	for i, b := range pc.blocks {
		n := 0
		for _, q := range pc.extra {
			if q.block == uint32(i) && !q.late {
				n++
			}
		}
		if int(b.more) != n {
			return fmt.Errorf("block %d: %d more requests, want %d", i, b.more, n)
		}
	}
	if pc.more != more {
		return fmt.Errorf("%d more requests, want %d", pc.more, more)
	}
	return nil
}

// TestModel does random things for a long time and checks that what the picker
// keeps is what follows from what happened, and that outside end game no block
// is asked of two peers unless a request timed out.
func TestModel(t *testing.T) {
	for seed := range uint64(40) {
		if err := model(seed, 1+int(seed)*3, 800, false); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestModelOfASelection does the same where pieces are wanted in classes, or
// not at all, and every other time in their order.
func TestModelOfASelection(t *testing.T) {
	for seed := range uint64(40) {
		if err := model(seed, 1+int(seed)*5, 800, true); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

type request2 struct {
	b    Block
	late bool
}

type world struct {
	p     *Picker
	rng   *rand.Rand
	peers []*Peer
	out   map[*Peer][]request2
	next  ID
	whole []uint32
}

func model(seed uint64, pieces, steps int, some bool) error {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), out: map[*Peer][]request2{}}
	c := Config{Pieces: pieces, Blocks: 4, LastBlocks: 1 + int(seed%4), Have: bitfield.New(pieces), Seed: seed}
	if some {
		c.Sequential = seed%2 == 1
		c.Wanted = []*bitfield.Bitfield{bitfield.New(pieces), bitfield.New(pieces), bitfield.New(pieces)}
		for i := range pieces {
			if k := w.rng.IntN(5); k < len(c.Wanted) {
				c.Wanted[k].Set(i)
			} else if k == 4 {
				c.Have.Set(i)
			}
		}
	}
	w.p = New(c)
	for range steps {
		if err := w.step(); err != nil {
			return err
		}
		if err := w.p.check(); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) step() error {
	k := w.rng.IntN(20)
	if k == 0 || len(w.peers) == 0 {
		w.join()
		return nil
	}
	r := w.peers[w.rng.IntN(len(w.peers))]
	switch {
	case k == 1 && len(w.peers) > 4:
		w.leave(r)
	case k < 4:
		w.p.Have(r, uint32(w.rng.IntN(w.p.c.Pieces)))
	case k == 4:
		w.dontHave(r)
	case k < 9:
		return w.pick(r)
	case k < 16:
		w.answer(r, k)
	case k < 19:
		w.verify()
	default:
		if i := w.rng.IntN(w.p.c.Pieces); w.p.have.Has(i) && w.rng.IntN(4) == 0 {
			w.p.Vanished(uint32(i))
		}
	}
	return nil
}

// dontHave has a peer lose some pieces, and what was asked of it.
func (w *world) dontHave(r *Peer) {
	for range 1 + w.rng.IntN(4) {
		piece := uint32(w.rng.IntN(w.p.c.Pieces))
		w.p.DontHave(r, piece)
		w.out[r] = slices.DeleteFunc(w.out[r], func(q request2) bool {
			if q.b.Piece == piece {
				w.p.Lost(r.id, q.b)
			}
			return q.b.Piece == piece
		})
	}
}

func (w *world) join() {
	r := w.p.Join(w.next)
	w.next++
	w.peers = append(w.peers, r)
	f := bitfield.New(w.p.c.Pieces)
	density := w.rng.IntN(120)
	for i := range w.p.c.Pieces {
		if w.rng.IntN(100) < density {
			f.Set(i)
		}
	}
	w.p.SetHave(r, f)
}

func (w *world) leave(r *Peer) {
	for _, q := range w.out[r] {
		w.p.Lost(r.id, q.b)
	}
	delete(w.out, r)
	w.p.Leave(r)
	for i := range w.peers {
		if w.peers[i] == r {
			w.peers = append(w.peers[:i], w.peers[i+1:]...)
			break
		}
	}
}

func (w *world) pick(r *Peer) error {
	n := 1 + w.rng.IntN(6)
	bs := w.p.Pick(nil, r, n, w.rng.IntN(2) == 0)
	if len(bs) > n {
		return fmt.Errorf("%d blocks where %d were wanted", len(bs), n)
	}
	for _, b := range bs {
		if !r.Has(b.Piece) || !w.p.missing.Has(int(b.Piece)) || int(b.Index) >= w.p.Blocks(b.Piece) {
			return fmt.Errorf("block %v is not to be had of peer %d", b, r.id)
		}
		for s, qs := range w.out {
			for _, q := range qs {
				if q.b != b {
					continue
				}
				if s == r {
					return fmt.Errorf("block %v asked of the same peer again", b)
				}
				if !q.late && !w.p.EndGame() {
					return fmt.Errorf("block %v asked of %d and %d before end game", b, s.id, r.id)
				}
			}
		}
		w.out[r] = append(w.out[r], request2{b: b})
	}
	return nil
}

// answer is what may become of the peer's oldest request.
func (w *world) answer(r *Peer, k int) {
	if len(w.out[r]) == 0 {
		return
	}
	q := w.out[r][0]
	if k == 9 {
		w.p.Late(r.id, q.b)
		w.out[r][0].late = true
		w.p.Release(r)
		return
	}
	w.out[r] = w.out[r][1:]
	if k == 10 {
		w.p.Lost(r.id, q.b)
		return
	}
	whole, others := w.p.Got(r.id, q.b)
	if whole {
		w.whole = append(w.whole, q.b.Piece)
	}
	for _, id := range others {
		for s, qs := range w.out {
			for i := range qs {
				if s.id == id && qs[i].b == q.b {
					w.out[s] = append(qs[:i:i], qs[i+1:]...)
					break
				}
			}
		}
	}
}

func (w *world) verify() {
	if len(w.whole) == 0 {
		return
	}
	index := w.whole[0]
	w.whole = w.whole[1:]
	if w.rng.IntN(4) == 0 {
		w.p.Failed(index, w.p.Senders(nil, index))
	} else {
		w.p.Verified(index)
	}
}
