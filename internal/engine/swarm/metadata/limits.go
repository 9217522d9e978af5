package metadata

import (
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// PieceLength is the length of every piece of metadata but the last.
const PieceLength = wire.MetadataPiece

// Limits on what strangers can make a [Fetch] hold, and the times that it
// waits for them.
const (
	// MaxSize is how many bytes of metadata a peer may offer. It can't be
	// checked before all of it is there, so it is less than a .torrent file
	// may have: enough for 1.6 million pieces, which at 16 MiB each are 25
	// TiB. Who has a torrent with more must give its .torrent file.
	MaxSize = 32 << 20
	// MaxSmall is up to how many bytes a copy is small, which is enough for
	// 50,000 pieces. A fetch makes at most maxCopies small ones at once, and
	// one that is larger, as far as the [Budget] of all fetches goes.
	MaxSmall, maxCopies = 1 << 20, 8
	// maxSums is how many pieces are remembered by their hash, with who sent
	// them, to find out who lied.
	maxSums = 1 << 16
	// maxWrong is of how many sizes it is remembered that a copy by several
	// peers was wrong.
	maxWrong = 64

	// maxAsked is how many pieces a peer is asked for at once. libtorrent
	// asks for two, and others drop what is much more.
	maxAsked = 4
	// maxAskers is how many peers are asked for the same piece when there is
	// nothing else to ask them for.
	maxAskers = 2
	// askTimeout is how long a peer may take for a piece before others are
	// asked for it, and maxStrikes how often it may take longer, in a row.
	askTimeout, maxStrikes = 15 * time.Second, 3
	// maxLate is how many late answers of a peer are still waited for.
	maxLate = 4 * maxAsked
	// pause is how long a peer is left alone after it was too slow or said
	// that it would not: after a number of requests peers may (BEP 9).
	pause = 20 * time.Second
	// A copy that has to make room for others who wait gets soloTime, and a
	// second for each soloRate bytes that have come, which is the rate at
	// which this engine serves metadata itself. soloTime doubles with each
	// turn that did not suffice, up to maxTurns times.
	soloTime, soloRate, maxTurns = 30 * time.Second, 128 << 10, 6
)
