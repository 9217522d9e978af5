package dashboard

import "time"

// What others may make the dashboard do and keep. Whoever is behind a request
// is checked by the API server; these bounds hold before and besides.
const (
	// maxToken is the length of a token in a cookie: browsers keep 4096 bytes
	// of a cookie, name and attributes included.
	maxToken = 3800
	// maxForm bounds the body of a form without a file.
	maxForm = 64 << 10
	// maxUpload bounds the body of a form with a .torrent file. The file has
	// to fit into an object of Kubernetes, which holds 1 MiB.
	maxUpload = 1<<20 + maxForm
	// maxFeeds is how many different lists and downloads are followed at once,
	// for all people together. What several browsers show counts once.
	maxFeeds = 1000
	// maxFeedsEach is how many of them are one person's.
	maxFeedsEach = 100
	// maxReaders is how many browsers are told of one of them.
	maxReaders = 1000
	// maxHeader bounds the header of a request, cookies included.
	maxHeader = 32 << 10
)

// How much of a torrent is sent to a browser at once.
const (
	stripCells  = 64    // Of the strip in a row of the list.
	maxCells    = 16384 // Of the map of pieces; a larger torrent shows stretches.
	maxPeers    = 200
	maxFiles    = 500
	maxTrackers = 100
	firstRows   = 50  // Of the list, in its first answer.
	chunkRows   = 200 // Of the list, in an event: what a browser reads in a moment.
	backlog     = 32  // Events that a slow browser may be behind before it has to begin again.
)

// How often and how long.
const (
	listEvery   = time.Second                // Changes of the list are told together.
	lookEvery   = 2 * time.Second            // A download that somebody looks at is read.
	eventsEvery = 10 * time.Second           // Its events.
	lingers     = 10 * time.Second           // What nobody looks at any more is followed for so long.
	firstWait   = 1500 * time.Millisecond    // The list's first answer waits so long for rows.
	askTimeout  = 15 * time.Second           // A question to the API server.
	keepAlive   = 20 * time.Second           // Something is sent, so that nothing between takes the stream for dead.
	writeWait   = keepAlive + 10*time.Second // A browser takes an event within this time, or has to begin again. HTTP/2 ends a stream even if nothing is being sent then.
	answerWait  = 3 * time.Minute            // A browser sends all of a request and takes all of an answer that is no stream.
)
