package tracker

import "time"

// What a tracker, or whoever wrote the torrent, may make a client do.
const (
	maxURL       = 4096             // Bytes of an announce URL.
	maxTrackers  = 100              // Announce URLs of one torrent, and as many that a user adds; the rest are not used.
	maxParallel  = 8                // Announces of one torrent under way at once.
	maxReply     = 2 << 20          // Bytes of a reply over HTTP, decompressed.
	maxPacket    = 20 + 18*maxPeers // Bytes looked at of a reply over UDP.
	maxAddresses = 8                // Addresses of a UDP tracker's name that are tried.
	maxDepth     = 8                // Lists and dictionaries of a reply within one another.
	maxPeers     = 1000             // Addresses taken of one reply; the rest are not looked at.
	maxRedirects = 5                // Redirects followed by one announce.
	maxText      = 256              // Bytes shown of a text that a tracker sent.
	maxTrackerID = 512              // Bytes of a tracker id.
	maxTime      = 30 * time.Second // One announce or scrape with all of its redirects; the resolution of a UDP tracker's name.
	maxGoodbye   = 5 * time.Second  // All announces of a session that stops.
)

// How often a tracker is asked. What it wishes is moved into these bounds.
const (
	defaultInterval = 30 * time.Minute // When a tracker names none, or zero.
	shortest        = 10 * time.Second // Interval and minimum interval at least.
	longest         = 24 * time.Hour   // Interval, minimum interval and retry at most.
	defaultMinimum  = time.Minute      // Before asking for more peers, when a tracker names no minimum.
	patience        = 5 * time.Second  // For the first answer of a tracker, before the next tier is asked as well.
	needEvery       = time.Second      // Between two looks at whether more peers can be asked for.
	backoffFirst    = 10 * time.Second // After the first failure; doubled by each that follows.
	backoffLast     = 30 * time.Minute // After many.
)

// The pace of UDP trackers (BEP 15, "UDP connections" and "Time outs").
const (
	connectionLife  = time.Minute      // A connection ID is used for so long after it came.
	answerTime      = 15 * time.Second // Waiting for the answer to one packet.
	retransmitFirst = 15 * time.Second // From a packet to the next when none is answered; doubled by each that follows.
	retransmitMost  = 8                // How often it is doubled.
	familyTime      = 2 * time.Second  // Waiting for the tracker's address of the other family when one has answered.
)

// numWant is how many peers a client asks for.
const numWant = 80

// What clients may make a server do.
const (
	serverTorrents     = 20_000  // Torrents remembered.
	serverPeers        = 400_000 // Peers remembered, of all torrents.
	serverTorrentPeers = 20_000  // Peers remembered of one torrent.
	serverAddrPeers    = 500     // Peers remembered of one torrent at one address.
	serverNumWant      = 50      // Peers in a reply when the client does not say how many.
	serverMaxNumWant   = 200     // Peers in a reply at most.
	serverMaxScrape    = 1000    // Torrents in a scrape reply over HTTP.
	serverPacketScrape = 74      // Torrents in a scrape reply over UDP (BEP 15, "Scrape").
	serverPacket       = 1400    // Bytes of a reply over UDP: it fits into one frame.
	serverMaxPacket    = 2048    // Bytes looked at of a request over UDP.

	serverConnection = 2 * time.Minute // A connection ID is accepted for so long at least, and twice that at most.
	serverMaxQuery   = 64 << 10        // Bytes of a query: a scrape may name many torrents.
)
