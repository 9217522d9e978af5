package swarm

import (
	"crypto/sha1"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/metadata"
)

// Limits on what strangers can make a swarm hold or do, and the times that it
// waits for them.
const (
	// defaultMaxPeers is how many connections a torrent has unless it is
	// told otherwise, and maxMaxPeers how many it can be told to have.
	defaultMaxPeers, maxMaxPeers = 80, 10_000
	// maxPerAddr is how many of them one address may hold, so that a single
	// host can't take all places. IPv6 addresses count by their /64, since a
	// host can use as many of one as it likes.
	maxPerAddr = 20

	// maxRequestLength is the longest block that is served. Nobody needs
	// more than 16 KiB; older clients asked for up to 128.
	maxRequestLength = 128 << 10
	// maxQueue is how many requests of one peer wait to be served, and how
	// many it may send while choked. It is twice what this engine asks of a
	// peer at most, and more than other clients do.
	maxQueue = 2048
	// maxRequests is how many requests peers are told that they may let wait
	// (BEP 10, "reqq"). It is less than maxQueue, because a peer that has got
	// a block may ask for the next before it is known here that it left.
	maxRequests = 2000
	// maxHints is how many allowed fast or suggested pieces of one peer are
	// remembered (BEP 6 expects about 10).
	maxHints = 32

	// startDepth is how many requests a pipeline begins with, minDepth the
	// fewest that it ends with. A pipeline holds at most slowDepth requests
	// to a peer without the Fast extension, which would drop what is too
	// much in silence (older clients hold 250); fastDepth to one that can
	// say so by a reject (transmission holds 512, libtorrent 500 to 2,000);
	// and localDepth once it sends so fast that less than that is a matter
	// of milliseconds. A peer that says how many it takes (BEP 10, "reqq")
	// gets that many, up to localDepth. A reject makes it less.
	startDepth, minDepth             = 16, 2
	slowDepth, fastDepth, localDepth = 250, 500, 1024
	localRate                        = 128 << 20 // Bytes a second.
	// webStart and webDepth are startDepth and the most for a web server: what
	// makes a few ranges of several MiB at once.
	webStart, webDepth = 64, 2048
	// queueTime is how long the requests in a pipeline should keep a peer
	// busy beyond the round trip.
	queueTime = time.Second

	// limitTime is for how long a download limit should be busy with what was
	// asked for, and minLimited how many requests there may be at least.
	limitTime  = 8 * time.Second
	minLimited = 8
	// maxOwnDelay is how much later a peer is called silent for a limit.
	maxOwnDelay = time.Hour

	// A peer that has let a request wait for slack times as long as its
	// rate promises, within these bounds, is snubbed: its requests go to
	// others. silentTimeout is for a peer whose rate is not known yet.
	slack                  = 4
	minTimeout, maxTimeout = 10 * time.Second, 60 * time.Second
	silentTimeout          = 20 * time.Second
	// deadTimeout is how long an answer is still expected to a request that
	// was cancelled, or that a choke made void, and maxDead how many of
	// those are remembered of a peer.
	deadTimeout = 2 * time.Minute
	maxDead     = 2048
	// maxPause is the longest that a peer is left alone that rejects
	// requests while it does not choke.
	maxPause = time.Minute

	// regularSlots is how many peers are unchoked for what they give; one
	// more is by chance (BEP 3).
	regularSlots = 4
	// fastSetSize is how many pieces a peer may have while it is choked
	// (BEP 6), in torrents of fastSetPart times as many or more; fewer in
	// smaller ones, so that it stays a hundredth of the torrent.
	fastSetSize, fastSetPart = 10, 100

	// maxCandidates is how many addresses are remembered, maxDialing how
	// many of them are being connected to at once.
	maxCandidates, maxDialing = 2000, 30
	// maxHearsay is how many of those may be known from other peers or the DHT
	// alone, so that trackers and people are always heard.
	maxHearsay = maxCandidates / 2
	// minRedial and maxRedial bound the time before an address is tried
	// again; it doubles with each failure.
	minRedial, maxRedial = 5 * time.Second, time.Hour
	// wantPeers is how many connections are enough to ask nobody for more
	// addresses, and askInterval the time between two such questions.
	wantPeers, askInterval = 30, 30 * time.Second

	// A peer is told of others once each pexInterval at most, first after
	// pexDelay, of maxTell who came and maxTell who left (BEP 11), and of
	// maxTold in all at any one time. What it tells may come in bursts, as
	// much as is due within pexPatience; after maxEarly messages in a row
	// beyond that it goes.
	pexInterval, pexDelay, pexPatience = time.Minute, 5 * time.Second, 2 * time.Minute
	maxTell, maxTold, maxEarly         = 50, 200, 10
	// maxVotes is how many hosts are heard, of each family, on what our own
	// address is.
	maxVotes = 32

	// maxIdle is how long a connection without interest on either side is
	// kept when the torrent has all the connections that it may have, and
	// minIdle how long it is safe even from a new one.
	minIdle, maxIdle = time.Minute, 5 * time.Minute
	// youth is the age up to which two connections to one peer count as
	// made at once by both sides.
	youth = 10 * time.Second

	// maxLiars is how many peers of one address are banned one by one.
	maxLiars = 8
	// maxBans is how many banned addresses and peers are remembered,
	// maxDeparted how many peers that sent blocks and left, and maxCopies
	// how many failed copies of pieces wait for a good one to compare with,
	// maxPieceCopies of the same piece.
	maxBans, maxDeparted, maxCopies, maxPieceCopies = 4096, 1024, 64, 4

	// maxEarlyPieces is how many pieces a torrent is taken to have at most
	// until its info dictionary is known: as many hashes as fit into what
	// peers may offer, and up to the next full byte of a bitfield.
	maxEarlyPieces = (metadata.MaxSize/sha1.Size + 7) / 8 * 8
	// maxKeptBytes is how many bytes of bitfields are kept of all peers until
	// then; when there are more, the peer with the most is sent away. Those
	// that grow with single pieces do so by keepStep bytes.
	maxKeptBytes, keepStep = 8 << 20, 512
	// Of the info dictionary a peer gets metadataBurst pieces at once, and
	// then as many each second, which is 128 KiB, if the upload limit lets
	// them leave. maxMetadataQueue is how many requests wait for that; others
	// are rejected, as BEP 9 suggests. A peer that has asked for the whole dictionary maxMetadataTimes gets no
	// more.
	metadataBurst, maxMetadataQueue, maxMetadataTimes = 8, 64, 3

	// tick is how often a swarm looks for what did not happen.
	tick = time.Second
)

