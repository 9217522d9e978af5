// Package download is the seam between the two halves of the project: the
// operator asks for downloads through an [Executor] and reads [Progress]; the
// engine publishes Progress and knows nothing of who reads it. The package
// imports neither half.
package download

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// ErrUnknown is returned by [Executor.Observe] for a download of which the
// executor knows nothing (never ensured, stopped, or forgotten by a change of
// leader). It says nothing about the download itself, so the caller leaves
// what it has reported so far as it is.
var ErrUnknown = errors.New("the executor does not know this download")

// ErrEnding is what [Executor.Stop] returns, wrapped in what is being waited
// for, while something of the download still runs that can't be waited for in
// a call, or its data is still being removed. The caller stops it again when
// [Executor.Changes] wakes it, and after some seconds at the latest.
var ErrEnding = errors.New("the download is still ending")

// ID names one download for all of its life. Two IDs are the same download
// only if all fields are equal: an object made again under its old name has a
// new UID.
type ID struct {
	Namespace, Name, UID string
}

// Request says what is wanted of one download: everything an executor needs,
// and nothing that it would have to ask the cluster for, except the claim.
// It is a value; an executor compares it with the last one and applies what
// changed.
type Request struct {
	Source       Source
	ResolveOnly  bool     // Only the metadata is wanted: no volume is touched.
	InfoHash     string   // Pinned v1 info hash in lower-case hex, or "" for any.
	Trackers     []string // Announce URLs added to those of the torrent, one tier each.
	Peers        []string // host:port of peers added to those found.
	WebSeeds     []string // URLs of web servers that have the torrent's files, added to those of the torrent.
	NoPEX        bool     // Peers are not asked for further peers, nor told of any (BEP 11).
	NoDHT        bool     // The DHT is not asked for peers, nor told of the torrent (BEP 5), also where the executor takes part in it.
	Local        bool     // Peers are looked for in local networks too, by multicast (BEP 14). They never are for a private torrent.
	PeerFilter   PeerFilter
	Encryption   Encryption
	Credentials  []Credential
	Volume       Volume
	Files        Files // Which files are wanted; the zero value is all of them.
	Seeding      Seeding
	Limits       Limits
	Preallocate  bool          // Reserve the space of the wanted files before the first byte.
	StallTimeout time.Duration // No byte for so long is [StateStalled]; 0 is never.

	// Neighbours are host:port of downloads of the same torrent in the same
	// namespace, as the operator knows them: peers to try first.
	Neighbours []string

	// Worker shapes the Pods of an executor that runs some: a WorkerSpec of
	// the API as JSON, or "". Nobody else looks into it.
	Worker string
	// Inbound says how peers outside of the cluster reach the download. An
	// executor without Pods has ports of its own, and does not look at it.
	Inbound Inbound

	// RetryToken and VerifyToken are opaque. A value that is not empty and
	// differs from the last one asks once: to try again after a permanent
	// failure, or to hash all data on the volume again.
	RetryToken, VerifyToken string

	// BytesUploaded is what earlier runs have sent, so that ratios and
	// counters go on from there.
	BytesUploaded int64
	// CompletedAt is when an earlier run completed, so that the time of
	// seeding goes on from there; zero if none did.
	CompletedAt time.Time
}

// Fixed returns what of r can't change while a download runs: requests that
// differ in it need another run.
func (r Request) Fixed() Request {
	return Request{
		Source: r.Source, ResolveOnly: r.ResolveOnly, InfoHash: r.InfoHash, Volume: r.Volume,
		Preallocate: r.Preallocate, Worker: r.Worker, Inbound: r.Inbound,
	}
}

// KeepTokens returns r with the tokens of last where it has none: an empty
// token asks for nothing, and the one before it remains the last.
func (r Request) KeepTokens(last Request) Request {
	if r.RetryToken == "" {
		r.RetryToken = last.RetryToken
	}
	if r.VerifyToken == "" {
		r.VerifyToken = last.VerifyToken
	}
	return r
}

// Source says where the metainfo comes from. Exactly one of its fields is set.
type Source struct {
	Metainfo []byte // A .torrent file's bytes.
	URL      *URL
	Magnet   string // A magnet link: the metainfo comes from peers.
}

