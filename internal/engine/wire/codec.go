package wire

import (
	"encoding/binary"
	"fmt"
)

// The sizes of what comes before a message's body.
const (
	LengthLen = 4 // The length prefix.
	HeaderLen = 5 // Length prefix and id.
	// PieceHeaderLen is all of a piece message but the block.
	PieceHeaderLen = HeaderLen + 8
)

// UnknownPieces stands for the number of pieces of a torrent of which only the
// info hash is known.
const UnknownPieces = -1

// CheckLength says whether a message of this id may have a body (all after the
// id byte) of n bytes in a torrent of that many pieces. The error says what is
// wrong with it; such a peer is to be dropped.
func CheckLength(id ID, n uint32, pieces int) error {
	least, most := uint32(0), uint32(0)
	switch id {
	case Choke, Unchoke, Interested, NotInterested, HaveAll, HaveNone:
	case Port:
		least, most = 2, 2
	case Have, Suggest, AllowedFast:
		least, most = 4, 4
	case Request, Cancel, Reject:
		least, most = 12, 12
	case Bitfield:
		if pieces == UnknownPieces {
			most = MaxBody
			break
		}
		least = uint32((pieces + 7) / 8)
		most = least
	case Piece:
		least, most = 8+1, 8+MaxBlock
	case Extended:
		least, most = 1, MaxExtended
	default:
		most = MaxBody
	}
	switch {
	case n >= least && n <= most:
		return nil
	case least == most:
		return fmt.Errorf("a %v message with a body of %d bytes instead of %d", id, n, least)
	default:
		return fmt.Errorf("a %v message with a body of %d bytes, which may have %d to %d", id, n, least, most)
	}
}

// Known says whether id is a message that [Parse] or [ParsePiece] understands.
// Others are skipped.
func Known(id ID) bool {
	return id <= Port || id >= Suggest && id <= AllowedFast || id == Extended
}

// NeedsFast says whether a message of this id may be sent only when both
// sides have said that they speak the Fast extension (BEP 6).
func NeedsFast(id ID) bool { return id >= Suggest && id <= AllowedFast }

// Append appends m as it stands on the wire to dst and returns the result. Of
// a piece message it appends the header alone: m.Length bytes of block have to
// follow. Append trusts its caller: what it is given, [Parse] must accept.
func Append(dst []byte, m Message) []byte {
	be := binary.BigEndian
	head := func(n uint32) []byte { return append(be.AppendUint32(dst, 1+n), byte(m.ID)) }
	switch m.ID {
	case KeepAlive:
		return be.AppendUint32(dst, 0)
	case Have, Suggest, AllowedFast:
		return be.AppendUint32(head(4), m.Index)
	case Request, Cancel, Reject:
		return be.AppendUint32(be.AppendUint32(be.AppendUint32(head(12), m.Index), m.Begin), m.Length)
	case Piece:
		return be.AppendUint32(be.AppendUint32(head(8+m.Length), m.Index), m.Begin)
	case Port:
		return be.AppendUint16(head(2), uint16(m.Index))
	case Bitfield, Extended:
		return append(head(uint32(len(m.Payload))), m.Payload...)
	default:
		return head(0)
	}
}

// Parse reads a message other than a piece message from its body, which is all
// that follows the id byte. The message's Payload is a copy. It is an error
// when the length of the body is wrong for the message (that of a bitfield is
// left to [CheckLength], which knows the torrent), when the message asks for a
// block of no bytes or of more than [MaxBlock], or when the id is not known.
func Parse(id ID, body []byte) (Message, error) {
	if id == Piece || !Known(id) {
		return Message{}, fmt.Errorf("message %v can't be parsed alone", id)
	}
	if n := uint32(len(body)); id == Bitfield {
		if n > MaxBody {
			return Message{}, fmt.Errorf("a bitfield of %d bytes", n)
		}
	} else if err := CheckLength(id, n, 0); err != nil {
		return Message{}, err
	}
	m := Message{ID: id}
	be := binary.BigEndian
	switch id {
	case Have, Suggest, AllowedFast:
		m.Index = be.Uint32(body)
	case Request, Cancel, Reject:
		m.Index, m.Begin, m.Length = be.Uint32(body), be.Uint32(body[4:]), be.Uint32(body[8:])
		if m.Length == 0 || m.Length > MaxBlock {
			return Message{}, fmt.Errorf("a %v message for a block of %d bytes, which may have 1 to %d", id, m.Length, MaxBlock)
		}
	case Port:
		m.Index = uint32(be.Uint16(body))
	case Bitfield, Extended:
		m.Payload = append([]byte(nil), body...)
	}
	return m, nil
}

// ParsePiece reads the header of a piece message from the first 8 bytes of its
// body of n bytes. The block's length is what n leaves; that n is possible was
// checked by [CheckLength].
func ParsePiece(head []byte, n uint32) Message {
	return Message{
		ID:     Piece,
		Index:  binary.BigEndian.Uint32(head),
		Begin:  binary.BigEndian.Uint32(head[4:]),
		Length: n - 8,
	}
}

// String returns the name of the message in BEP 3, 6 and 10.
func (id ID) String() string {
	switch id {
	case Choke:
		return "choke"
	case Unchoke:
		return "unchoke"
	case Interested:
		return "interested"
	case NotInterested:
		return "not interested"
	case Have:
		return "have"
	case Bitfield:
		return "bitfield"
	case Request:
		return "request"
	case Piece:
		return "piece"
	case Cancel:
		return "cancel"
	case Port:
		return "port"
	case Suggest:
		return "suggest"
	case HaveAll:
		return "have all"
	case HaveNone:
		return "have none"
	case Reject:
		return "reject"
	case AllowedFast:
		return "allowed fast"
	case Extended:
		return "extended"
	case KeepAlive:
		return "keep-alive"
	default:
		return fmt.Sprintf("number %d", uint8(id))
	}
}
