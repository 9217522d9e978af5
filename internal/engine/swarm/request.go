package swarm

import (
	"math"
	"slices"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/picker"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func blockOf(index, begin uint32) picker.Block {
	return picker.Block{Piece: index, Index: begin / block.Size}
}

// refill asks a peer for as much as its pipeline has room for.
func (s *Swarm) refill(p *peer) {
	if p.closing {
		return
	}
	p.hungry = false
	n := p.pipe.depth - p.requests.open
	if !p.interesting || n <= 0 {
		return
	}
	blocks := s.bbuf[:0]
	switch {
	case !p.unchokedUs:
		blocks = s.pick.PickOf(blocks, p.pick, n, p.allowed)
	case s.now < p.pause:
		p.hungry = true
		return
	case n < p.pipe.depth/4:
		return // A few at a time is a write for each; the next block is soon.
	case s.allowance() <= 0:
		p.hungry = true
		return
	default:
		n = min(n, s.allowance())
		if len(p.suggested) > 0 {
			blocks = s.pick.PickOf(blocks, p.pick, n, p.suggested)
		}
		whole := p.pipe.depth >= s.blocks(0)
		blocks = s.pick.Pick(blocks, p.pick, n-len(blocks), whole)
		p.hungry = len(blocks) < n
	}
	s.bbuf = blocks
	if p.requests.open == 0 && len(blocks) > 0 {
		p.pipe.restart(s.now)
	}
	for _, b := range blocks {
		e := entry{index: b.Piece, begin: b.Index * block.Size, at: s.now}
		e.length = s.blockLength(e.index, e.begin)
		p.requests.push(e)
		s.send(p, wire.Message{ID: wire.Request, Index: e.index, Begin: e.begin, Length: e.length})
	}
}

// outstanding returns how many requests wait for peers that answer.
func (s *Swarm) outstanding() (n int) {
	for _, p := range s.peers {
		if !p.snubbed {
			n += p.requests.open
		}
	}
	return n
}

// allowance returns how many more requests the download limit allows: peers
// would only wait to get rid of their blocks, and seem to be slow.
func (s *Swarm) allowance() int {
	if s.c.DownloadLimit <= 0 {
		return math.MaxInt
	}
	most := float64(s.c.DownloadLimit) * limitTime.Seconds() / block.Size
	return max(minLimited, int(min(most, math.MaxInt32))) - s.outstanding()
}

// ownDelay returns how long what was asked for takes at the download limit,
// which is not the peers' fault.
func (s *Swarm) ownDelay() time.Duration {
	if s.c.DownloadLimit <= 0 {
		return 0
	}
	seconds := float64(s.outstanding()) * block.Size / float64(s.c.DownloadLimit)
	return time.Duration(min(seconds, maxOwnDelay.Seconds()) * float64(time.Second))
}

// refillHungry asks those who could be asked for more than there was. When
// pieces have failed, those who had no hand in it come first.
func (s *Swarm) refillHungry() {
	for _, p := range s.peers {
		if p.hungry && !s.pick.Suspected(p.pick) {
			s.refill(p)
		}
	}
	for _, p := range s.peers {
		if p.hungry && s.pick.Suspected(p.pick) {
			s.refill(p)
		}
	}
}

// block takes in a block. A peer that is being closed may still have put one
// in its place, and then it counts.
func (s *Swarm) block(p *peer, e *Event) {
	m := &e.Msg
	if !s.isBlock(m) {
		s.close(p, ReasonUnrequested)
		return
	}
	s.count.downloaded += int64(m.Length)
	s.count.down.add(s.now, m.Length)
	if !p.closing && !s.answer(p, m) && !s.unasked(p, m) {
		s.close(p, ReasonUnrequested)
	}
	id, b := picker.ID(p.id), blockOf(m.Index, m.Begin)
	if !e.Fresh {
		s.count.wasted += int64(m.Length)
		s.pick.Lost(id, b)
		s.busy.freed = true
		return
	}
	p.sentSome = true
	if p.closing {
		s.guilt.departed.put(p.id, p.suspect())
	}
	whole, others := s.pick.Got(id, b)
	for _, other := range others {
		s.cancel(s.byID[Peer(other)], m)
	}
	if whole {
		s.finish(m.Index)
	}
}

// isBlock says whether a message names a block of the torrent as we ask for
// them.
func (s *Swarm) isBlock(m *wire.Message) bool {
	return int64(m.Index) < int64(s.c.Pieces) && m.Begin%block.Size == 0 &&
		int64(m.Begin) < s.pieceSize(m.Index) && m.Length == s.blockLength(m.Index, m.Begin)
}