// URL is a .torrent file to be fetched over HTTP(S).
type URL struct {
	Address  string
	Headers  map[string]string // Sent with the request; never logged.
	CABundle []byte            // PEM certificates trusted instead of the system's; nil for the system's.
	SHA256   string            // Expected SHA-256 of the file in lower-case hex, or "".
}

// Credential is what trackers and web seeds of one origin are sent, and how
// they are verified. It goes to no other origin, redirects included. Nothing of
// it but the origin is ever logged.
type Credential struct {
	Origin   string            // Scheme, host and, unless it is the scheme's own, port: https://tracker.example.org:8443.
	Headers  map[string]string // Sent with each request.
	CABundle []byte            // PEM certificates trusted instead of the system's; nil for the system's.
}

// Volume is the place of the data: a claim in the namespace of the [ID], and
// a slash-separated relative path below the claim's root ("" is the root).
type Volume struct {
	ClaimName, Path string
	// ClaimUID tells a claim from one that was made again under its name: a
	// download moves over to that one. "" does not tell.
	ClaimUID string
}

// Overlap says whether one of two paths below the same root is the other one or
// above it. "" is the root.
func Overlap(a, b string) bool {
	return a == "" || b == "" || strings.HasPrefix(a+"/", b+"/") || strings.HasPrefix(b+"/", a+"/")
}

// SeedPolicy says how long a complete download goes on serving others.
type SeedPolicy string

// The seed policies. The zero value is SeedNone.
const (
	SeedNone     SeedPolicy = "None"
	SeedRatio    SeedPolicy = "Ratio"    // Until Seeding.RatioPercent of the size was sent.
	SeedDuration SeedPolicy = "Duration" // For Seeding.Duration after completion.
	SeedForever  SeedPolicy = "Forever"
)

// Seeding is a [SeedPolicy] with its parameter.
type Seeding struct {
	Policy       SeedPolicy
	RatioPercent int           // 100 is as much as the torrent's size.
	Duration     time.Duration // Counted from completion.
}

// PeerFilter says at which addresses there may be peers. The zero value lets
// all of them.
type PeerFilter struct {
	Allow []netip.Prefix // Only these, or all if there are none;
	Deny  []netip.Prefix // and of them not these.
}

// Encryption says whether connections to peers are encrypted, by what
// BitTorrent clients call message stream encryption. It hides what they are
// from who forwards them, and nothing from peers.
type Encryption string

// The ways to treat encryption. The zero value is EncryptionAllow.
const (
	// EncryptionAllow takes callers either way, and dials in the clear first
	// and then encrypted.
	EncryptionAllow Encryption = "Allow"
	// EncryptionPrefer takes callers either way, and dials encrypted first and
	// then in the clear.
	EncryptionPrefer Encryption = "Prefer"
	// EncryptionRequire has no connection that is not encrypted throughout.
	EncryptionRequire Encryption = "Require"
	// EncryptionDisable has none that is.
	EncryptionDisable Encryption = "Disable"
)

// Inbound says how peers outside of the cluster reach a download.
type Inbound struct {
	Port    int    // TCP port at which the worker takes peers; 0 is the executor's default.
	Service string // Type of the Service made for it, NodePort or LoadBalancer; "" makes none.
}

// Limits bound what a download may use. Zero is no limit.
type Limits struct {
	DownloadBytesPerSecond int64
	UploadBytesPerSecond   int64
	MaxPeers               int // Connections at once; zero is the engine's default.
}

// Disposal says what becomes of the data when a download is stopped.
type Disposal int

// Keep leaves the data and the resume state; Erase removes the torrent's own
// files and resume state, and nothing else. Kept is Keep where a Stop with Keep
// has ended before and nobody has ensured the download since, as far as the
// caller knows: an executor may then believe a cache, and still has to stop what
// it sees.
const (
	Keep Disposal = iota
	Erase
	Kept
)

// State is what a download is doing now.
type State string

// The states of a download.
const (
	StateResolving   State = "Resolving"   // Fetching or reading the metainfo.
	StateWaiting     State = "Waiting"     // For the volume, or for its turn; Err says for what.
	StateChecking    State = "Checking"    // Hashing what is on the volume already.
	StateDownloading State = "Downloading" // Fetching pieces.
	StateStalled     State = "Stalled"     // As Downloading, but no byte for Request.StallTimeout.
	StateFinishing   State = "Finishing"   // All pieces are verified and not yet all durable.
	StateSeeding     State = "Seeding"     // Complete and durable, serving others.
	StateComplete    State = "Complete"    // Complete and durable, at rest.
	StateFailed      State = "Failed"      // Err says why; nothing runs.
)

