package utp

import (
	"encoding/binary"
	"errors"
)

// kind is the type of a packet (BEP 29, "type").
type kind uint8

const (
	kindData kind = iota
	kindFin
	kindState
	kindReset
	kindSyn
)

// The form of a packet (BEP 29, "header format").
const (
	version      = 1
	headerLen    = 20
	extensionLen = 2 // What comes before the bytes of an extension.
	selective    = 1 // The extension that acknowledges single packets.
)

// header is all of a packet but its payload.
type header struct {
	kind   kind
	id     uint16
	stamp  uint32 // When it was sent, in microseconds of the sender's clock.
	delay  uint32 // By how much the last packet from the receiver came later than its stamp.
	window uint32 // How many more bytes the sender has room for.
	seq    uint16
	ack    uint16 // The last packet before which none is missing.
	// sack has a bit for each packet from ack+2 on, lowest first, that says
	// whether it has come (BEP 29, "selective ack"). nil if there is none. Ours
	// have a multiple of 4 bytes; libtorrent's have not.
	sack []byte
}

var (
	errShort     = errors.New("the packet is cut off")
	errVersion   = errors.New("the packet is not of version 1")
	errKind      = errors.New("the packet has an unknown type")
	errExtension = errors.New("the packet has two selective acks, or too many extensions")
)

// Is says whether a packet may be one of uTP, and no other protocol's on the
// same socket. Those of the DHT begin with a letter.
func Is(b []byte) bool {
	return len(b) >= headerLen && b[0]&0xf == version && kind(b[0]>>4) <= kindSyn
}

// parse reads a packet. What it returns points into b. Unknown extensions are
// passed over.
func parse(b []byte) (h header, payload []byte, err error) {
	switch {
	case len(b) < headerLen:
		return h, nil, errShort
	case b[0]&0xf != version:
		return h, nil, errVersion
	case kind(b[0]>>4) > kindSyn:
		return h, nil, errKind
	}
	h = header{
		kind:   kind(b[0] >> 4),
		id:     binary.BigEndian.Uint16(b[2:]),
		stamp:  binary.BigEndian.Uint32(b[4:]),
		delay:  binary.BigEndian.Uint32(b[8:]),
		window: binary.BigEndian.Uint32(b[12:]),
		seq:    binary.BigEndian.Uint16(b[16:]),
		ack:    binary.BigEndian.Uint16(b[18:]),
	}
	next, rest := b[1], b[headerLen:]
	for n := 0; next != 0; n++ {
		if n == maxExtensions {
			return h, nil, errExtension
		}
		if len(rest) < extensionLen || len(rest) < extensionLen+int(rest[1]) {
			return h, nil, errShort
		}
		body := rest[extensionLen : extensionLen+int(rest[1])]
		if next == selective {
			if h.sack != nil {
				return h, nil, errExtension
			}
			h.sack = body
		}
		next, rest = rest[0], rest[extensionLen+len(body):]
	}
	return h, rest, nil
}

// put writes a header without its extension into the first headerLen bytes of b.
func (h *header) put(b []byte) {
	b[0], b[1] = byte(h.kind)<<4|version, 0
	binary.BigEndian.PutUint16(b[2:], h.id)
	binary.BigEndian.PutUint32(b[4:], h.stamp)
	binary.BigEndian.PutUint32(b[8:], h.delay)
	binary.BigEndian.PutUint32(b[12:], h.window)
	binary.BigEndian.PutUint16(b[16:], h.seq)
	binary.BigEndian.PutUint16(b[18:], h.ack)
}

// append appends a header with its extension.
func (h *header) append(b []byte) []byte {
	at := len(b)
	b = append(b, make([]byte, headerLen)...)
	h.put(b[at:])
	if h.sack != nil {
		b[at+1] = selective
		b = append(b, 0, byte(len(h.sack)))
		b = append(b, h.sack...)
	}
	return b
}
