// Package transport makes connections to peers: it listens, dials, and does
// the handshake of BEP 3 in both directions, so that what it hands over is
// ready for peerconn. One [Transport] serves all torrents of an engine.
//
// The first bytes of a caller tell whether it begins in the clear or encrypted
// (package mse), so the one costs nothing where the other is allowed. Which of
// both there may be, and who is dialed how, each torrent says for itself. Only
// the handshake may be encrypted, or all of a connection: then the
// [mse.Stream] goes with it.
//
// Peers are taken and dialed over TCP and, if wanted, over uTP (package utp), which
// gives way to everything else on the path. Its packets come through [Packets], the
// socket of UDP that it shares with the DHT.
//
// It also holds the [Guard], which says where the engine may connect to. All
// that the engine dials goes through it: peers, and by way of [HTTP] trackers
// and the URLs of .torrent files. A proxy for HTTP is the exception, see there.
//
// What the handshake proves is little: the other side knows the info hash, and
// is not ourselves. Who it is, and whether it is wanted, the swarm decides.
package transport

import "time"

// The limits on strangers, before a torrent knows of them.
const (
	// maxHalfOpen is how many peers may be dialed at once, by all torrents.
	maxHalfOpen = 128
	// maxPending is how many callers may be in the middle of their
	// handshake; more are hung up on at once.
	maxPending = 128
	// maxPendingPerHost is how many of them may be of one host, which has a
	// whole /64 of IPv6.
	maxPendingPerHost = 32
	// dialTimeout is how long a TCP connection may take to come about.
	dialTimeout = 10 * time.Second
	// headStart is how long TCP alone is tried, so that nothing is slower because
	// of uTP, and utpTimeout how long uTP is tried then.
	headStart  = 2 * time.Second
	utpTimeout = 4 * time.Second
	// handshakeTimeout is how long a whole handshake may take.
	handshakeTimeout = 10 * time.Second
	// maxHeaders is how many bytes of headers an HTTP server may send.
	maxHeaders = 64 << 10
	// headersTimeout is how long an HTTP server may take to begin its answer.
	headersTimeout = 30 * time.Second
	// lookupTimeout is how long is looked for the addresses of a name that a
	// proxy is to be asked for.
	lookupTimeout = 2 * time.Second
	// maxNames is how many such names are remembered, and nameLife how long.
	maxNames = 1000
	nameLife = time.Minute
)
