package engine

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/selection"
)

// closeUp is what the torrent's goroutine is asked for who looks closely.
type closeUp struct {
	peers  []download.Peer
	active []uint32             // Pieces of the torrent.
	chosen *selection.Selection // nil while nothing is selected. It is not changed any more.
}

// ask is where the answer goes. It has room for it.
type ask chan closeUp

// Inspect returns what there is to know of the torrent for a person who looks
// at it. While files are being checked that is no more than Progress.
func (t *Torrent) Inspect(ctx context.Context) (download.Detail, error) {
	c, err := t.lookClosely(ctx)
	if err != nil {
		return download.Detail{}, err
	}
	d := download.Detail{Progress: *t.Progress(), Peers: c.peers}
	if m := t.Metainfo(); m != nil && c.chosen != nil {
		d.Active = turns(c.active, c.chosen)
		d.Files = filesOf(m.Info, c.chosen, d.Progress.Pieces.Have)
		d.FileCount = len(d.Files)
	}
	return d, nil
}

// lookClosely asks the torrent's goroutine, where that has something to say.
func (t *Torrent) lookClosely(ctx context.Context) (closeUp, error) {
	h := t.hub.Load()
	if h == nil {
		return closeUp{}, nil
	}
	a := make(ask, 1)
	select {
	case t.asks <- a:
		return <-a, nil
	case <-h.ctx.Done(): // It is being closed, or opened again.
		return closeUp{}, nil
	case <-ctx.Done():
		return closeUp{}, ctx.Err()
	}
}

// closeUp is called by the torrent's goroutine.
func (h *hub) closeUp() closeUp {
	c := closeUp{active: h.swarm.Active(), chosen: h.t.selection}
	for _, p := range h.swarm.Peers(time.Now()) {
		shown := download.Peer{
			Address: p.Addr.String(), Client: printable(h.clientName(&p)), Source: source(&p), Since: p.Since,
			Downloaded: p.Downloaded, Uploaded: p.Uploaded, DownloadBytesPerSecond: p.DownloadRate, UploadBytesPerSecond: p.UploadRate,
			Pieces: p.Pieces, Choking: !p.UnchokedUs, Interested: p.Interested, Choked: !p.Unchoked, Wanted: p.Interesting, Snubbed: p.Snubbed,
		}
		if p.WebSeed {
			shown.Address, shown.Client = shown.Client, ""
		}
		c.peers = append(c.peers, shown)
	}
	return c
}

// maxClient is how much of what a peer calls itself is shown, in bytes.
const maxClient = 64

// printable makes what a stranger says fit to show.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= maxClient {
		return s
	}
	end := maxClient
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// turns returns the wanted ones of some pieces, both in ascending order, each
// by its turn among all that are wanted.
func turns(pieces []uint32, chosen *selection.Selection) []int {
	out := make([]int, 0, len(pieces))
	turn := 0
	for wanted := range chosen.Pieces.All() {
		for len(pieces) > 0 && int(pieces[0]) < wanted {
			pieces = pieces[1:]
		}
		if len(pieces) == 0 {
			break
		}
		if int(pieces[0]) == wanted {
			out = append(out, turn)
		}
		turn++
	}
	return out
}

// filesOf returns the files of a torrent, and how much of each is in verified
// pieces. have is a bitfield of the wanted ones, each in its turn (BEP 3).
func filesOf(info *metainfo.Info, chosen *selection.Selection, have []byte) []download.File {
	verified := make([]int64, len(info.Files))
	turn := 0
	for piece := range chosen.Pieces.All() {
		if turn/8 < len(have) && have[turn/8]&(0x80>>(turn%8)) != 0 {
			for span := range info.Spans(int64(piece)*info.PieceLength, info.PieceSize(piece)) {
				verified[span.File] += span.Length
			}
		}
		turn++
	}
	out := make([]download.File, 0, len(info.Files))
	for i, f := range info.Files {
		if !f.Pad {
			out = append(out, download.File{Path: f.Path, Size: f.Length, Verified: verified[i], Selected: chosen.Files.Has(i)})
		}
	}
	return out
}
