package swarm

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/picker"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// peer is one connection.
type peer struct {
	id       Peer
	key      [20]byte // The peer's own id, or what the engine calls a web server.
	addr     netip.AddrPort
	fast     bool
	extended bool                   // Both sides speak BEP 10,
	ext      wire.ExtendedHandshake // and this is what it said of itself.
	dht      bool                   // Both sides take part in the DHT, and it did not say where yet.
	incoming bool
	web      bool // It is a web server.
	source   Source
	place    netip.AddrPort // The candidate that it is, if it is one, until it is gone.
	contact  netip.AddrPort // Where others can call it, if that is known,
	number   uint64         // and the number of that among contacts.
	gossip   gossip
	since    time.Duration
	closing  bool   // Close was said, Gone did not come yet.
	reason   string // Of Close.
	sentSome bool   // Blocks.

	meta   metadataQueue // Pieces of the info dictionary that it wants.
	claims claims        // Before the info dictionary was known.

	pick *picker.Peer // nil while closing.
	told bool         // It has said what it has.

	// What it wants of us.
	interested  bool
	unchoked    bool
	optimistic  bool
	choked      time.Duration // When unchoked changed last.
	uploads     queue
	up          meter
	fastSet     []uint32 // Pieces that it may have while choked,
	fastLeft    int64    // and how many bytes of them.
	whileChoked int      // Requests that it made while choked.

	// What we want of it.
	interesting bool
	unchokedUs  bool
	requests    queue
	down        meter
	pipe        pipeline
	lastBlock   time.Duration
	snubbed     bool
	hungry      bool // It could be asked for more than there was.
	touched     bool // It is in Swarm.busy.touched.
	allowed     []uint32
	suggested   []uint32
	rejects     int           // In a row, without choke or block.
	pause       time.Duration // Until when it is left alone for them.

	idle time.Duration // Since when neither side is interested.
}

// connected takes in a new connection, or sends it away.
func (s *Swarm) connected(e *Event) {
	p := &peer{
		id: e.Peer, key: e.PeerID, addr: addrOf(e.Addr), fast: e.Fast, extended: e.Extended, dht: e.DHT, incoming: e.Incoming, web: e.WebSeed,
		since: s.now, choked: s.now, idle: s.now, lastBlock: s.now,
		pipe: newPipeline(e.Fast), source: FromIncoming, gossip: gossip{next: s.now + pexDelay},
	}
	if p.web {
		p.pipe = webPipeline()
	}
	s.byID[p.id] = p
	if !p.incoming {
		if c := s.pool.byAddr[p.addr]; c != nil {
			p.source = c.source
		}
		if s.known.byAddr[p.addr] == nil {
			p.place = p.addr
			s.pool.connected(p.addr)
		}
	}
	if reason := s.refuse(p); reason != "" {
		p.closing, p.reason = true, reason
		s.count.closed(reason)
		s.fx.Close = append(s.fx.Close, Close{p.id, reason})
		return
	}
	p.pick = s.pick.Join(picker.ID(p.id))
	s.peers = append(s.peers, p)
	if !p.web {
		s.byKey[p.key] = p
	}
	if p.place.IsValid() {
		s.reachable(p, p.place)
	}
	if p.extended {
		s.introduce(p)
	}
	if s.early == nil {
		s.greet(p)
	} else if !p.extended {
		s.close(p, ReasonNoMetadata)
		return
	}
	if p.dht && s.c.DHTPort != 0 && !s.c.Private {
		s.send(p, wire.Message{ID: wire.Port, Index: uint32(s.c.DHTPort)})
	}
}

// hasNode follows what a peer says of its node of the DHT (BEP 5, "BitTorrent
// Protocol Extension"). It is heard once.
func (s *Swarm) hasNode(p *peer, m *wire.Message) {
	if p.dht && m.Index != 0 && !s.c.Private {
		p.dht = false
		s.fx.Nodes = append(s.fx.Nodes, netip.AddrPortFrom(p.addr.Addr(), uint16(m.Index)))
	}
}

// refuse says why a connection can't stay, "" if it can. It may close another
// one in its favour.
func (s *Swarm) refuse(p *peer) string {
	if s.guilt.bans(p.suspect()) {
		return ReasonBanned
	}
	if p.web {
		return ""
	}
	if p.key == s.c.PeerID {
		s.pool.never(p.addr)
		return ReasonSelf
	}
	if !s.c.Filter.Allows(p.addr.Addr()) {
		return ReasonFiltered
	}
	if old := s.byKey[p.key]; old != nil {
		if !s.prefer(p, old) {
			s.inherit(old, p)
			s.reachable(old, old.place)
			return ReasonDuplicate
		}
		s.close(old, ReasonDuplicate)
		s.inherit(p, old)
	}
	if s.crowded(p.addr.Addr()) {
		return ReasonAddress
	}
	if s.taken() >= s.c.MaxPeers {
		worst := s.worst(minIdle)
		if worst == nil {
			worst = s.outranked(p)
		}
		if worst == nil {
			return ReasonFull
		}
		s.close(worst, ReasonReplaced)
	}
	return ""
}

