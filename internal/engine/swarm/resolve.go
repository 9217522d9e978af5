package swarm

import (
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/metadata"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/picker"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// early is what a swarm has before the info dictionary is known: the fetch of
// it, and what peers said meanwhile and can't be understood yet.
type early struct {
	fetch *metadata.Fetch
	bytes int // Of the bitfields that are kept of all peers.
}

// NewResolving returns the swarm of a torrent of which only the info hash is
// known. It finds peers and keeps connections as any other does, but all that
// it asks them for is the info dictionary (BEP 9), until Effects.Info gives it
// and [Swarm.Learn] and [Swarm.Resolve] follow. What c says of pieces means
// nothing.
func NewResolving(now time.Time, c Config) *Swarm {
	// It is a torrent of one piece that nobody has.
	c.Pieces, c.PieceLength, c.Length = 1, block.Size, block.Size
	c.Have, c.Wanted, c.Partial, c.Metadata = nil, nil, nil, nil
	s := New(now, c)
	s.early = &early{fetch: metadata.New(c.InfoHash, c.Room)}
	return s
}

// Learn tells a swarm that was made by [NewResolving] what it may offer to
// others, and whether the torrent is private, while it is not known yet what of
// it is on the disk: peers are kept, and so is what they say of pieces. It
// returns what is to be done as [Swarm.Handle] does.
func (s *Swarm) Learn(now time.Time, metadata []byte, private bool) *Effects {
	s.begin(now)
	s.c.Metadata, s.c.Private = metadata, private
	if private {
		s.forgetHearsay()
	}
	for _, p := range s.peers {
		s.introduce(p)
	}
	s.settle()
	return &s.fx
}

// Resolve tells a swarm that has learned its metadata what the torrent is
// after all. It goes on with the same connections and addresses, and returns
// what is to be done as [Swarm.Handle] does.
func (s *Swarm) Resolve(now time.Time, c Config) *Effects {
	s.begin(now)
	s.early = nil
	s.describe(c)
	s.busy.uploadOnly = false // Peers were told so.
	for _, p := range s.peers {
		p.pick = s.pick.Join(picker.ID(p.id))
	}
	for _, p := range append([]*peer(nil), s.peers...) {
		s.greet(p)
		s.recall(p)
	}
	s.busy.dial = true
	s.settle()
	return &s.fx
}

// leave forgets a peer.
func (e *early) leave(p *peer) {
	e.fetch.Leave(metadata.ID(p.id))
	e.bytes -= len(p.claims.contrary)
	p.claims = claims{}
}

// receivedEarly handles a message before the info dictionary is known. What
// speaks of pieces is kept until they are. We have offered nothing and asked
// for nothing, so requests, cancels and rejects mean nothing.
func (s *Swarm) receivedEarly(p *peer, m *wire.Message) {
	switch {
	case m.ID == wire.Extended:
		s.extendedEarly(p, m)
	case m.ID == wire.Port:
		s.hasNode(p, m)
	case s.agreed(p, m):
		s.keep(p, m)
	}
}

// extendedEarly follows an extended message before the info dictionary is
// known.
func (s *Swarm) extendedEarly(p *peer, m *wire.Message) {
	e, content := m.Extension()
	switch e {
	case wire.ExtMetadata:
		s.metadataEarly(p, content)
		return
	case wire.ExtDontHave:
		if piece, err := wire.ParseDontHave(content); err != nil {
			s.close(p, ReasonExtension)
		} else {
			s.keepPiece(p, piece, false)
		}
		return
	}
	if s.extendedBy(p, m); p.closing || e != wire.ExtHandshake {
		return
	}
	size := p.ext.MetadataSize
	if p.ext.IDs[wire.ExtMetadata] == 0 {
		size = 0
	}
	if !s.early.fetch.Offer(metadata.ID(p.id), wire.HostOf(p.addr.Addr()), size) {
		s.close(p, ReasonExtension)
	}
}

// metadataEarly follows a message about the info dictionary while it is being
// fetched. Who asks for it before the whole was verified is sent a reject.
func (s *Swarm) metadataEarly(p *peer, content []byte) {
	m, err := wire.ParseMetadata(content)
	ok := err == nil
	switch {
	case err != nil:
	case m.Kind == wire.MetadataRequest:
		s.metadataWanted(p, m.Piece)
	case m.Kind == wire.MetadataData:
		p.sentSome = true
		ok = s.early.fetch.Data(metadata.ID(p.id), m.Piece, m.Data)
	case m.Kind == wire.MetadataReject:
		ok = s.early.fetch.Reject(s.now, metadata.ID(p.id), m.Piece)
	}
	if !ok {
		s.close(p, ReasonExtension)
	}
}

// fetch carries out what the fetch of the info dictionary wants.
func (s *Swarm) fetch() {
	f := s.early.fetch
	known := f.Done() != nil
	steps := f.Step(s.now)
	for _, id := range steps.Liars {
		if who, ok := s.who(picker.ID(id)); ok {
			s.ban(who)
		}
	}
	for _, id := range steps.Slow {
		if p := s.byID[Peer(id)]; p != nil {
			s.close(p, ReasonNoMetadata)
		}
	}
	for _, a := range steps.Ask {
		if p := s.byID[Peer(a.Peer)]; p != nil && !p.closing {
			m := wire.Metadata{Kind: wire.MetadataRequest, Piece: a.Piece}
			s.send(p, m.Message(p.ext.IDs[wire.ExtMetadata]))
		}
	}
	if !known && f.Done() != nil {
		s.fx.Info = f.Done()
	}
}
