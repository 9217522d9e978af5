package swarm

import (
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// interestedIn follows a change of the peer's interest in us.
func (s *Swarm) interestedIn(p *peer, interested bool) {
	if p.interested == interested {
		return
	}
	p.interested = interested
	s.idled(p)
	s.busy.rechoke = true
}

// requestedBy serves a request, or says no to it.
func (s *Swarm) requestedBy(p *peer, m *wire.Message) {
	size := s.pieceSize(m.Index)
	if m.Length == 0 || m.Length > maxRequestLength || int64(m.Begin)+int64(m.Length) > size {
		s.close(p, ReasonRequest)
		return
	}
	if !p.unchoked && !s.inFastSet(p, m) {
		if p.whileChoked++; p.whileChoked > maxQueue {
			s.close(p, ReasonFlood)
			return
		}
		s.reject(p, m)
		return
	}
	if !s.have.Has(int(m.Index)) {
		s.reject(p, m)
		return
	}
	if p.uploads.open >= maxQueue {
		s.close(p, ReasonFlood)
		return
	}
	s.promise(p, m)
}

// inFastSet says whether a choked peer may have a block all the same, as long
// as it does not ask for the same again and again (BEP 6).
func (s *Swarm) inFastSet(p *peer, m *wire.Message) bool {
	if !slices.Contains(p.fastSet, m.Index) || p.fastLeft < int64(m.Length) {
		return false
	}
	p.fastLeft -= int64(m.Length)
	return true
}

// promise has a block sent.
func (s *Swarm) promise(p *peer, m *wire.Message) {
	p.uploads.push(entry{index: m.Index, begin: m.Begin, length: m.Length, at: s.now})
	block := Send{p.id, wire.Message{ID: wire.Piece, Index: m.Index, Begin: m.Begin, Length: m.Length}}
	// What was dropped in the same batch and is wanted again is not dropped.
	for i, u := range s.fx.Unsend {
		if u.Peer == p.id && u.Msg.Index == m.Index && u.Msg.Begin == m.Begin && u.Msg.Length == m.Length {
			s.fx.Unsend = slices.Delete(s.fx.Unsend, i, i+1)
			return
		}
	}
	s.fx.Send = append(s.fx.Send, block)
}

// unsend takes back a promise. Whether the block has begun to leave is not
// known here; if so, the peer gets one answer too many, which all ignore.
func (s *Swarm) unsend(p *peer, e entry) {
	m := wire.Message{ID: wire.Piece, Index: e.index, Begin: e.begin, Length: e.length}
	s.fx.Unsend = append(s.fx.Unsend, Send{p.id, m})
	s.reject(p, &m)
}

// reject says no to a request, if the peer understands it (BEP 6).
func (s *Swarm) reject(p *peer, m *wire.Message) {
	if p.fast {
		s.send(p, wire.Message{ID: wire.Reject, Index: m.Index, Begin: m.Begin, Length: m.Length})
	}
}

// cancelledBy follows a cancel.
func (s *Swarm) cancelledBy(p *peer, m *wire.Message) {
	if u := p.uploads.find(m.Index, m.Begin); u != nil && u.length == m.Length {
		e := *u
		p.uploads.mark(u, answered)
		s.unsend(p, e)
	}
}

// sent counts a block that has left, or a piece of the info dictionary.
func (s *Swarm) sent(p *peer, m *wire.Message) {
	if m.ID == wire.Extended {
		p.meta.open = max(0, p.meta.open-1)
		s.sendMetadataTo(p)
		return
	}
	s.count.uploaded += int64(m.Length)
	s.count.up.add(s.now, m.Length)
	p.up.add(s.now, m.Length)
	if u := p.uploads.find(m.Index, m.Begin); u != nil {
		p.uploads.mark(u, answered)
	}
}

// setChoke chokes or unchokes a peer. A choke takes back what was promised and
// not sent, but for the allowed fast set.
func (s *Swarm) setChoke(p *peer, unchoke bool) {
	if p.unchoked == unchoke {
		return
	}
	p.unchoked, p.choked, p.whileChoked = unchoke, s.now, 0
	if unchoke {
		s.send(p, wire.Message{ID: wire.Unchoke})
		return
	}
	s.send(p, wire.Message{ID: wire.Choke})
	s.takeBack(p, func(e *entry) bool { return !slices.Contains(p.fastSet, e.index) })
}

// takeBack takes back the promises that which is true of.
func (s *Swarm) takeBack(p *peer, which func(*entry) bool) {
	entries := p.uploads.all()
	for i := range entries {
		if e := &entries[i]; e.state == live && which(e) {
			s.unsend(p, *e)
			p.uploads.mark(e, answered)
		}
	}
}
