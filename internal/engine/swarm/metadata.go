package swarm

import (
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// metadataQueue is what a peer wants of the info dictionary (BEP 9).
type metadataQueue struct {
	waits  []int // Pieces that it asked for and that have to wait.
	burst  int   // Sent since the last tick.
	open   int   // Sent to the connection, where they wait for the upload limit.
	served int   // Sent in all.
}

// metadataBy follows a message about the info dictionary, when that is known
// here. Answers come too late and are passed over.
//
// It is served for private torrents too, as libtorrent does: BEP 27 restricts
// where peers come from, and BEP 9 makes no difference between torrents. Who
// asks was told of us by the torrent's own tracker or by a person, and knows
// the info hash.
func (s *Swarm) metadataBy(p *peer, content []byte) error {
	m, err := wire.ParseMetadata(content)
	if err == nil && m.Kind == wire.MetadataRequest {
		s.metadataWanted(p, m.Piece)
	}
	return err
}

// metadataWanted follows a request for a piece of the info dictionary.
func (s *Swarm) metadataWanted(p *peer, piece int) {
	pieces := s.metadataPieces()
	q := &p.meta
	switch {
	case p.ext.IDs[wire.ExtMetadata] == 0:
	case piece >= pieces, len(q.waits) >= maxMetadataQueue, q.served+len(q.waits) >= maxMetadataTimes*pieces:
		s.rejectMetadata(p, piece)
	default:
		q.waits = append(q.waits, piece)
		s.sendMetadataTo(p)
	}
}

// metadataPieces returns how many pieces the info dictionary has.
func (s *Swarm) metadataPieces() int {
	return (len(s.c.Metadata) + wire.MetadataPiece - 1) / wire.MetadataPiece
}

func (s *Swarm) sendMetadata(p *peer, piece int) {
	p.meta.burst++
	p.meta.open++
	p.meta.served++
	from := piece * wire.MetadataPiece
	m := wire.Metadata{
		Kind: wire.MetadataData, Piece: piece, TotalSize: int64(len(s.c.Metadata)),
		Data: s.c.Metadata[from:min(from+wire.MetadataPiece, len(s.c.Metadata))],
	}
	s.send(p, m.Message(p.ext.IDs[wire.ExtMetadata]))
}

func (s *Swarm) rejectMetadata(p *peer, piece int) {
	m := wire.Metadata{Kind: wire.MetadataReject, Piece: piece}
	s.send(p, m.Message(p.ext.IDs[wire.ExtMetadata]))
}

// sendMetadataTo sends a peer what has waited, as far as may be.
func (s *Swarm) sendMetadataTo(p *peer) {
	for q := &p.meta; max(q.burst, q.open) < metadataBurst && len(q.waits) > 0; q.waits = q.waits[1:] {
		s.sendMetadata(p, q.waits[0])
	}
}

// serveMetadata sends what had to wait until now.
func (s *Swarm) serveMetadata() {
	for _, p := range s.peers {
		p.meta.burst = 0
		s.sendMetadataTo(p)
	}
}
