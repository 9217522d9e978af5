package peerconn

import "time"

// The limits of one connection. Those of single messages are wire's.
const (
	// maxOutstanding is how many blocks may have been asked for and not yet
	// be answered.
	maxOutstanding = 4096
	// maxServes is how many blocks may wait to be sent.
	maxServes = 2048
	// maxUnsent is how many bytes of small messages may wait to be sent, in
	// addition to one bitfield.
	maxUnsent = 256 << 10
	// maxBurst is how many messages are delivered at once, and
	// maxBurstPayload after how many bytes of payload it is time to.
	maxBurst, maxBurstPayload = 64, 64 << 10

	// maxBatch is how many blocks leave in one write at most, and batchTime
	// how long that should take: what is more urgent waits for it. Each write
	// costs, most of all because it wakes the peer.
	maxBatch, batchTime = 64, 20 * time.Millisecond
	// smallBatch is how many of them leave in one write where maxLarge
	// connections of this process are writing more: buffers for these are dear.
	smallBatch, maxLarge = 16, 16

	// bufferLen is the read buffer: small messages are parsed in it.
	bufferLen = 4 << 10
	// aheadLen is how much is read beyond a block: enough for the next
	// header, and little enough that the next block is hardly copied.
	aheadLen = 512
	// bodyStep is how much memory a peer gets at once for a long message:
	// it has to send that much to get more.
	bodyStep = 64 << 10

	// idleTimeout is how long a peer may be silent. The keep-alive of BEP 3
	// comes each two minutes.
	idleTimeout = 150 * time.Second
	// blockTimeout is how long in all may be waited for the bytes of one
	// block once it has begun: a peer that trickles can't hold its lease.
	blockTimeout = 60 * time.Second
	// writeTimeout is how long a write may take, that is how long a peer
	// may read nothing although there is something to read.
	writeTimeout = 120 * time.Second
	// keepAliveInterval is after how much silence of ours a keep-alive goes
	// out (BEP 3: generally once each two minutes).
	keepAliveInterval = 110 * time.Second
	// sentInterval is how long a block may have left before the sink is
	// told, if nothing arrives that is delivered anyway.
	sentInterval = 100 * time.Millisecond
	// deadlineSlack is how imprecise deadlines may be, so that they are not
	// set for each read and write.
	deadlineSlack = 5 * time.Second
)
