package tracker

import "time"

// What a tracker, or whoever wrote the torrent, may make a client do.
const (
	maxURL       = 4096             // Bytes of an announce URL.
	maxTrackers  = 100              // Announce URLs of one torrent, and as many that a user adds; the rest are not used.
	maxParallel  = 8                // Announces of one torrent under way at once.
	maxReply     = 2 << 20          // Bytes of a reply, decompressed.
	maxDepth     = 8                // Lists and dictionaries of a reply within one another.
	maxPeers     = 1000             // Addresses taken of one reply; the rest are not looked at.
	maxRedirects = 5                // Redirects followed by one announce.
	maxText      = 256              // Bytes shown of a text that a tracker sent.
	maxTrackerID = 512              // Bytes of a tracker id.
	maxTime      = 30 * time.Second // One announce with all of its redirects.
	maxGoodbye   = 5 * time.Second  // All announces of a session that stops.
)

// How often a tracker is asked. What it wishes is moved into these bounds.
const (
	defaultInterval = 30 * time.Minute // When a tracker names none, or zero.
	shortest        = 10 * time.Second // Interval and minimum interval at least.
	longest         = 24 * time.Hour   // Interval, minimum interval and retry at most.
	defaultMinimum  = time.Minute      // Before asking for more peers, when a tracker names no minimum.
	needEvery       = time.Second      // Between two looks at whether more peers can be asked for.
	backoffFirst    = 10 * time.Second // After the first failure; doubled by each that follows.
	backoffLast     = 30 * time.Minute // After many.
)

// numWant is how many peers a client asks for.
const numWant = 80

// What clients may make a server do.
const (
	serverTorrents     = 20_000   // Torrents remembered.
	serverPeers        = 400_000  // Peers remembered, of all torrents.
	serverTorrentPeers = 20_000   // Peers remembered of one torrent.
	serverAddrPeers    = 500      // Peers remembered of one torrent at one address.
	serverNumWant      = 50       // Peers in a reply when the client does not say how many.
	serverMaxNumWant   = 200      // Peers in a reply at most.
	serverMaxScrape    = 1000     // Torrents in a scrape reply.
	serverMaxQuery     = 64 << 10 // Bytes of a query: a scrape may name many torrents.
)
