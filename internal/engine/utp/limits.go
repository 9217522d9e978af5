package utp

import "time"

// All limits on what strangers send, and on what is kept for them.
const (
	// maxWindow is how many bytes of a connection may be on their way in each
	// direction, and wait for their reader.
	maxWindow = 1 << 20
	// minQueue is how many bytes a writer may be ahead of the network in any
	// case, and maxQueue the most. In between, it is two windows.
	minQueue = 64 << 10
	maxQueue = maxWindow + 256<<10
	// maxPackets is how many packets of a connection may be sent and not
	// acknowledged, or come early and be kept. A selective acknowledgement
	// tells of less than 2040.
	maxPackets = 1024
	// maxQueued is how many packets may wait for an acknowledgement or for
	// their turn, whatever is in them, and maxFree how many are kept for later.
	maxQueued = 2048
	maxFree   = 64
	// maxIdle is how many bytes of memory a connection keeps while its reader has
	// read all.
	maxIdle = 64 << 10
	// maxExtensions is how many extensions a packet may have.
	maxExtensions = 8
	// maxLinks is how many connections a socket has at most.
	maxLinks = 4096
	// maxHalfOpen is how many callers may have sent no more than a SYN: a new
	// one takes the place of the oldest.
	maxHalfOpen = 128
)

// datagram4 and datagram6 are how long the packets that we send are, header
// included: what passes through the usual tunnels without being cut up.
const (
	datagram4 = 1402
	datagram6 = 1232
)

// Times.
const (
	// firstTimeout is how long an acknowledgement may take before anything is
	// known of the path; minTimeout and maxTimeout bound what is known then.
	firstTimeout = time.Second
	minTimeout   = 500 * time.Millisecond
	maxTimeout   = 15 * time.Second
	// maxTimeouts is how often in a row nothing may be heard before the other
	// side is given up.
	maxTimeouts = 6
	// keepAlive is how long nothing is sent at most, so that routers that
	// translate addresses remember the connection.
	keepAlive = 29 * time.Second
	// linger is how long a connection that was closed may take to deliver
	// what was written before, and how long a caller is waited for after its
	// SYN.
	linger = 10 * time.Second
)