// answer settles the request that a block answers, if there is one.
func (s *Swarm) answer(p *peer, m *wire.Message) bool {
	r := p.requests.find(m.Index, m.Begin)
	if r == nil {
		return false
	}
	at, wanted := r.at, r.state <= late
	p.requests.mark(r, answered)
	p.down.add(s.now, m.Length)
	p.lastBlock = s.now
	p.rejects = 0
	if p.snubbed {
		p.snubbed = false
		p.pipe.revive(s.now)
	}
	if wanted {
		p.pipe.received(s.now, at, m.Length, p.hungry)
	}
	s.touch(p)
	return true
}

// unasked takes in a block that nobody asked for, of a web server: one that knows
// no ranges gives what is wanted in the order of its files. It returns false for
// any other peer.
func (s *Swarm) unasked(p *peer, m *wire.Message) bool {
	if p.web {
		p.down.add(s.now, m.Length)
		p.lastBlock = s.now
	}
	return p.web
}

// cancel takes back a request that another peer has answered.
func (s *Swarm) cancel(p *peer, m *wire.Message) {
	if p == nil || p.closing {
		return
	}
	if r := p.requests.find(m.Index, m.Begin); r != nil && r.state <= late {
		p.requests.mark(r, cancelled)
		r.at = s.now
		s.send(p, wire.Message{ID: wire.Cancel, Index: m.Index, Begin: m.Begin, Length: m.Length})
		s.touch(p)
	}
}

// chokedBy follows a choke. Without the Fast extension it makes all requests
// void (BEP 3); with it, each of them is still answered, by the block or by a
// reject (BEP 6).
func (s *Swarm) chokedBy(p *peer) {
	p.unchokedUs = false
	s.pick.Release(p.pick)
	if !p.fast {
		s.void(p, func(*entry) bool { return true })
	}
}

// void gives the requests that which is true of to others: they will not be
// answered, unless the answer is on its way.
func (s *Swarm) void(p *peer, which func(*entry) bool) {
	entries := p.requests.all()
	for i := range entries {
		if e := &entries[i]; e.state <= late && which(e) {
			s.pick.Lost(picker.ID(p.id), blockOf(e.index, e.begin))
			p.requests.mark(e, lost)
			e.at = s.now
		}
	}
	s.busy.freed = true
}

// rejectedBy follows a reject (BEP 6). One for which there is no request is
// ignored: it may have crossed a block that was sent after all.
func (s *Swarm) rejectedBy(p *peer, m *wire.Message) {
	r := p.requests.find(m.Index, m.Begin)
	if r == nil {
		return
	}
	open, unexpected := p.requests.open, r.state <= late
	p.requests.mark(r, answered)
	if !unexpected {
		return
	}
	s.pick.Lost(picker.ID(p.id), blockOf(m.Index, m.Begin))
	s.busy.freed = true
	switch {
	case !p.unchokedUs:
		p.allowed = slices.DeleteFunc(p.allowed, func(x uint32) bool { return x == m.Index })
	case !p.pick.Has(m.Index): // It has lost the piece, and said so (BEP 54).
	case s.now >= p.pause:
		// It takes no more, or does not want to give this one. What it
		// refused is for others, so it is left alone for a while.
		if open > 2*startDepth {
			p.pipe.rejected(open - 1)
		}
		p.pause = s.now + min(time.Second<<min(p.rejects, 6), maxPause)
		p.rejects++
		s.pick.Release(p.pick)
	}
	s.touch(p)
}

// overdue looks for blocks of a peer that should have come by now.
func (s *Swarm) overdue(p *peer) {
	p.requests.expire(s.now - deadTimeout)
	r := p.requests.oldest()
	if r == nil {
		return
	}
	delay := s.ownDelay()
	if s.now-max(p.lastBlock, r.at) > p.pipe.timeout(p.requests.open)+delay {
		s.snub(p)
		return
	}
	// It sends, but passes over this one.
	if s.now-r.at > 2*maxTimeout+delay {
		r.state = late
		s.pick.Late(picker.ID(p.id), blockOf(r.index, r.begin))
		s.busy.freed = true
	}
}

// snub gives the requests of a silent peer to others. Its answers are welcome
// still, but it is asked for nothing more until one comes.
func (s *Swarm) snub(p *peer) {
	p.snubbed = true
	p.pipe.snub()
	entries := p.requests.all()
	for i := range entries {
		if e := &entries[i]; e.state == live {
			e.state = late
			s.pick.Late(picker.ID(p.id), blockOf(e.index, e.begin))
		}
	}
	s.pick.Release(p.pick)
	s.busy.freed = true
}