// crowded says whether an address has all the connections that it may have.
func (s *Swarm) crowded(addr netip.Addr) bool {
	host, n := wire.HostOf(addr), 0
	for _, p := range s.peers {
		if wire.HostOf(p.addr.Addr()) == host {
			n++
		}
	}
	return n >= maxPerAddr
}

// prefer says whether a second connection to a peer is to be kept instead of
// the first. If each side called the other at the same time, both must come to
// the same answer: the call of the one with the higher id stays.
func (s *Swarm) prefer(p, old *peer) bool {
	if p.incoming == old.incoming || s.now-old.since > youth {
		return false
	}
	oursIsHigher := bytes.Compare(s.c.PeerID[:], p.key[:]) > 0
	return p.incoming != oursIsHigher
}

// inherit notes that two connections are to one peer: the one that stays is
// the candidate that the other was, so that the address is not called again.
func (s *Swarm) inherit(stays, goes *peer) {
	if !stays.place.IsValid() {
		stays.place, goes.place = goes.place, netip.AddrPort{}
	}
}

// listens takes in at which address a peer that called us listens, unless it
// is one that we are calling or connected to already.
func (s *Swarm) listens(p *peer, at netip.AddrPort) {
	c := s.pool.byAddr[at]
	if c == nil {
		c = s.find(at, FromIncoming)
	}
	if c == nil || c.state != waiting {
		return
	}
	p.place = at
	s.pool.connected(at)
	s.reachable(p, at)
}

// greet says what we have, and what the peer may have while choked.
func (s *Swarm) greet(p *peer) {
	switch {
	case p.fast && s.have.IsFull():
		s.send(p, wire.Message{ID: wire.HaveAll})
	case p.fast && s.have.Count() == 0:
		s.send(p, wire.Message{ID: wire.HaveNone})
	case s.have.Count() > 0:
		s.send(p, wire.Message{ID: wire.Bitfield, Payload: bytes.Clone(s.have.Bytes())})
	}
	if p.fast {
		p.fastSet = allowedFast(s.c.InfoHash, p.addr.Addr(), s.c.Pieces)
		p.fastLeft = int64(len(p.fastSet)) * s.c.PieceLength
		for _, piece := range p.fastSet {
			s.send(p, wire.Message{ID: wire.AllowedFast, Index: piece})
		}
	}
}

// gone forgets a connection.
func (s *Swarm) gone(p *peer) {
	s.detach(p)
	delete(s.byID, p.id)
	if p.place.IsValid() {
		s.pool.gone(p.place, s.now, s.backoffAfter(p))
	}
	s.busy.dial = true
}

// detach gives back all that a connection had to do.
func (s *Swarm) detach(p *peer) {
	if p.closing {
		return
	}
	p.closing = true
	for _, e := range p.requests.all() {
		if e.state <= late {
			s.pick.Lost(picker.ID(p.id), blockOf(e.index, e.begin))
		}
	}
	s.pick.Leave(p.pick)
	p.pick = nil
	p.requests, p.uploads, p.meta = queue{}, queue{}, metadataQueue{}
	if s.early != nil {
		s.early.leave(p)
	}
	if s.byKey[p.key] == p {
		delete(s.byKey, p.key)
	}
	s.unreachable(p)
	for i, q := range s.peers {
		if q == p {
			s.peers = append(s.peers[:i], s.peers[i+1:]...)
			break
		}
	}
	if p.sentSome {
		s.guilt.departed.put(p.id, p.suspect())
	}
	s.busy.freed = true
	s.busy.rechoke = s.busy.rechoke || p.unchoked
}

// hasTold takes in what a peer says that it has; nil is nothing. It says so
// once, but a bitfield may also come in place of many Have messages: aria2
// does that, although BEP 3 wants it to be the first message. It only adds.
func (s *Swarm) hasTold(p *peer, all bool, have *bitfield.Bitfield) {
	switch {
	case p.told && have == nil:
		s.close(p, ReasonBitfieldLate)
		return
	case p.told:
		for piece := range have.All() {
			s.pick.Have(p.pick, uint32(piece))
		}
	case all:
		s.pick.SetAll(p.pick)
	case have != nil:
		s.pick.SetHave(p.pick, have)
	}
	p.told = true
	s.hasMore(p)
}

// hasMore follows a change of what a peer has.
func (s *Swarm) hasMore(p *peer) {
	if p.wantsNothing() && s.Complete() {
		s.close(p, ReasonSeeds)
		return
	}
	s.interest(p)
	s.touch(p)
}

// interest tells a peer when it becomes interesting or ceases to be.
func (s *Swarm) interest(p *peer) {
	if want := p.pick.Useful(); want != p.interesting {
		p.interesting = want
		id := wire.NotInterested
		if want {
			id = wire.Interested
		}
		s.send(p, wire.Message{ID: id})
		s.idled(p)
	}
}

// idled notes since when neither side is interested.
func (s *Swarm) idled(p *peer) {
	if !p.interesting && !p.interested {
		p.idle = s.now
	}
}

// touch has the peer asked for more at the end of the batch.
func (s *Swarm) touch(p *peer) {
	if !p.touched && !p.closing {
		p.touched = true
		s.busy.touched = append(s.busy.touched, p)
	}
}
