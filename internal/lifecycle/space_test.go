package lifecycle

import (
	"math"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestClaimSize(t *testing.T) {
	const mi, gi = 1 << 20, 1 << 30
	for stored, want := range map[int64]int64{
		-1: 256 * mi, 0: 256 * mi, 1: 257 * mi, mi: 257 * mi, mi + 1: 258 * mi,
		5 * gi:        5*gi + 256*mi,                         // A twentieth is as much as the least.
		10 * gi:       10*gi + 512*mi,                        // A twentieth.
		math.MaxInt64: 1<<59 + 1<<59/20 + mi - (1<<59/20)%mi, // No more than can be said.
	} {
		if got := claimSize(stored); got != want {
			t.Errorf("claimSize(%d) is %d, want %d", stored, got, want)
		}
	}
}

func TestStoredBytes(t *testing.T) {
	for _, c := range []struct {
		name                   string
		wanted, length, pieces int64
		selected               bool
		want                   int64
	}{
		{"everything", 1000, 16, 63, false, 1000 + 63*resumePerPiece},
		{"selected files share pieces with others", 1000, 16, 65, true, 65*16 + 65*resumePerPiece},
		{"nothing", 0, 0, 0, true, 0},
		{"more than can be counted", math.MaxInt64, math.MaxInt64 / 2, math.MaxInt32, true, maxClaim/2 + math.MaxInt32*resumePerPiece},
	} {
		if got := storedBytes(c.wanted, c.length, c.pieces, c.selected); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestSelectedFilesAloneDecideTheSize: a claim for some files of a torrent has
// room for those, and for the pieces at their ends.
func TestSelectedFilesAloneDecideTheSize(t *testing.T) {
	w := templated(t, "")
	w.td.Spec.Files.Include = []string{"a"}
	p := counting(snapshot(download.StateWaiting, 0), "a")
	p.BytesTotal, p.Pieces.Total = 9<<20, 10
	d := w.sees(p).decide()
	if want := claimSize(10<<20 + 10*resumePerPiece); d.Claim == nil || d.Claim.Size != want {
		t.Errorf("it orders %+v, want %d bytes", d.Claim, want)
	}
}

// TestHeadroomHoldsWhatFileSystemsTake has what mke2fs 1.47 leaves of volumes
// made as kubelets do (ext4, -m0), measured with dumpe2fs, in MiB.
func TestHeadroomHoldsWhatFileSystemsTake(t *testing.T) {
	for _, c := range []struct{ volume, free int64 }{
		{257, 231}, {1280, 1224}, {5376, 5207}, {107520, 105261}, {1075200, 1057224},
	} {
		largest := c.volume // Of what is stored, for which such a volume is asked for.
		for claimSize(largest<<20) > c.volume<<20 {
			largest--
		}
		if largest > c.free {
			t.Errorf("a volume of %d MiB is asked for %d MiB, and has room for %d", c.volume, largest, c.free)
		}
	}
}
