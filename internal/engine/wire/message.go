package wire

// ID is the type of a message: the byte after its length prefix.
type ID uint8

// The messages of BEP 3 and, from Suggest on, of the Fast extension (BEP 6)
// and the extension protocol (BEP 10).
const (
	Choke         ID = 0
	Unchoke       ID = 1
	Interested    ID = 2
	NotInterested ID = 3
	Have          ID = 4 // Index.
	Bitfield      ID = 5 // Payload.
	Request       ID = 6 // Index, Begin, Length.
	Piece         ID = 7 // Index, Begin, Length of the block; the payload travels beside the Message.
	Cancel        ID = 8 // Index, Begin, Length.
	Port          ID = 9 // Index holds the DHT port.
	Suggest       ID = 13
	HaveAll       ID = 14
	HaveNone      ID = 15
	Reject        ID = 16 // Index, Begin, Length.
	AllowedFast   ID = 17 // Index.
	// Extended has a Payload, whose first byte is the extended message's id.
	// Length is how many bytes of it are content that is served, so that
	// limits hold for it; it does not travel.
	Extended ID = 20

	// KeepAlive stands for the message of length zero, which has no id byte.
	KeepAlive ID = 255
)

// Message is any message between peers after the handshake, except that the
// payload of a piece message is never part of it. Which fields mean something
// depends on ID, as said at the constants. Payload belongs to the message's
// holder and is a copy, not a view of a connection's buffer.
type Message struct {
	ID                   ID
	Index, Begin, Length uint32
	Payload              []byte
}
