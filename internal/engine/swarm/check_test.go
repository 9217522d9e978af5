package swarm

import (
	"fmt"
	"net/netip"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// check holds what must be true of a swarm after every Handle.
func (s *Swarm) check() error {
	if s.early != nil {
		kept := 0
		for _, p := range s.peers {
			kept += len(p.claims.contrary)
		}
		if kept != s.early.bytes || kept > maxKeptBytes {
			return fmt.Errorf("%d bytes of bitfields are kept, and %d counted", kept, s.early.bytes)
		}
	}
	for i, p := range s.peers {
		if p.closing || s.byID[p.id] != p || !p.web && s.byKey[p.key] != p {
			return fmt.Errorf("peer %d is listed and should not be", p.id)
		}
		for _, q := range []*queue{&p.requests, &p.uploads} {
			n := 0
			for _, e := range q.all() {
				if e.state <= late {
					n++
				}
			}
			if n != q.open {
				return fmt.Errorf("peer %d: %d open requests are counted as %d", p.id, n, q.open)
			}
		}
		if p.requests.open > localDepth && !p.web || p.requests.open > webDepth || p.uploads.open > maxQueue {
			return fmt.Errorf("peer %d: %d requests out, %d in", p.id, p.requests.open, p.uploads.open)
		}
		if p.interesting != p.pick.Useful() {
			return fmt.Errorf("peer %d: interesting %v, useful %v", p.id, p.interesting, p.pick.Useful())
		}
		for _, e := range p.uploads.all() {
			if e.state == live && !s.have.Has(int(e.index)) {
				return fmt.Errorf("peer %d was promised piece %d, which is not there", p.id, e.index)
			}
		}
		if i > 0 && p.touched {
			return fmt.Errorf("peer %d was left touched", p.id)
		}
	}
	if n := s.taken(); n > s.c.MaxPeers {
		return fmt.Errorf("%d peers of at most %d", n, s.c.MaxPeers)
	}
	n := 0
	for _, c := range s.pool.list {
		if c.state == dialing {
			n++
		}
		if s.pool.byAddr[c.addr] != c {
			return fmt.Errorf("address %v is lost", c.addr)
		}
	}
	if n != s.pool.dialing || n > maxDialing || len(s.pool.byAddr) != len(s.pool.list) || len(s.pool.list) > maxCandidates {
		return fmt.Errorf("%d dialing, counted %d; %d addresses, %d listed", n, s.pool.dialing, len(s.pool.byAddr), len(s.pool.list))
	}
	if err := s.checkContacts(); err != nil {
		return err
	}
	return s.checkSends()
}

// checkContacts holds that every address is one connection's, and that what is
// known of them is in step.
func (s *Swarm) checkContacts() error {
	if len(s.known.list) != len(s.known.byAddr) {
		return fmt.Errorf("%d contacts are listed, of %d", len(s.known.list), len(s.known.byAddr))
	}
	var last uint64
	for _, p := range s.known.list {
		if p.closing || p.number <= last || s.known.byAddr[p.contact] != p || p.contact != p.place {
			return fmt.Errorf("peer %d is contact %v of number %d after %d, candidate %v", p.id, p.contact, p.number, last, p.place)
		}
		last = p.number
	}
	var from [sources]int
	for _, c := range s.pool.list {
		from[c.source]++
	}
	if from != s.pool.from {
		return fmt.Errorf("candidates by source are %v, counted %v", from, s.pool.from)
	}
	places := map[netip.AddrPort]Peer{}
	for id, p := range s.byID {
		if !p.place.IsValid() {
			continue
		}
		if other, taken := places[p.place]; taken && !p.closing && !s.byID[other].closing {
			return fmt.Errorf("peers %d and %d are both candidate %v", id, other, p.place)
		}
		places[p.place] = id
	}
	for _, c := range s.pool.list {
		if c.state == connected {
			if _, ok := places[c.addr]; !ok {
				return fmt.Errorf("candidate %v is connected to nobody", c.addr)
			}
		}
	}
	return nil
}

// checkSends holds what must be true of the messages of the last Handle.
func (s *Swarm) checkSends() error {
	for _, e := range s.fx.Send {
		p := s.byID[e.Peer]
		if p == nil || p.closing {
			continue // Its end came later in the same batch.
		}
		switch m := e.Msg; m.ID {
		case wire.Request:
			if p.requests.open > p.pipe.depth {
				return fmt.Errorf("peer %d was asked for more, with %d requests and depth %d", p.id, p.requests.open, p.pipe.depth)
			}
			if !s.isBlock(&m) || !p.pick.Has(m.Index) || s.have.Has(int(m.Index)) {
				return fmt.Errorf("peer %d was asked for %v", p.id, m)
			}
			if err := s.checkOwner(p, m); err != nil {
				return err
			}
		case wire.Have:
			if !s.have.Has(int(m.Index)) {
				return fmt.Errorf("told peer %d of piece %d, which is not there", p.id, m.Index)
			}
		}
	}
	return nil
}

// checkOwner holds that a block has one owner outside end game.
func (s *Swarm) checkOwner(p *peer, m wire.Message) error {
	if s.pick.EndGame() {
		return nil
	}
	for _, q := range s.peers {
		if q == p {
			continue
		}
		if r := q.requests.find(m.Index, m.Begin); r != nil && r.state == live {
			return fmt.Errorf("block %d/%d was asked of %d and %d before end game", m.Index, m.Begin, q.id, p.id)
		}
	}
	return nil
}
