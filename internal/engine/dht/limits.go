package dht

import "time"

// The shape of the network (BEP 5).
const (
	bucketSize   = 8                // Nodes in a bucket, in an answer, and to announce to: K.
	goodFor      = 15 * time.Minute // A node is good for so long after it was heard of, and a bucket fresh.
	tokenTurn    = 5 * time.Minute  // A token is accepted for so long at least, and twice that at most.
	announceTurn = 15 * time.Minute // From an announce to the next.
)

// What one packet may hold. More is passed over where that is said, and else
// makes the packet none.
const (
	maxPacket      = 4 << 10 // Bytes that are looked at; longer ones are dropped (BEP 32 has 1024 sent at most).
	maxSend        = 1024    // Bytes sent (BEP 32, "Maximum packet size").
	maxDepth       = 8       // Lists and dictionaries within one another.
	maxTransaction = 32      // Bytes of a transaction id.
	maxToken       = 128     // Bytes of a token.
	maxNodes       = 16      // Nodes of each family taken of an answer; more are passed over.
	maxValues      = 200     // Peers taken of an answer; more are passed over.
	maxText        = 128     // Bytes kept of the text of an error.
)

// maxAmplification is how many times as long as its question an answer is at
// most, to an address of which it is not known that it hears us.
const maxAmplification = 5

// The table.
const (
	maxBuckets   = 160
	maxSpares    = 8               // Nodes that wait for a place in a full bucket.
	badAfter     = 2               // Questions in a row without an answer, and a node is bad;
	goneAfter    = 5               // and it is forgotten, also if nobody waits for its place.
	maxPerGroup  = 2               // Nodes of one network in a bucket, and in a lookup.
	minQuestions = 3 * time.Second // Between two questions to a node that make sure of it.
)

// A lookup.
const (
	parallel      = 4                      // Questions under way that are not slow: alpha.
	maxCandidates = 64                     // Nodes that are remembered, the closest.
	maxAsked      = 96                     // Questions.
	maxStrays     = 24                     // Of them to nodes whose id does not follow from their address.
	maxLookups    = 16                     // At once; others wait.
	answerTime    = 5 * time.Second        // For an answer,
	slowTime      = time.Second            // and after that the next node is asked as well.
	maxFlying     = 256                    // Questions under way in all.
	askAgain      = time.Minute            // Between two lookups for a torrent that needs peers.
	retryFirst    = 5 * time.Second        // Until a lookup that reached few is repeated; doubled each time,
	retryLast     = 5 * time.Minute        // up to this.
	maxRouters    = 16                     // Nodes that are asked to get into the network, of one family.
	maxFound      = 1000                   // Peers that one lookup finds; more are passed over.
	maxVoters     = 32                     // Who said what our address is: the last ones.
	minVotes      = 5                      // So many of them, and more than half, have to say the same.
	busyTick      = 250 * time.Millisecond // How often is looked at questions under way,
	upkeepTurn    = time.Second            // From one look at what else is due to the next.
	idleTick      = 5 * time.Second        // and at the rest.
	maxSaved      = 100                    // Nodes of one family that are kept for the next start.
	maxState      = 16 << 10               // Bytes of what is kept.
	saveTurn      = 10 * time.Minute       // From one time that it is kept to the next.
	lookupTime    = 30 * time.Second       // For the names of all nodes to get into the network by.
)

// Packets a second, and at once after a pause.
const (
	questionRate, questionBurst = 100, 100    // That we ask,
	strangerRate, strangerBurst = 5, 10       // of them to those who asked us and are new;
	answerRate, answerBurst     = 100, 200    // that we answer, or look at without being told anything that we asked for;
	hostRate, hostBurst         = 10, 40      // of them of one host.
	maxHosts                    = 4096        // Hosts that are counted.
	blockTime                   = time.Minute // Who was above hostRate is not listened to for so long.
	maxWaiting                  = 256         // Packets that wait to be looked at.
)

// What others announce here.
const (
	maxHashes       = 1000             // Torrents.
	maxPeers        = 200              // Peers of one,
	maxPeersPerHost = 4                // of them of one host.
	peerLife        = 30 * time.Minute // An announce counts for so long.
	expireTurn      = time.Minute      // From one look at all torrents for a place to the next.
)
