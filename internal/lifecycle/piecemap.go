package lifecycle

import (
	"encoding/base64"
	"math/bits"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// The two encodings of a piece map meet here: up to maxBitfieldPieces, whose
// base64 has 1,368 bytes, every piece has a bit; above, buckets digits each
// stand for a stretch of pieces.
const (
	maxBitfieldPieces = 8192
	buckets           = 256
)

// pieceMap encodes the bitfield of total pieces, in BEP 3 bit order. It is ""
// when no piece or every piece is there, and when have is not a bitfield of
// total pieces.
func pieceMap(have []byte, total int) (string, v1alpha1.PieceMapEncoding) {
	if total <= 0 || len(have) != (total+7)/8 {
		return "", ""
	}
	if n := count(have, 0, total); n == 0 || n == total {
		return "", ""
	}
	if total <= maxBitfieldPieces {
		return base64.StdEncoding.EncodeToString(have), v1alpha1.PieceMapBitfield
	}
	return bucketMap(have, total), v1alpha1.PieceMapBuckets
}

// bucketMap is the map of total pieces, no fewer than buckets, in digits.
func bucketMap(have []byte, total int) string {
	digits := make([]byte, buckets)
	for i := range digits {
		lo, hi := i*total/buckets, (i+1)*total/buckets
		digits[i] = "0123456789abcdef"[fullness(count(have, lo, hi), hi-lo)]
	}
	return string(digits)
}

// fullness tells in 16 steps how much of n is there: 0 only if nothing is, 15
// only if all is, rounded down in between, so that a reader never believes too
// much.
func fullness(have, n int) int {
	switch have {
	case 0:
		return 0
	case n:
		return 15
	}
	return max(1, have*15/n)
}

// count counts the bits set from lo up to and without hi.
func count(b []byte, lo, hi int) int {
	n := 0
	for lo < hi && lo%8 != 0 {
		n += int(b[lo/8] >> (7 - lo%8) & 1)
		lo++
	}
	for ; lo+8 <= hi; lo += 8 {
		n += bits.OnesCount8(b[lo/8])
	}
	for ; lo < hi; lo++ {
		n += int(b[lo/8] >> (7 - lo%8) & 1)
	}
	return n
}
