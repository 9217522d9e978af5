package disk

import (
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// A piece is fetched and verified as a whole, also where it holds bytes of
// files that are not selected. Those bytes go to one file beside the journal,
// the parts file, so that no file stands there that nobody wants, and the piece
// can be verified again and served.
//
// The file has a slot of a piece's length for each piece that several files
// share, in their order, and a byte lies in the slot where it lies in the
// piece. So where a byte is follows from the torrent alone. The file is sparse.

// partsName is the name of the parts file within the torrent's state.
const partsName = "/parts"

// partsFile is the index of the parts file, behind those of Info.Files.
func (s *Store) partsFile() int { return len(s.info.Files) }

// name returns the name of a file of Info.Files or of the parts file.
func (s *Store) name(i int) string {
	if i == s.partsFile() {
		return s.folder + partsName
	}
	return s.info.Files[i].Path
}

// locate says in which file a span that lies within one piece is stored, and
// where. ok is false for bytes that are stored nowhere: those of a piece that
// is in nothing but a file without a place.
func (s *Store) locate(span metainfo.Span) (file int, off int64, ok bool) {
	if s.placed.Has(span.File) {
		return span.File, span.Offset, true
	}
	at := s.info.Files[span.File].Offset + span.Offset
	slot, ok := slices.BinarySearch(s.slots, int(at/s.info.PieceLength))
	return s.partsFile(), int64(slot)*s.info.PieceLength + at%s.info.PieceLength, ok
}

// sharedPieces returns, ascending, the pieces that hold bytes of several files.
func sharedPieces(info *metainfo.Info) (all []int) {
	last := -1
	for i := range info.Files {
		f := &info.Files[i]
		if f.Pad || f.Length == 0 {
			continue
		}
		first := int(f.Offset / info.PieceLength)
		if first == last && (len(all) == 0 || all[len(all)-1] != first) {
			all = append(all, first)
		}
		last = int((f.Offset + f.Length - 1) / info.PieceLength)
	}
	return all
}

// choose sets which files and pieces are wanted; nil is all files.
func (s *Store) choose(selected *bitfield.Bitfield) {
	s.selected, s.wanted = bitfield.Full(len(s.info.Files)), bitfield.Full(s.info.PieceCount())
	if selected == nil {
		return
	}
	s.selected, s.wanted = selected.Clone(), bitfield.New(s.info.PieceCount())
	for i := range s.info.Files {
		if s.info.Files[i].Pad {
			s.selected.Set(i)
		}
		first, last, ok := s.piecesOf(i)
		for p := first; ok && s.selected.Has(i) && p <= last; p++ {
			s.wanted.Set(p)
		}
	}
}

// full says whether every wanted piece is verified.
func (s *Store) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have.Includes(s.wanted)
}

// each yields the pieces that hold bytes of a file.
func (s *Store) each(file int) func(yield func(piece int) bool) {
	return func(yield func(int) bool) {
		first, last, ok := s.piecesOf(file)
		for p := first; ok && p <= last; p++ {
			if !yield(p) {
				return
			}
		}
	}
}
