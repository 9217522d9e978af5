package picker

import "slices"

// state is what is known of a block.
type state uint8

const (
	free  state = iota // Nobody was asked for it, or who was did not keep to it.
	late               // Free, and its request timed out.
	asked              // Requested of block.id.
	got                // In its place, from block.id.
)

type block struct {
	id    ID // Of whom it was asked, or who sent it.
	state state
	more  uint8 // Of how many others too it was asked that are not late.
}

// request is one more request for a block, beside the one in block.id: by a
// peer that let it time out and may still answer, or in end game.
type request struct {
	block uint32
	id    ID
	late  bool
}

// piece is a piece that was begun. It is loose while it has a free block.
type piece struct {
	index  uint32
	place  int // In Picker.open; -1 once whole.
	blocks []block
	free   int // Blocks that are free or late.
	late   int // Blocks that are late.
	got    int
	extra  []request
	more   int    // Of extra, those that are not late.
	low    uint32 // No block below this one is free.
	// owner is who was asked last, or Nobody once that peer can't go on.
	// whole keeps others off as long as there is an owner and something
	// else to ask them for.
	owner ID
	whole bool
}

// begin takes a piece out of the order and makes all of its blocks free.
func (p *Picker) begin(index uint32) *piece {
	p.order.remove(index)
	pc := &piece{}
	if n := len(p.spare); n > 0 {
		pc, p.spare = p.spare[n-1], p.spare[:n-1]
	}
	n := p.Blocks(index)
	*pc = piece{
		index:  index,
		place:  len(p.open),
		blocks: slices.Grow(pc.blocks[:0], n)[:n],
		free:   n,
		extra:  pc.extra[:0],
		owner:  Nobody,
	}
	clear(pc.blocks)
	p.begun[index] = pc
	p.open = append(p.open, pc)
	p.loosen(pc)
	return pc
}

// end forgets a begun piece.
func (p *Picker) end(pc *piece) {
	if pc.place >= 0 {
		p.close(pc)
	}
	delete(p.begun, pc.index)
	p.spare = append(p.spare, pc)
}

// close takes a piece out of the list of the open ones.
func (p *Picker) close(pc *piece) {
	if pc.place < p.loose {
		p.loose--
		p.exchange(pc.place, p.loose)
	}
	p.exchange(pc.place, len(p.open)-1)
	p.open = p.open[:len(p.open)-1]
	pc.place = -1
}

func (p *Picker) exchange(i, j int) {
	a, b := p.open[i], p.open[j]
	p.open[i], p.open[j] = b, a
	a.place, b.place = j, i
}

// settle puts a piece where it belongs after its blocks changed: among the
// open pieces with or without a free block, among the whole ones, or back among
// those that nobody began.
func (p *Picker) settle(pc *piece) {
	switch {
	case pc.place < 0:
	case pc.got == len(pc.blocks):
		p.close(pc)
	case pc.free == len(pc.blocks) && len(pc.extra) == 0:
		p.end(pc)
		p.order.add(pc.index)
		p.version++
	default:
		p.loosen(pc)
	}
}

// loosen moves a piece across the border between the open pieces that have a
// free block and the others.
func (p *Picker) loosen(pc *piece) {
	switch loose := pc.place < p.loose; {
	case pc.free > 0 && !loose:
		p.exchange(pc.place, p.loose)
		p.loose++
	case pc.free == 0 && loose:
		p.loose--
		p.exchange(pc.place, p.loose)
	}
}

// set changes the state of a block and all counts that follow from it.
func (pc *piece) set(i uint32, s state, id ID) {
	b := &pc.blocks[i]
	pc.count(b.state, -1)
	pc.count(s, 1)
	b.state, b.id = s, id
}

func (pc *piece) count(s state, n int) {
	switch s {
	case free:
		pc.free += n
	case late:
		pc.free += n
		pc.late += n
	case got:
		pc.got += n
	}
}

// freeFor returns how many blocks the peer could be asked for: those that are
// free, less those that it let time out itself.
func (pc *piece) freeFor(id ID) int {
	n := pc.free
	for _, q := range pc.extra {
		if q.id == id && pc.blocks[q.block].state <= late {
			n--
		}
	}
	return n
}

// find returns where in extra the request of a peer for a block is, or -1.
func (pc *piece) find(i uint32, id ID) int {
	return slices.IndexFunc(pc.extra, func(q request) bool { return q.block == i && q.id == id })
}

// add and drop count requests beside the first, if they are not late.
func (pc *piece) add(q request) {
	pc.extra = append(pc.extra, q)
	if !q.late {
		pc.more++
		pc.blocks[q.block].more++
	}
}

func (pc *piece) drop(k int) {
	if q := pc.extra[k]; !q.late {
		pc.more--
		pc.blocks[q.block].more--
	}
	pc.extra = slices.Delete(pc.extra, k, k+1)
}

// vacate takes the first request away from a block. One made in end game takes
// its place, if there is one; otherwise the block becomes s.
func (pc *piece) vacate(i uint32, s state) {
	for k, q := range pc.extra {
		if q.block == i && !q.late {
			pc.blocks[i].id = q.id
			pc.drop(k)
			return
		}
	}
	pc.set(i, s, Nobody)
	pc.low = min(pc.low, i)
}
