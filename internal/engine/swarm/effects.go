package swarm

import (
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// Effects is what the engine has to do after [Swarm.Handle], in the order of
// the fields. It belongs to the Swarm and is valid until the next Handle.
type Effects struct {
	Close []Close // Connections to end now. A Gone event follows for each.
	Ban   []netip.Addr
	// Send lists messages in the order in which each peer must get them. A
	// wire.Piece asks for that block to be read and sent, and so may a
	// wire.Extended with a Length wait for its turn and for limits: a Sent
	// event follows when either has left. A wire.Request also entitles the
	// peer to send that block; a wire.Cancel of a block that has already
	// begun to arrive changes nothing.
	Send []Send
	// Unsend lists blocks that an earlier Send promised and that the peer
	// no longer wants or may no longer have: they are dropped if they have
	// not begun to leave, and a Sent event follows only if they had.
	Unsend []Send
	Finish []Finish         // Pieces all of whose blocks are in place: to be hashed and written.
	Dial   []netip.AddrPort // Peers to connect to. Connected or DialFailed follows for each.
	Nodes  []netip.AddrPort // Where peers say that their node of the DHT is (BEP 5).
	// Info is the info dictionary, once it was fetched from peers (BEP 9):
	// then [Swarm.Resolve] is to be called with what is in it.
	Info []byte
	// NeedPeers says that more addresses would be useful: trackers may be
	// asked earlier than their interval, never than their minimum.
	NeedPeers bool
	// Completed is true once: when the last wanted piece was verified.
	Completed bool
	// Wake is when Handle wants to be called again, if no event comes first.
	Wake time.Time
}

// Close ends a connection. Reason is one of a fixed set of words, for counting.
type Close struct {
	Peer   Peer
	Reason string
}

// Send is a message for a peer.
type Send struct {
	Peer Peer
	Msg  wire.Message
}

// Finish asks for a piece to be hashed and written, and for the digests of
// its blocks if Digests is set (an earlier copy of it failed, and the blocks
// that differ tell who lied).
type Finish struct {
	Piece   uint32
	Digests bool
}
