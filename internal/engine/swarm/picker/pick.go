package picker

import (
	"math"
	"math/bits"
	"slices"
)

// Pick appends to dst at most n blocks to be asked of the peer now, and counts
// them as asked for. With whole, the peer is fast enough to get the rest of a
// piece that it begins, and others keep off it. It may return fewer than n, or
// none, also when the peer has something that would be useful later.
func (p *Picker) Pick(dst []Block, r *Peer, n int, whole bool) []Block {
	if !r.Useful() {
		return dst
	}
	end := len(dst) + n
	dst = p.round(dst, r, end, whole, false)
	if len(dst) < end {
		dst = p.round(dst, r, end, whole, true)
	}
	if len(dst) < end && p.EndGame() {
		dst = p.duel(dst, r, min(end, len(dst)+duels))
	}
	return dst
}

// PickOf is Pick for a peer that gives only these pieces now: blocks of others
// are not in the answer.
func (p *Picker) PickOf(dst []Block, r *Peer, n int, pieces []uint32) []Block {
	end := len(dst) + n
	for _, index := range pieces {
		if len(dst) == end || !r.Has(index) || !p.missing.Has(int(index)) {
			continue
		}
		pc := p.begun[index]
		if pc == nil {
			if p.suspect(index, r.id) {
				continue
			}
			pc = p.begin(index)
		}
		if pc.place >= 0 && p.rank(pc, r, true) != never {
			dst = p.ask(dst, pc, r, end)
		}
	}
	return dst
}

// EndGame says whether every piece that can be had was begun, so that blocks
// may be asked of more than one peer.
func (p *Picker) EndGame() bool { return !p.order.obtainable() }

// round gives out blocks of begun pieces, then of new ones. The first round
// passes over what is better left to others, the second, with all, does not.
func (p *Picker) round(dst []Block, r *Peer, end int, whole, all bool) []Block {
	for len(dst) < end {
		pc := p.best(r, all)
		if pc == nil {
			break
		}
		dst = p.ask(dst, pc, r, end)
	}
	for len(dst) < end {
		index, ok := p.fresh(r, all)
		if !ok {
			break
		}
		r.last, r.run = index, r.run+1
		pc := p.begin(index)
		pc.whole = whole
		dst = p.ask(dst, pc, r, end)
	}
	return dst
}

const never = math.MaxInt

// best returns the begun piece that the peer should go on with.
func (p *Picker) best(r *Peer, all bool) *piece {
	var best *piece
	least := never
	for _, pc := range p.open[:p.loose] {
		if !r.Has(pc.index) {
			continue
		}
		if k := p.rank(pc, r, all); k < least {
			best, least = pc, k
		}
	}
	return best
}

// rank orders begun pieces for a peer, least first; [never] is not at all.
// Among equals, the one with the fewest free blocks is ended first.
func (p *Picker) rank(pc *piece, r *Peer, all bool) int {
	n := pc.freeFor(r.id)
	held := pc.owner != Nobody && pc.owner != r.id
	failed := len(p.failed) > 0 && p.failed[pc.index] != nil
	switch {
	case n == 0, failed && held:
		return never
	case !all && (held && pc.whole || failed && p.suspect(pc.index, r.id)):
		return never
	}
	const step = 1 << 20 // More than a piece can have blocks.
	switch {
	case pc.late > 0:
	case pc.owner == r.id:
		n += step
	case pc.owner == Nobody:
		n += 2 * step
	default:
		n += 3 * step
	}
	return n
}

func (p *Picker) suspect(index uint32, id ID) bool {
	return len(p.failed) > 0 && slices.Contains(p.failed[index], id)
}

// ask gives out the free blocks of a piece, those that timed out first.
func (p *Picker) ask(dst []Block, pc *piece, r *Peer, end int) []Block {
	if pc.late > 0 {
		dst = p.askState(dst, pc, r, end, late)
	}
	dst = p.askState(dst, pc, r, end, free)
	pc.owner = r.id
	p.settle(pc)
	return dst
}

func (p *Picker) askState(dst []Block, pc *piece, r *Peer, end int, s state) []Block {
	for i := pc.low; i < uint32(len(pc.blocks)) && len(dst) < end; i++ {
		if pc.blocks[i].state != s || len(pc.extra) > 0 && pc.find(i, r.id) >= 0 {
			continue
		}
		pc.set(i, asked, r.id)
		dst = append(dst, Block{pc.index, i})
	}
	for pc.low < uint32(len(pc.blocks)) && pc.blocks[pc.low].state > late {
		pc.low++
	}
	return dst
}

// duel gives out blocks that other peers were asked for and did not bring yet.
// A piece that failed stays with the one who works on it, so that there is
// somebody to blame.
func (p *Picker) duel(dst []Block, r *Peer, end int) []Block {
	if len(p.open) == 0 {
		return dst
	}
	first := p.rng.IntN(len(p.open))
	for k := range p.open {
		pc := p.open[(first+k)%len(p.open)]
		out := len(pc.blocks) - pc.free - pc.got
		if !r.Has(pc.index) || pc.more >= out*(rivals-1) || p.failed[pc.index] != nil {
			continue
		}
		for i := len(pc.blocks) - 1; i >= 0 && len(dst) < end; i-- {
			b := &pc.blocks[i]
			if b.state != asked || b.id == r.id || b.more >= rivals-1 || pc.find(uint32(i), r.id) >= 0 {
				continue
			}
			pc.add(request{block: uint32(i), id: r.id})
			dst = append(dst, Block{pc.index, uint32(i)})
		}
	}
	return dst
}

