package swarm

import (
	"net/netip"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// Peer numbers one connection for as long as it lasts. The engine gives the
// numbers out, ascending and never the same twice.
type Peer uint32

// EventKind says what happened; it decides which fields of an [Event] mean
// something.
type EventKind uint8

// What can happen to a torrent.
const (
	// Connected: a handshake with Peer at Addr succeeded. PeerID, Fast,
	// Extended and Incoming are set; Addr of an outgoing connection is one of
	// Effects.Dial.
	// With WebSeed it is no peer but a web server (BEP 19), known by PeerID
	// alone, and Addr is not set. A peer with that id has nothing to do with it.
	Connected EventKind = iota + 1
	// Gone: the connection of Peer ended, for whatever reason, also after
	// Effects.Close asked for it. Its outstanding requests are lost. No
	// event of that peer follows.
	Gone
	// Received: Peer sent Msg. Never a piece message: that is Block.
	Received
	// Block: Peer sent the block Msg.Index/Begin/Length, which had been
	// asked of it. Fresh says that its bytes are now in place; otherwise
	// another peer's copy was there first and this one was thrown away.
	Block
	// Sent: the block Msg.Index/Begin/Length has left for Peer, or, with the
	// ID wire.Extended, an extended message of that Length.
	Sent
	// PieceDone: a piece named in Effects.Finish was hashed and, if OK,
	// written. If not OK the disk has forgotten all of its blocks. Digests
	// has one value a block if it was asked for or if not OK: equal bytes
	// have equal digests.
	PieceDone
	// PieceLost: the bytes of piece Msg.Index can't be relied on any more
	// (a re-check found it bad, or it could not be read back).
	PieceLost
	// Found: Addrs are peers that Source knows of.
	Found
	// DialFailed: Addr, one of Effects.Dial, could not be connected to, or
	// turned out to be Self.
	DialFailed
	// Reconfigured: MaxPeers, DownloadLimit, NoPEX and Filter are these now.
	Reconfigured
)

// Event is one thing that happened. It is flat so that a batch of events is
// one allocation.
type Event struct {
	Kind     EventKind
	Peer     Peer
	Fresh    bool         // Block.
	OK       bool         // PieceDone.
	Fast     bool         // Connected: both sides speak BEP 6.
	Extended bool         // Connected: both sides speak BEP 10.
	DHT      bool         // Connected: both sides take part in the DHT (BEP 5).
	Incoming bool         // Connected: the peer called us.
	WebSeed  bool         // Connected: it is a web server.
	Msg      wire.Message // Received, Block, Sent; PieceDone and PieceLost use Msg.Index alone.
	PeerID   [20]byte     // Connected.
	Addr     netip.AddrPort
	Addrs    []netip.AddrPort // Found.
	Source   Source           // Found.
	Self     bool             // DialFailed: the connection led back to us.
	Digests  []uint64         // PieceDone.

	MaxPeers      int   // Reconfigured.
	DownloadLimit int64 // Reconfigured: bytes a second, 0 for none.
	NoPEX         bool  // Reconfigured.
	Filter        Filter
}
