package report

import "time"

// Bounds on what each end takes from the other.
const (
	// MaxResult is the largest termination message that Kubernetes keeps, in
	// bytes.
	MaxResult = 4096
	// MaxOrder bounds an order as JSON, in bytes: it lies in a Secret.
	MaxOrder = 1 << 20
	// MaxPush bounds the body of a push in bytes: a bitfield of four million
	// pieces and some hundred trackers. The last of each worker is held.
	MaxPush = 1 << 20
	// MaxReply bounds the body of a reply in bytes: a request with a .torrent
	// file of the size of a Secret.
	MaxReply = 4 << 20
	// MaxList is how many trackers, and how many web seeds, a push tells of.
	MaxList = 1000
	// MaxDetail bounds a detail as JSON, in bytes; MaxActive and MaxFiles how
	// many pieces that are being fetched, and how many files, it tells of.
	MaxDetail = 16 << 20
	MaxActive = 64 << 10
	MaxFiles  = 10_000

	maxToken   = 8 << 10  // Bytes of a token.
	maxCA      = 64 << 10 // Bytes of the file of certificates.
	maxHeaders = 16 << 10 // Bytes of the headers of a push, and of a reply.
)

// What a push may take of the worker.
const (
	maxAddresses   = 16               // Of the operator's name that are tried.
	attemptTimeout = 10 * time.Second // For each of them.
	dialTimeout    = 3 * time.Second
	keepIdle       = 10 * time.Second // How long a connection waits for the next push; less than idleTimeout.
)

// What looks at its download may take of the worker.
const (
	maxLooks    = 2                // At once.
	lookTimeout = 10 * time.Second // For the download to answer.
)

// What pushes may take of the operator.
const (
	maxConnections   = 2048 // At once; more wait to be accepted.
	maxFromAddress   = 256  // Connections of one address, behind which a whole node may be; more are closed.
	maxReviews       = 8    // Tokens being looked at, at once.
	maxTaking        = 32   // Pushes being read and taken, at once,
	maxFromNamespace = 4    // of which so many are of one namespace.

	maxGuesses   = 10          // Tokens of one address that are nobody's, before no more are asked about
	guessesFor   = time.Minute // in this time from the first on.
	maxStrangers = 4096        // Addresses whose tokens are counted.

	headerTimeout = 5 * time.Second  // For the handshake and the headers of a push.
	pushTimeout   = 15 * time.Second // For a whole push.
	replyTimeout  = 30 * time.Second // From its headers to the end of the reply.
	idleTimeout   = 15 * time.Second // Between two pushes on a connection: a busy worker's stays, an idle one's costs nothing.
	slotTimeout   = 2 * time.Second  // For its turn.
)
