package webseed

import "time"

// The limits of one web seed.
const (
	// connections is how many HTTP requests run at once.
	connections = 4
	// minRange and maxRange bound how many bytes of the torrent are asked for
	// at once: enough for a request to be worth it, and little enough that
	// what others bring meanwhile is not asked for in vain.
	minRange, maxRange = 256 << 10, 8 << 20
	// maxQueue is how many blocks may wait to be asked for.
	maxQueue = 8192

	// maxURL is how many bytes a URL may have, that of a redirect too, and
	// maxRedirects how many redirects are followed for one request.
	maxURL, maxRedirects = 4096, 10
	// maxMoved is how many files' redirects are remembered.
	maxMoved = 256
	// maxText is how many bytes of what a server says are shown.
	maxText = 200

	// patience is how long a block may take to come, and so how long a server
	// may be silent. It does not count while a rate limit of ours is waited for.
	patience = 30 * time.Second

	// firstWait and lastWait bound the time until a server is tried again; it
	// doubles each time. refusedWait is the least after an answer that is not
	// likely to change soon, and passWait after all files of a server without
	// ranges were read. maxRetryAfter is how long a server may ask us to wait.
	firstWait, lastWait = time.Second, 10 * time.Minute
	refusedWait         = time.Minute
	passWait            = 30 * time.Second
	maxRetryAfter       = time.Hour
	// maxLost is how many files a server may not have before it is left alone:
	// for firstWait if anything came in between, or else as after a failure.
	maxLost = 16
	// missingTime is after how long files that the server did not have are
	// looked for again.
	missingTime = 10 * time.Minute

	// maxBurst is how many blocks are delivered at once, and burstTime for
	// how long they may be kept for that while more are coming.
	maxBurst, burstTime = 16, 2 * time.Millisecond
	// skipWorth is how much is rather read than that a connection is closed.
	skipWorth = 64 << 10
)
