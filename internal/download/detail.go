package download

import (
	"context"
	"time"
)

// Inspector is what an [Executor] may be besides: it shows a download closely,
// to a person who looks at it now. Nothing is decided by what it says.
type Inspector interface {
	// Inspect returns the details of a download. It may wait for as long as
	// the download takes to answer, and fails with [ErrUnknown] if there is
	// none of that ID here.
	Inspect(ctx context.Context, id ID) (Detail, error)
}

// Detail is a snapshot of all that is worth showing of one download. It is too
// large and changes too often for the status of an object.
type Detail struct {
	Progress Progress // With Pieces.Have, the exact bitfield.

	// Active are the pieces that are begun and not yet verified, in ascending
	// order. They are counted as in Pieces.Have: wanted ones, each in its turn.
	Active []int

	Peers []Peer // Connected ones, longest connected first.
	Files []File // Of the torrent, in its order; nil until that is resolved, and while data is being checked.

	// FileCount is how many files the torrent has. Of one that has very many
	// Files may be the first ones only.
	FileCount int
}

// Peer is a connected peer.
type Peer struct {
	Address string // host:port, or scheme and host of a web seed.
	Client  string // What it says that it is, made fit to show; "" if it does not say.
	// Source is how it was found: tracker, pex, dht, user (the spec, the magnet link
	// or the operator named it), incoming (it called), or webseed.
	Source string

	Since time.Time // When the handshake was done.

	Downloaded, Uploaded                         int64 // Bytes of payload over this connection.
	DownloadBytesPerSecond, UploadBytesPerSecond int64
	Pieces                                       int  // How many pieces it has, as far as it told.
	Choking, Interested                          bool // What it is towards us (BEP 3).
	Choked, Wanted                               bool // What we are towards it: we choke it, we are interested in it.
	Snubbed                                      bool // It was asked and has sent nothing for long.
}

// File is a file of the torrent.
type File struct {
	Path     string // Relative, with slashes, as it lies on the volume.
	Size     int64  // Bytes.
	Verified int64  // Of Size: in verified pieces.
	Selected bool
}