// The reasons of [Close].
const (
	ReasonSelf         = "self"              // The connection leads back to us.
	ReasonDuplicate    = "duplicate"         // There is another connection to this peer.
	ReasonBanned       = "banned"            // The peer is proved to have sent wrong bytes.
	ReasonFull         = "full"              // There are as many connections as there may be.
	ReasonFiltered     = "filtered"          // The torrent's filter does not let its address.
	ReasonIdle         = "idle"              // Neither side was interested for a long time.
	ReasonAddress      = "address"           // Its address has as many connections as it may have.
	ReasonReplaced     = "replaced"          // It made room for another.
	ReasonSeeds        = "both complete"     // Neither side can want anything.
	ReasonIndex        = "piece index"       // A piece that the torrent does not have.
	ReasonBitfield     = "bitfield"          // Of the wrong length, or with spare bits set.
	ReasonBitfieldLate = "second bitfield"   // After the peer had already said what it has.
	ReasonFast         = "fast not agreed"   // A message of BEP 6 without BEP 6.
	ReasonPrivate      = "private"           // Known from other peers alone, and the torrent is private.
	ReasonPEX          = "too much exchange" // It tells of other peers too often.
	ReasonExtension    = "bad extension"     // An extended message that can't be read.
	ReasonNoMetadata   = "no metadata"       // It can't or won't send the info dictionary, which is all that is wanted.
	ReasonEarly        = "too much early"    // More than maxKeptBytes, and most of it by this peer.
	ReasonRequest      = "bad request"       // Outside the piece, or too long.
	ReasonFlood        = "too many requests" // More than maxQueue.
	ReasonUnrequested  = "unrequested block" // A block that it was not asked for.
)
