package wire

import (
	"errors"
	"fmt"
)

// The sizes of a handshake and of its first part, which ends with the info hash.
const (
	HandshakeLen = PreambleLen + 20
	PreambleLen  = ProtocolLen + 8 + 20
)

// ProtocolLen is the size of what all handshakes begin with.
const ProtocolLen = 1 + len(protocol)

const protocol = "BitTorrent protocol"

// ErrProtocol is what other programs get who connect to a peer's port: what
// they sent is not the handshake of BEP 3.
var ErrProtocol = errors.New("not a BitTorrent handshake")

// Handshake is what each side says first (BEP 3, "peer protocol"). Reserved
// announces extensions; bits that nobody has defined are zero.
type Handshake struct {
	Reserved [8]byte
	InfoHash [20]byte
	PeerID   [20]byte
}

// dhtBit announces the DHT (BEP 5) and fastBit the Fast extension (BEP 6) in the
// last reserved byte, and extendedBit the extension protocol in the sixth (BEP 10).
const (
	dhtBit      = 0x01
	fastBit     = 0x04
	extendedBit = 0x10
)

// Fast says whether the sender speaks the Fast extension (BEP 6). It is in use
// when both sides do.
func (h *Handshake) Fast() bool { return h.Reserved[7]&fastBit != 0 }

// SetFast announces the Fast extension (BEP 6).
func (h *Handshake) SetFast() { h.Reserved[7] |= fastBit }

// Extended says whether the sender speaks the extension protocol (BEP 10). It
// is in use when both sides do.
func (h *Handshake) Extended() bool { return h.Reserved[5]&extendedBit != 0 }

// SetExtended announces the extension protocol (BEP 10).
func (h *Handshake) SetExtended() { h.Reserved[5] |= extendedBit }

// DHT says whether the sender takes part in the DHT (BEP 5, "BitTorrent
// Protocol Extension").
func (h *Handshake) DHT() bool { return h.Reserved[7]&dhtBit != 0 }

// SetDHT announces that we take part in the DHT (BEP 5).
func (h *Handshake) SetDHT() { h.Reserved[7] |= dhtBit }

// Append appends the [HandshakeLen] bytes of h to dst and returns the result.
func (h *Handshake) Append(dst []byte) []byte {
	dst = append(dst, byte(len(protocol)))
	dst = append(dst, protocol...)
	dst = append(dst, h.Reserved[:]...)
	dst = append(dst, h.InfoHash[:]...)
	return append(dst, h.PeerID[:]...)
}

// IsHandshake says whether b, of [ProtocolLen] bytes or more, begins as a
// handshake does.
func IsHandshake(b []byte) bool {
	return b[0] == byte(len(protocol)) && string(b[1:ProtocolLen]) == protocol
}

// ParsePreamble reads the first [PreambleLen] bytes of a handshake: all but
// the peer id, which is left zero. The error is [ErrProtocol] if they are
// something else.
func ParsePreamble(b []byte) (Handshake, error) {
	var h Handshake
	if len(b) != PreambleLen || !IsHandshake(b) {
		return h, fmt.Errorf("%w: it begins with %.24q", ErrProtocol, b)
	}
	b = b[ProtocolLen:]
	copy(h.Reserved[:], b)
	copy(h.InfoHash[:], b[8:])
	return h, nil
}

// ParseHandshake reads the [HandshakeLen] bytes of a whole handshake. The
// error is [ErrProtocol] if they are something else.
func ParseHandshake(b []byte) (Handshake, error) {
	if len(b) != HandshakeLen {
		return Handshake{}, fmt.Errorf("%w: it has %d bytes", ErrProtocol, len(b))
	}
	h, err := ParsePreamble(b[:PreambleLen])
	if err == nil {
		copy(h.PeerID[:], b[PreambleLen:])
	}
	return h, err
}