// Progress is a complete snapshot of a download, so a lost one is never
// missed. The receiver must not change what it points to.
type Progress struct {
	At    time.Time
	State State

	InfoHash string // v1 info hash, lower-case hex; "" until resolved.
	Name     string // The torrent's name, made safe; "" until resolved.

	// Selection is Files.Selection of the files that the snapshot counts: it
	// is about those alone.
	Selection string

	BytesTotal      int64 // Size of the selected files; 0 until it is known.
	BytesVerified   int64 // Of BytesTotal: in verified pieces.
	BytesDownloaded int64 // Payload received in this run, failed and duplicate blocks included.
	BytesWasted     int64 // Of BytesDownloaded: failed their hash or came twice.
	BytesUploaded   int64 // Payload sent, earlier runs included.

	DownloadBytesPerSecond int64
	UploadBytesPerSecond   int64

	PiecesFailed int64 // Pieces of this run whose hash was wrong.
	PeersBanned  int64 // Peers and web seeds of this run that are proved to have sent wrong bytes.

	Disk    Disk
	Pieces  Pieces
	Peers   Peers
	Checked float64 // While Checking: share of the data hashed so far, 0 to 1.

	LastReceived time.Time // When the last payload byte came; zero if none did in this run.
	CompletedAt  time.Time // When all wanted pieces were verified and durable; zero before.

	Trackers []Tracker
	WebSeeds []WebSeed
	DHT      DHT
	Private  bool     // The torrent tells of its peers to its own trackers alone (BEP 27).
	Address  string   // host:port at which others in the cluster reach it as a peer; "" if they can't.
	NodeName string   // Where the download runs, if that is known.
	Worker   Worker   // What runs it, where that is a Pod of its own.
	Err      *Failure // Why it is waiting, stalled or failed; nil otherwise.
}

// Worker is the Pod that runs a download, and what made it. The zero value is
// none.
type Worker struct {
	Owner       string         // Name of the Job or StatefulSet.
	Pod         string         // Name of the Pod; "" before there is one.
	Restarts    int            // Pods of this download that ended before they were done.
	LastFailure *WorkerFailure // How the last of them ended; nil if none did.
}

// WorkerFailure is how a Pod ended that did not finish.
type WorkerFailure struct {
	Reason, Message string // The Pod's own, and the last error of the worker.
	ExitCode        int
	At              time.Time
}

// Pieces counts the pieces that are wanted: those that hold bytes of selected
// files.
type Pieces struct {
	Length     int64 // Bytes of each piece of the torrent but the last.
	Total      int
	Verified   int
	InProgress int // Begun and not yet verified.
	// Have is a bitfield of the verified pieces in BEP 3 bit order, a bit for
	// each wanted piece in its turn; nil until resolved.
	Have []byte
}

// Peers counts the peers of a download.
type Peers struct {
	Connected int
	Seeds     int // Of Connected: those that have every piece.
	Known     int // Addresses known, connected ones included.
}

// Disk is what the volume had to do for the download. All but Short counts from
// when its files were opened last.
type Disk struct {
	Writes, Syncs    int64         // Of files of the torrent: how often something was written or made durable,
	Writing, Syncing time.Duration // and how long that took in all.

	// Short is how many bytes the volume lacks for what is still to be
	// written; 0 while there is room, or if it does not tell.
	Short int64
}

// DHT says how the search for peers in the DHT stands.
type DHT string

// The states of that search. The zero value is a download that is not looked
// for there.
const (
	DHTAnswers DHT = "Answers" // Its nodes answer.
	DHTSilent  DHT = "Silent"  // None has for a quarter of an hour, or ever.
)

// Tracker is the state of one announce URL.
type Tracker struct {
	URL          string // Scheme and host only: paths and queries hold passkeys.
	LastError    string // "" after a success.
	NextAnnounce time.Time
	Seeds, Peers int // As the tracker last said; -1 if it did not.
}

// WebSeed is the state of one web seed.
type WebSeed struct {
	URL       string    // Scheme and host only: paths and queries hold passkeys.
	LastError string    // "" while it works.
	NextTry   time.Time // Zero while it is in use, or if it is not used any more.
}

