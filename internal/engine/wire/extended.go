package wire

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// Extension is an extension of the protocol that travels in extended messages
// (BEP 10). Its number is the id under which we take its messages: our
// handshake says so, and the first byte of what a peer sends us is one of
// them. A peer has ids of its own, [ExtendedHandshake.IDs].
type Extension uint8

// The extensions that are known here.
const (
	ExtHandshake  Extension = iota // The handshake itself, always under id 0 (BEP 10).
	ExtPEX                         // Peer exchange (BEP 11).
	ExtMetadata                    // The info dictionary (BEP 9).
	ExtDontHave                    // A piece that was lost (BEP 54).
	ExtUploadOnly                  // A change of upload_only (BEP 21) after the handshake.
	extensions                     // How many there are.
)

// extensionNames are their keys in a handshake's "m".
var extensionNames = [extensions]string{
	ExtPEX: "ut_pex", ExtMetadata: "ut_metadata", ExtDontHave: "lt_donthave", ExtUploadOnly: "upload_only",
}

// Extend returns the extended message of that content under the id that its
// receiver gave the extension.
func Extend(id uint8, content []byte) Message {
	return Message{ID: Extended, Payload: append([]byte{id}, content...)}
}

// Extension returns of which extension a received extended message is, and
// its content, which is not copied. An extension that is not known here is to
// be ignored.
func (m *Message) Extension() (e Extension, content []byte) {
	return Extension(m.Payload[0]), m.Payload[1:]
}

// DontHave returns the message that a piece was lost, for a peer that takes it
// under that id (BEP 54).
func DontHave(id uint8, piece uint32) Message {
	return Extend(id, binary.BigEndian.AppendUint32(nil, piece))
}

// ParseDontHave reads the content of a message that a piece was lost. Whether
// there is such a piece is left to the swarm.
func ParseDontHave(content []byte) (piece uint32, err error) {
	if len(content) != 4 {
		return 0, fmt.Errorf("lt_donthave with %d bytes instead of 4", len(content))
	}
	return binary.BigEndian.Uint32(content), nil
}

// UploadOnly returns the message that we want nothing more, or do again, for a
// peer that takes it under that id. It says what upload_only says in a
// handshake (BEP 21), and libtorrent made it known as a message.
func UploadOnly(id uint8, is bool) Message {
	b := byte(0)
	if is {
		b = 1
	}
	return Extend(id, []byte{b})
}

// ParseUploadOnly reads the content of such a message.
func ParseUploadOnly(content []byte) (is bool, err error) {
	if len(content) != 1 {
		return false, fmt.Errorf("upload_only with %d bytes instead of 1", len(content))
	}
	return content[0] != 0, nil
}

// appendString appends s in bencoding, and appendInt n.
func appendString[S string | []byte](dst []byte, s S) []byte {
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	return append(append(dst, ':'), s...)
}

func appendInt(dst []byte, n int64) []byte {
	return append(strconv.AppendInt(append(dst, 'i'), n, 10), 'e')
}
