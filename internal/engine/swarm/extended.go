package swarm

import (
	"net/netip"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// introduce says who we are and which extensions we take (BEP 10).
func (s *Swarm) introduce(p *peer) {
	h := wire.ExtendedHandshake{
		Client: s.c.Client, Port: s.c.Port, Requests: maxRequests,
		YourIP: p.addr.Addr(), UploadOnly: s.Complete(),
		MetadataSize: int64(len(s.c.Metadata)),
	}
	h.SetExtensions(wire.ExtUploadOnly, wire.ExtMetadata, wire.ExtDontHave)
	if s.exchanges() {
		h.SetExtensions(wire.ExtPEX)
	}
	s.send(p, wire.Extend(uint8(wire.ExtHandshake), h.Append(nil)))
}

// extendedBy follows an extended message. Those of extensions that are not
// known here are ignored.
func (s *Swarm) extendedBy(p *peer, m *wire.Message) {
	if !p.extended {
		return
	}
	var err error
	switch e, content := m.Extension(); e {
	case wire.ExtHandshake:
		err = s.introducedBy(p, content)
	case wire.ExtUploadOnly:
		if p.ext.UploadOnly, err = wire.ParseUploadOnly(content); err == nil {
			s.hasMore(p)
		}
	case wire.ExtMetadata:
		err = s.metadataBy(p, content)
	case wire.ExtPEX:
		err = s.gossipBy(p, content)
	case wire.ExtDontHave:
		var piece uint32
		if piece, err = wire.ParseDontHave(content); err == nil {
			s.lostBy(p, piece)
		}
	}
	if err != nil {
		s.close(p, ReasonExtension)
	}
}

// introducedBy follows what a peer says of itself, which it may do several
// times.
func (s *Swarm) introducedBy(p *peer, content []byte) error {
	if err := p.ext.Update(content); err != nil {
		return err
	}
	if p.ext.Requests > 0 {
		p.pipe.told(p.ext.Requests)
	}
	if s.ours.hear(p.addr.Addr(), p.ext.YourIP) {
		s.rank()
	}
	if p.incoming && p.ext.Port != 0 && !p.place.IsValid() {
		s.listens(p, netip.AddrPortFrom(p.addr.Addr(), p.ext.Port))
	}
	s.hasMore(p)
	return nil
}

// lostBy follows a piece that a peer has lost (BEP 54). Without the Fast
// extension it is silent about what it was asked for of it, as after a choke.
func (s *Swarm) lostBy(p *peer, piece uint32) {
	if int64(piece) >= int64(s.c.Pieces) {
		s.close(p, ReasonIndex)
		return
	}
	s.pick.DontHave(p.pick, piece)
	if !p.fast {
		s.void(p, func(e *entry) bool { return e.index == piece })
	}
	s.interest(p)
	s.touch(p)
}

// tellLost tells those who want to know that we have lost a piece (BEP 54).
func (s *Swarm) tellLost(piece uint32) {
	for _, p := range s.peers {
		if id := p.ext.IDs[wire.ExtDontHave]; id != 0 {
			s.send(p, wire.DontHave(id, piece))
		}
	}
}

// wantsNothing says whether the peer will never be interested in us (BEP 21); no
// web server is.
func (p *peer) wantsNothing() bool { return p.pick.Complete() || p.ext.UploadOnly || p.web }

// tellUploadOnly tells those who want to know when we want nothing more, or do
// again (BEP 21).
func (s *Swarm) tellUploadOnly() {
	if s.busy.uploadOnly == s.Complete() {
		return
	}
	s.busy.uploadOnly = s.Complete()
	for _, p := range s.peers {
		if id := p.ext.IDs[wire.ExtUploadOnly]; id != 0 {
			s.send(p, wire.UploadOnly(id, s.Complete()))
		}
	}
}
