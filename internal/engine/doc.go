// Package engine downloads and serves torrents. It wires the pure protocol
// logic of package swarm to sockets, files and trackers, and knows nothing of
// Kubernetes.
//
// # Goroutines and who owns what
//
//	one for each torrent    owns the Swarm; the only caller of Handle (torrent.go, resolve.go, session.go)
//	two for each connection reader and writer of a peerconn.Conn; own its socket
//	one for each dial       until the handshake is done, then it runs the connection (peers.go)
//	one for each torrent    the tracker session
//	one for the engine      accepts connections (package transport)
//	a few for the engine    hash and write pieces, sync files (package disk)
//
// Everything that happens to a torrent goes through the inbox of its hub
// (hub.go, inbox.go) to its goroutine, which answers each batch of events with
// the effects that the Swarm returned (effects.go). What others may read of a
// torrent is a snapshot made once a second (progress.go), so nobody else
// touches its state.
//
// # Resolving
//
// A torrent of which only the info hash is known has no session at first, but
// a hub and a Swarm that asks for nothing but the info dictionary (resolve.go).
// Its folder is checked on another goroutine, while those two keep connections
// and take callers, and then its session goes on with both.
//
// # The way of a block
//
// A connection's reader claims the block's place from the disk store, reads
// the payload from the socket straight into it, and delivers the headers of
// the whole burst to the inbox. The Swarm sees that a piece is complete and
// asks for it to be finished; a disk worker hashes it in memory and writes it
// in one call; the result comes back through the inbox, and only then is the
// piece's bit set and announced.
//
// # Back-pressure
//
// A reader that delivers to a full inbox waits, so its socket fills and TCP
// slows the sender. Everything else that posts to an inbox is bounded by what
// the Swarm asked for, and never waits, so the torrent's goroutine can't be
// waited for by somebody for whom it waits.
package engine
