package client

import (
	"encoding/base64"
	"slices"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// Pieces is which wanted pieces of a torrent are there. The counters are exact;
// how much is known of single pieces depends on where it comes from.
type Pieces struct {
	Length                      int64 // Bytes of each but the last.
	Total, Verified, InProgress int

	have, busy []byte        // Bitfields in the bit order of BEP 3, if they are known.
	stretches  []termui.Cell // What else is known: how full each stretch is, at least.
}

// Exact returns which pieces are verified and which are being fetched, as
// bitfields in the bit order of BEP 3, a bit for each wanted piece in its turn.
// ok says that the first is known; the second is nil where it is not. They must
// not be changed.
func (p Pieces) Exact() (have, busy []byte, ok bool) { return p.have, p.busy, p.have != nil }

// Cells spreads the pieces over w cells. A cell claims to be complete only if
// all of its pieces are, and to be empty only if none is, or it is not known
// which are there.
func (p Pieces) Cells(w int) []termui.Cell {
	if p.have != nil || len(p.stretches) == 0 || w <= 0 {
		return termui.Fold(p.Total, p.have, p.busy, w)
	}
	n := len(p.stretches)
	cells := make([]termui.Cell, w)
	for i := range cells {
		from, to := i*n/w, ((i+1)*n+w-1)/w
		for _, s := range p.stretches[from:to] {
			cells[i].Total += s.Total
			cells[i].Have += s.Have
		}
	}
	return cells
}

// readPieces reads what a status says. Without a map, or with one that can't be
// right, all pieces are one stretch.
func readPieces(s *v1alpha1.Pieces) Pieces {
	p := Pieces{Length: s.Length, Total: int(s.Total), Verified: int(s.Verified), InProgress: int(s.InProgress)}
	if p.Total <= 0 {
		return p
	}
	p.stretches = []termui.Cell{{Total: p.Total, Have: min(p.Verified, p.Total)}}
	switch s.Encoding {
	case v1alpha1.PieceMapBitfield:
		if b, err := base64.StdEncoding.DecodeString(s.Map); err == nil && len(b) == (p.Total+7)/8 {
			p.have = b
		}
	case v1alpha1.PieceMapBuckets:
		if read := readBuckets(s.Map, p.Total); read != nil {
			p.stretches = read
		}
	}
	return p
}

// readBuckets reads a map of hexadecimal digits, each how full a stretch is in
// fifteenths, rounded down, and at least one if there is anything.
func readBuckets(digits string, total int) []termui.Cell {
	out := make([]termui.Cell, len(digits))
	for i, digit := range []byte(digits) {
		full := slices.Index([]byte("0123456789abcdef"), digit)
		if full < 0 {
			return nil
		}
		n := (i+1)*total/len(digits) - i*total/len(digits)
		have := (full*n + 14) / 15
		if full == 1 {
			have = min(1, n)
		}
		out[i] = termui.Cell{Total: n, Have: have}
	}
	return out
}

// exactPieces reads what a close look shows.
func exactPieces(d *download.Detail) Pieces {
	n := d.Progress.Pieces
	p := Pieces{Length: n.Length, Total: n.Total, Verified: n.Verified, InProgress: n.InProgress, have: n.Have}
	if p.have == nil {
		return p
	}
	p.busy = make([]byte, len(p.have))
	for _, i := range d.Active {
		if i >= 0 && i < p.Total {
			p.busy[i/8] |= 0x80 >> (i % 8)
		}
	}
	return p
}