// fresh returns the piece that the peer should begin: one of the most urgent
// class of which it has any.
func (p *Picker) fresh(r *Peer, all bool) (uint32, bool) {
	if all && len(p.failed) == 0 {
		return 0, false
	}
	for k := range p.order.classes {
		if !all && r.dry[k] == p.version {
			continue
		}
		if index, ok := p.freshOf(r, k, all); ok {
			return index, true
		}
		if !all {
			r.dry[k] = p.version
		}
	}
	return 0, false
}

// freshOf returns the piece of a class that the peer should begin.
func (p *Picker) freshOf(r *Peer, k int, all bool) (uint32, bool) {
	if p.c.Sequential {
		return p.lowest(r, k, all)
	}
	if index, ok := p.neighbour(r, k); ok {
		return index, true
	}
	if index, ok := p.listed(r, k, all); ok {
		return index, true
	}
	c, left := &p.order.classes[k], probes
	first := min(1, c.buckets())
	if p.have.Count() < tradable {
		if index, ok := p.probe(r, c.list[c.start[first]:], &left, all); ok {
			return index, true
		}
	} else {
		for b := first; b < c.buckets() && left > 0; b++ {
			if index, ok := p.probe(r, c.list[c.start[b]:c.start[b+1]], &left, all); ok {
				return index, true
			}
		}
	}
	if left == 0 {
		p.scan(r, k)
		return p.listed(r, k, all)
	}
	return 0, false
}

// neighbour returns the piece behind the one that the peer began last, if it is
// of class k and as rare: small pieces are begun in runs of [runBlocks], which
// the disk writes together.
func (p *Picker) neighbour(r *Peer, k int) (uint32, bool) {
	next := r.last + 1
	if r.run > 0 && r.run < runBlocks/p.c.Blocks && int(next) < p.c.Pieces && p.order.classes[k].in.Has(int(next)) && r.Has(next) &&
		p.order.availability(next) == p.order.availability(r.last) && !p.suspect(next, r.id) {
		return next, true
	}
	r.run = 0
	return 0, false
}

// probe tries some pieces, from a random one on.
func (p *Picker) probe(r *Peer, pieces []uint32, left *int, all bool) (uint32, bool) {
	if len(pieces) == 0 {
		return 0, false
	}
	k := p.rng.IntN(len(pieces))
	for range pieces {
		if *left == 0 {
			break
		}
		*left--
		if index := pieces[k]; r.Has(index) && (all || !p.suspect(index, r.id)) {
			return index, true
		}
		if k++; k == len(pieces) {
			k = 0
		}
	}
	return 0, false
}

// listed returns the next piece of the peer's short list that can be begun.
func (p *Picker) listed(r *Peer, k int, all bool) (uint32, bool) {
	for r.class == k && len(r.short) > 0 {
		index := r.short[0]
		r.short = r.short[1:]
		if p.order.has(index) && (all || !p.suspect(index, r.id)) {
			return index, true
		}
	}
	return 0, false
}

// scan makes a short list of the rarest among some of the peer's own pieces
// of a class, from a random one on. It is for peers that have little of what
// is rare.
func (p *Picker) scan(r *Peer, k int) {
	in := p.order.classes[k].in
	w, left, n := p.rng.IntN(words(in)), candidates, words(in)
	r.short, r.class = r.list[:0], k
	for range n {
		for x := r.among(in, w); x != 0 && left > 0; left-- {
			k := bits.LeadingZeros64(x)
			x &^= 1 << (63 - k)
			p.list(r, uint32(w*64+k))
		}
		if left == 0 {
			break
		}
		if w++; w == n {
			w = 0
		}
	}
}

// lowest returns the first piece of a class that the peer has. Where the peer
// had none before, it has none as long as no piece came back.
func (p *Picker) lowest(r *Peer, k int, all bool) (uint32, bool) {
	c := &p.order.classes[k]
	n := words(c.in)
	for c.low < n && word(c.in.Bytes(), c.low) == 0 {
		c.low++
	}
	w, passed := c.low, true
	if r.low[k].version == p.version {
		w = max(w, r.low[k].word)
	}
	for ; w < n; w++ {
		x := r.among(c.in, w)
		if passed = passed && x == 0; passed {
			r.low[k] = lowest{version: p.version, word: w + 1}
		}
		for x != 0 {
			i := bits.LeadingZeros64(x)
			x &^= 1 << (63 - i)
			if index := uint32(w*64 + i); all || !p.suspect(index, r.id) {
				return index, true
			}
		}
	}
	return 0, false
}

// list puts a piece in its place on the peer's short list, if it belongs there.
func (p *Picker) list(r *Peer, index uint32) {
	av := p.order.availability(index)
	i := len(r.short)
	for i > 0 && p.order.availability(r.short[i-1]) > av {
		i--
	}
	if i == len(r.list) {
		return
	}
	if len(r.short) == len(r.list) {
		r.short = r.short[:len(r.list)-1]
	}
	r.short = slices.Insert(r.short, i, index)
}
