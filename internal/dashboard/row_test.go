package dashboard

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/client"
)

// piecesOf are pieces as a status tells them.
func piecesOf(p v1alpha1.Pieces) client.Pieces {
	return client.Describe(&v1alpha1.TorrentDownload{Status: v1alpha1.TorrentDownloadStatus{Pieces: &p}}).Pieces
}

func TestACellIsFullOnlyIfAllOfItIsThere(t *testing.T) {
	have := []byte{0b11111111, 0b11110000, 0, 0b00000001}
	p := piecesOf(v1alpha1.Pieces{
		Length: 1, Total: 32, Verified: 13, Encoding: v1alpha1.PieceMapBitfield, Map: base64.StdEncoding.EncodeToString(have),
	})
	for most, want := range map[int]string{4: "f701", 32: strings.Repeat("f", 12) + strings.Repeat("0", 19) + "f", 1000: strings.Repeat("f", 12) + strings.Repeat("0", 19) + "f"} {
		if got := cells(p, most); got != want {
			t.Errorf("%d cells: %s, want %s", most, got, want)
		}
	}
}

func TestStretchesAreShownAsTheStatusHasThem(t *testing.T) {
	digits := strings.Repeat("0", 100) + strings.Repeat("f", 100) + strings.Repeat("7", 56)
	p := piecesOf(v1alpha1.Pieces{Length: 1, Total: 4_000_000, Verified: 2_000_000, Encoding: v1alpha1.PieceMapBuckets, Map: digits})
	if got := cells(p, maxCells); got != digits {
		t.Errorf("a status of %s is shown as %s", digits, got)
	}
	if got := len(cells(piecesOf(v1alpha1.Pieces{Length: 1, Total: 4_000_000, Verified: 4_000_000}), maxCells)); got != maxCells {
		t.Errorf("a complete torrent is shown in %d cells", got)
	}
}

func TestNoPiecesAreNoCells(t *testing.T) {
	if got := cells(client.Pieces{}, 64); got != "" {
		t.Errorf("cells of nothing: %q", got)
	}
}

func TestNamesBecomeWords(t *testing.T) {
	for name, want := range map[string]string{"ClaimNotFound": "Claim not found", "Downloading": "Downloading", "InfoHashMismatch": "Info hash mismatch", "": ""} {
		if got := words(name); got != want {
			t.Errorf("words(%q) = %q, want %q", name, got, want)
		}
	}
}
