package lifecycle

// Room that a claim gets besides the wanted files.
//
// A file system keeps some for itself: ext4, as kubelets make it (no blocks
// reserved for root), 4% of 1 GiB and 1.7% of 1 TiB for inodes and its journal,
// as measured in space_test.go; xfs 64 MiB to 2 GiB for its log and about 2% for
// allocation groups. A twentieth, and 256 MiB for small volumes, hold both.
const (
	headroomShare = 20 // One part of so many, of what is stored.
	headroomLeast = 256 << 20
	// resumePerPiece bounds what the journal and the info dictionary, beside
	// the data, take for each piece: a hash of 20 bytes, and two records until
	// the journal is written anew.
	resumePerPiece = 128
	// A claim asks for whole MiB, and not for more than can be said.
	claimUnit = 1 << 20
	maxClaim  = 1 << 60
)

// claimSize is how many bytes a claim asks for, so that a file system in it has
// room for so many bytes of files: headroom is added, and it is rounded up to
// whole MiB.
func claimSize(stored int64) int64 {
	stored = min(max(stored, 0), maxClaim/2)
	n := stored + max(stored/headroomShare, headroomLeast)
	return (n + claimUnit - 1) / claimUnit * claimUnit
}

// storedBytes is how many bytes a download keeps on its volume at most: the
// wanted files; where files are selected, the rest of the pieces that they
// share with others, which are kept whole in a parts file; and what it needs to
// resume.
func storedBytes(wanted, pieceLength, pieces int64, selected bool) int64 {
	n := wanted
	if selected && pieceLength > 0 && pieces <= maxClaim/pieceLength {
		n = max(n, pieceLength*pieces)
	}
	return min(n, maxClaim/2) + min(pieces, maxClaim/resumePerPiece/4)*resumePerPiece
}

// wantedSize is what the claim of the template is to ask for: the size that it
// gives, or what the wanted files need. It is not known before the metadata is.
func (s *situation) wantedSize() (int64, bool) {
	t := s.template()
	if t == nil {
		return 0, false
	}
	if t.Size != nil {
		return t.Size.Value(), true
	}
	wanted, known := s.wantedBytes()
	if !known {
		return 0, false
	}
	var length, pieces int64
	if p := s.p; s.counted() {
		length, pieces = p.Pieces.Length, int64(p.Pieces.Total)
	} else if c := s.td.Status.Pieces; c != nil {
		length, pieces = c.Length, int64(c.Total)
	}
	return claimSize(storedBytes(wanted, length, pieces, s.selection() != "")), true
}

// wantedBytes is the size of the wanted files, by the snapshot or else by the
// status; false while it is not known.
func (s *situation) wantedBytes() (int64, bool) {
	if s.counted() {
		return s.p.BytesTotal, true
	}
	st := &s.td.Status
	if st.InfoHash.V1 == "" || st.Progress == nil || st.Selection != s.selection() {
		return 0, false
	}
	return st.Progress.BytesTotal, true
}

// counted says that the snapshot counts the wanted files.
func (s *situation) counted() bool {
	return s.p != nil && s.p.InfoHash != "" && s.p.Selection == s.selection() && (s.p.BytesTotal > 0 || s.p.Pieces.Total > 0)
}