// Failure says why a download does not go on. Reason is CamelCase and becomes
// a condition's reason verbatim; Message says what a person can do. A
// permanent failure is not tried again before the request changes.
type Failure struct {
	Reason, Message string
	Permanent       bool
}

// Error makes a Failure an error.
func (f *Failure) Error() string { return f.Message }

// Fail returns a failure that may pass by itself.
func Fail(reason, format string, args ...any) *Failure {
	return &Failure{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// FailForGood returns a permanent failure.
func FailForGood(reason, format string, args ...any) *Failure {
	f := Fail(reason, format, args...)
	f.Permanent = true
	return f
}

// The reasons of failures.
const (
	ReasonMetainfoInvalid     = "MetainfoInvalid"
	ReasonMetainfoUnavailable = "MetainfoUnavailable"
	ReasonInfoHashMismatch    = "InfoHashMismatch"
	ReasonChecksumMismatch    = "ChecksumMismatch"
	ReasonUnsupportedTorrent  = "UnsupportedTorrent"
	ReasonPatternInvalid      = "PatternInvalid"
	ReasonNothingSelected     = "NothingSelected"
	ReasonAddressDenied       = "AddressDenied"
	ReasonClaimNotFound       = "ClaimNotFound"
	ReasonClaimPending        = "ClaimPending"
	ReasonClaimNotLocal       = "ClaimNotLocal"
	ReasonVolumeDenied        = "VolumeDenied"
	ReasonVolumeBusy          = "VolumeBusy"
	ReasonPathConflict        = "PathConflict"
	ReasonInsufficientSpace   = "InsufficientSpace"
	ReasonVolumeReadOnly      = "VolumeReadOnly"
	ReasonDataMissing         = "DataMissing"
	ReasonVolumeError         = "VolumeError"
	ReasonTrackerUnreachable  = "TrackerUnreachable"
	ReasonWebSeedUnavailable  = "WebSeedUnavailable"
	ReasonNoPeers             = "NoPeers"
	ReasonCorruptPeers        = "CorruptPeers"
	ReasonInternalError       = "InternalError"

	// The reasons of executors that run Pods. Kubernetes' own for a Pod that
	// does not start, such as Unschedulable or ImagePullBackOff, stand beside
	// them.
	ReasonWorkerPending = "WorkerPending" // The Pod is being made, scheduled or started.
	ReasonWorkerFailed  = "WorkerFailed"  // It ended before it was done.
	ReasonWorkerEnding  = "WorkerEnding"  // An earlier one has not ended yet.
	ReasonNodeLost      = "NodeLost"      // Its node does not answer, so it may still be writing.
	ReasonWorkerSilent  = "WorkerSilent"  // It runs, and has not told anything for long.
	ReasonQuotaExceeded = "QuotaExceeded" // The namespace has no room for it.
	ReasonNameConflict  = "NameConflict"  // Something of the name that is needed is somebody else's.
	ReasonTooLarge      = "RequestTooLarge"
	ReasonOOMKilled     = "OOMKilled" // The Pod needed more memory than its limit.
	ReasonEvicted       = "Evicted"   // It had to leave its node, which had too little of something,
	ReasonDrained       = "Drained"   // which is being cleared,
	ReasonPreempted     = "Preempted" // or which it shared with one of a higher priority.
)

// An Executor runs downloads somewhere: in this process, or in Pods. All
// methods are idempotent and level-based: saying the same thing twice changes
// nothing, and the last word counts. They may be called from many goroutines
// at once and do not wait for a download to get anywhere.
type Executor interface {
	// Ensure makes the download run as r says, or changes a running one to
	// match. One that has failed is begun again if its failure may pass (the
	// caller chooses when) or if r has changed. What is wrong with the
	// download itself is told by Observe; an error here means that the
	// executor could not take the request now.
	Ensure(ctx context.Context, id ID, r Request) error
	// Observe returns the latest snapshot, or [ErrUnknown].
	Observe(ctx context.Context, id ID) (Progress, error)
	// Stop ends the download. It returns nil once nothing of it runs any
	// more and, for Erase, its data is gone; until then it waits a little, or
	// returns [ErrEnding] and is called again. Stopping an unknown download
	// is a success, and erasing one needs r to find its data.
	Stop(ctx context.Context, id ID, r Request, data Disposal) error
	// Changes wakes the reader for downloads whose progress changed. It may
	// lose and merge wake-ups, so it is never the only way to know.
	Changes() <-chan ID
}
