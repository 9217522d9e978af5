package metainfo

import (
	"crypto/sha1"
	"fmt"
	"hash"
	"iter"
	"sort"

	"github.com/torrent-operator/torrent-operator/internal/engine/sha1pair"
)

// PieceCount returns how many pieces there are; none if Length is 0.
func (i *Info) PieceCount() int { return len(i.hashes) / sha1.Size }

// PieceSize returns the bytes of a piece: PieceLength, and for the last piece
// what remains. It panics when there is no such piece, as an index of a slice
// does.
func (i *Info) PieceSize(piece int) int64 {
	if piece < 0 || piece >= i.PieceCount() {
		panic(fmt.Sprintf("metainfo: piece %d of %d", piece, i.PieceCount()))
	}
	return min(i.PieceLength, i.Length-int64(piece)*i.PieceLength)
}

// PayloadLength returns the bytes of all files without padding.
func (i *Info) PayloadLength() int64 { return i.Length - i.padding }

// Span is a range of one file.
type Span struct {
	File   int   // Index in Info.Files.
	Offset int64 // Within the file.
	Length int64 // Never 0.
}

// Spans yields, in order, which parts of which files the n bytes of the
// torrent from off on are, padding included. What lies outside the torrent is
// left out, and so are files of length 0.
func (i *Info) Spans(off, n int64) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		if off < 0 || off >= i.Length {
			return
		}
		n := min(n, i.Length-off)
		first := sort.Search(len(i.Files), func(k int) bool { return i.Files[k].Offset+i.Files[k].Length > off })
		for at := off; n > 0; first++ {
			f := &i.Files[first]
			s := Span{File: first, Offset: at - f.Offset}
			s.Length = min(n, f.Length-s.Offset)
			if s.Length > 0 && !yield(s) {
				return
			}
			at += s.Length
			n -= s.Length
		}
	}
}

// Verifier finds out whether bytes are those of a piece. It is the only place
// that knows how the pieces of a torrent are hashed. It may be used for one
// piece after another, by one goroutine at a time.
type Verifier struct {
	info    *Info
	hash    hash.Hash
	piece   int
	written int64
}

// NewVerifier returns a verifier; [Verifier.Reset] tells it the piece.
func (i *Info) NewVerifier() *Verifier { return &Verifier{info: i, hash: sha1.New()} }

// Reset begins with a piece from its first byte. There must be such a piece.
func (v *Verifier) Reset(piece int) {
	v.hash.Reset()
	v.piece, v.written = piece, 0
}

// Write takes the next bytes of the piece. It never fails.
func (v *Verifier) Write(p []byte) (int, error) {
	v.written += int64(len(p))
	return v.hash.Write(p)
}

// OK says whether what was written since Reset is the piece, whole.
func (v *Verifier) OK() bool {
	if v.written != v.info.PieceSize(v.piece) {
		return false
	}
	return [sha1.Size]byte(v.hash.Sum(nil)) == v.info.hashOf(v.piece)
}

func (i *Info) hashOf(piece int) [sha1.Size]byte { return [sha1.Size]byte(i.hashes[piece*sha1.Size:]) }

// PairVerifier is a [Verifier] of two pieces of one size at a time. Where the
// processor has instructions for SHA-1 it takes little more than half as long as two.
type PairVerifier struct {
	info    *Info
	pair    sha1pair.Pair
	pieces  [2]int
	written int64
}

// NewPairVerifier returns a verifier; [PairVerifier.Reset] tells it the pieces.
func (i *Info) NewPairVerifier() *PairVerifier { return &PairVerifier{info: i} }

// Reset begins with two pieces, which must exist and have one size.
func (v *PairVerifier) Reset(first, second int) {
	v.pair.Reset()
	v.pieces, v.written = [2]int{first, second}, 0
}

// Write takes the next bytes of both pieces: as many of one as of the other,
// and a multiple of 64 unless they are the last.
func (v *PairVerifier) Write(first, second []byte) {
	v.written += int64(len(first))
	v.pair.Write(first, second)
}

// OK says of each piece whether what was written since Reset is it, whole.
func (v *PairVerifier) OK() (first, second bool) {
	if v.written != v.info.PieceSize(v.pieces[0]) {
		return false, false
	}
	a, b := v.pair.Sum()
	return a == v.info.hashOf(v.pieces[0]), b == v.info.hashOf(v.pieces[1])
}
