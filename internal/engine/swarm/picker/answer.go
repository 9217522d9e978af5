package picker

// Got says that a block is in its place, sent by id, whether it was asked for
// or not. It returns whether the piece is whole now, and the others that were
// asked for the same block and need not send it any more, valid until the next
// call. It is the caller's to see that there is such a block.
func (p *Picker) Got(id ID, b Block) (whole bool, others []ID) {
	if p.have.Has(int(b.Piece)) {
		return false, nil
	}
	pc := p.begun[b.Piece]
	if pc == nil {
		pc = p.begin(b.Piece)
	}
	at := &pc.blocks[b.Index]
	if at.state == got {
		return false, nil
	}
	p.others = p.others[:0]
	if at.state == asked && at.id != id {
		p.others = append(p.others, at.id)
	}
	for k := len(pc.extra) - 1; k >= 0; k-- {
		if q := pc.extra[k]; q.block == b.Index {
			if q.id != id {
				p.others = append(p.others, q.id)
			}
			pc.drop(k)
		}
	}
	pc.set(b.Index, got, id)
	p.settle(pc)
	return pc.got == len(pc.blocks), p.others
}

// Lost says that the peer will not send a block that it was asked for: the
// request was rejected, or lost in a choke or with the connection.
func (p *Picker) Lost(id ID, b Block) {
	pc := p.begun[b.Piece]
	if pc == nil {
		return
	}
	if at := pc.blocks[b.Index]; at.state == asked && at.id == id {
		pc.vacate(b.Index, free)
	} else if k := pc.find(b.Index, id); k >= 0 {
		pc.drop(k)
	}
	p.settle(pc)
}

// Late says that the peer should have sent a block by now. Others may be asked
// for it and for the rest of its piece; that it comes after all is not excluded.
func (p *Picker) Late(id ID, b Block) {
	pc := p.begun[b.Piece]
	if pc == nil {
		return
	}
	if at := pc.blocks[b.Index]; at.state == asked && at.id == id {
		pc.vacate(b.Index, late)
		pc.add(request{block: b.Index, id: id, late: true})
	} else if k := pc.find(b.Index, id); k >= 0 {
		pc.drop(k)
		pc.add(request{block: b.Index, id: id, late: true})
	}
	if pc.owner == id {
		pc.owner = Nobody
	}
	p.settle(pc)
}
