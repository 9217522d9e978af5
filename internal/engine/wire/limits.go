package wire

import "github.com/torrent-operator/torrent-operator/internal/engine/block"

// The limits on what a stranger may send.
const (
	// MaxBody is the most that may follow the id of a message for which
	// there is no closer limit: those that are skipped.
	MaxBody = 1 << 20
	// MaxBlock is the longest block that may be requested or sent (BEP 3,
	// "request": connections that ask for more than 2^14 bytes are closed).
	MaxBlock = block.Size
	// MaxExtended is the longest body of an extended message. The longest
	// that is of use carries 16 KiB of metadata (BEP 9).
	MaxExtended = 64 << 10
	// MaxContacts is how many contacts, and how many dropped ones, of one
	// peer exchange message are read; more are passed over. BEP 11 allows
	// 50, and more in the first message.
	MaxContacts = 100

	// maxExtendedHandshake is the longest extension handshake, and maxPEX
	// the longest peer exchange message; maxDepth is how deep they may nest.
	maxExtendedHandshake, maxPEX, maxDepth = 16 << 10, 16 << 10, 32
	// maxMetadataHead is the longest dictionary before the data of a metadata
	// message (BEP 9).
	maxMetadataHead = 1 << 10
	// maxClient is how many bytes of a client's name are kept.
	maxClient = 64
)
