// Package peerconn runs one established connection to a peer: it turns what
// arrives into bursts of messages, and what is to be sent into few large
// writes. It begins after the handshake, which is transport's work, and knows
// no torrent: whether a message makes sense is for the swarm to say. The
// engine makes a [Conn] for each peer and is its [Sink].
//
// # Reading
//
// The goroutine that calls [Conn.Run] reads. A block's payload goes from the
// socket straight into the place that the sink leases for it. On TCP that
// takes one system call a block: readv fills the rest of the payload and then
// a small buffer, which thereby holds the next message's header.
//
//	socket ──readv──┬─▶ Sink.Claim(…) ……………… the block, in place
//	                └─▶ buf ─▶ next header, small messages ─▶ burst ─▶ Sink.Deliver
//
// A burst is handed over when the socket has nothing more, before a rate limit
// makes the reader wait, and when it is full. While Deliver blocks nothing is
// read, so a torrent that can't keep up slows its peers down through TCP.
// uTP is read likewise, from its own memory; other connections (in tests) are
// read in the plain way.
// What comes encrypted (package mse) is read as fast, and decrypted where it
// lies; what leaves is encrypted where it lies, too.
//
// # Writing
//
// One more goroutine writes. [Conn.Send] encodes small messages into a buffer
// that leaves in one write, before any block that waits; blocks to be served
// wait in a queue of their own until their turn has come and the rate limit
// allows. A peer that is fast gets up to maxBatch of them in one write, and
// those that follow each other in a piece are read from the [Source] at once;
// a slow peer gets them one by one, so that nothing urgent waits for long.
//
//	queue ─▶ Source.ReadBlock(…) ……… a run of blocks ──writev──▶ socket
//	      └▶ headers, one for each ────────────────────┘
//
// What has left is told to the sink with what arrives, or after sentInterval
// if nothing does, so the reader is not woken for each block.
//
// # What a peer can't do
//
// It can't send a block that it was not asked for, a message of a wrong
// length, or one that was not agreed on: that ends the connection with a
// reason that is counted. It can't make memory grow: everything that queues
// here has a limit, and all of them stand in limits.go.
package peerconn
