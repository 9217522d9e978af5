package wire

import (
	"errors"
	"fmt"
	"math"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// MetadataPiece is the length of every piece of an info dictionary but the
// last (BEP 9, "metadata").
const MetadataPiece = 16 << 10

// MetadataKind is what a message of metadata exchange says (BEP 9, "msg_type").
type MetadataKind uint8

// The kinds of metadata messages. Others are to be ignored.
const (
	MetadataRequest MetadataKind = 0 // Piece.
	MetadataData    MetadataKind = 1 // Piece, TotalSize, Data.
	MetadataReject  MetadataKind = 2 // Piece.
	MetadataUnknown MetadataKind = 255
)

// Metadata is one message of metadata exchange (BEP 9, "extension message").
type Metadata struct {
	Kind      MetadataKind
	Piece     int
	TotalSize int64  // Bytes of the whole info dictionary; it is only written, because the hash tells better.
	Data      []byte // The piece, which stands behind the dictionary.
}

// Message returns m for a peer that takes it under that id.
func (m *Metadata) Message(id uint8) Message {
	b := append(make([]byte, 0, 64+len(m.Data)), id)
	b = appendInt(append(b, "d8:msg_type"...), int64(m.Kind))
	b = appendInt(append(b, "5:piece"...), int64(m.Piece))
	if m.Kind == MetadataData {
		b = appendInt(append(b, "10:total_size"...), m.TotalSize)
	}
	return Message{ID: Extended, Payload: append(append(b, 'e'), m.Data...), Length: uint32(len(m.Data))}
}

// ParseMetadata reads the content of a metadata message. Its data is a view of
// the content. Of a kind that nobody has defined yet nothing else is read.
func ParseMetadata(content []byte) (m Metadata, err error) {
	n, err := bencode.Check(content, bencode.Limits{Size: maxMetadataHead, Depth: maxDepth})
	if err != nil {
		return m, fmt.Errorf("metadata message: %w", err)
	}
	v, err := bencode.View(content[:n], bencode.Limits{Size: maxMetadataHead, Depth: maxDepth})
	if err != nil {
		return m, fmt.Errorf("metadata message: %w", err)
	}
	kind, piece := int64(-1), int64(-1)
	for key, v := range v.Entries() {
		switch string(key) {
		case "msg_type":
			kind, _ = v.Int()
		case "piece":
			piece, _ = v.Int()
		}
	}
	if kind < 0 {
		return m, errors.New("metadata message: it has no msg_type")
	}
	if kind > int64(MetadataReject) {
		m.Kind = MetadataUnknown
		return m, nil
	}
	if piece < 0 || piece > math.MaxInt32 {
		return m, fmt.Errorf("metadata message: %d is no number of a piece", piece)
	}
	m.Kind, m.Piece = MetadataKind(kind), int(piece)
	if m.Kind == MetadataData {
		if m.Data = content[n:]; len(m.Data) == 0 || len(m.Data) > MetadataPiece {
			return m, fmt.Errorf("metadata message: a piece of %d bytes, which may have 1 to %d", len(m.Data), MetadataPiece)
		}
	}
	return m, nil
}
