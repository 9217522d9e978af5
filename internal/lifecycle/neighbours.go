package lifecycle

import (
	"encoding/base32"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// maxNeighbours bounds how many addresses a download is told. With more, peer
// exchange brings them together.
const maxNeighbours = 32

// Neighbour is another download of the same torrent in the same namespace.
type Neighbour struct {
	Address string // host:port at which it takes peers, "" if it can't be reached.
	// Known says that its metadata is known, and Private that the torrent
	// tells of its peers to its own trackers alone (BEP 27).
	Known, Private bool
}

// neighbours are the addresses of the neighbours that may be told, in a steady
// order.
func (s *situation) neighbours() []string {
	var out []string
	for _, n := range s.in.Neighbours {
		if n.Address != "" && (s.in.SharePrivate || n.Known && !n.Private && !s.private()) {
			out = append(out, n.Address)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), maxNeighbours)]
}

func (s *situation) private() bool { return s.p != nil && s.p.Private }

// btih finds the v1 info hash of a magnet link, in hexadecimal digits or base32.
var btih = regexp.MustCompile(`(?i)[?&]xt(?:[.][0-9]+)?=urn(?::|%3a)btih(?::|%3a)([0-9a-f]{40}|[a-z2-7]{32})(?:&|$)`)

// InfoHash is the v1 info hash of the torrent of td in lower-case hexadecimal
// digits: the one that was found, or else the one that the spec names; "" while
// nobody knows it.
func InfoHash(td *v1alpha1.TorrentDownload) string {
	for _, h := range []string{td.Status.InfoHash.V1, td.Spec.Verification.InfoHash, td.Spec.Source.InfoHash} {
		if h != "" {
			return strings.ToLower(h)
		}
	}
	m := btih.FindStringSubmatch(td.Spec.Source.Magnet)
	switch {
	case m == nil:
		return ""
	case len(m[1]) == 40:
		return strings.ToLower(m[1])
	}
	b, _ := base32.StdEncoding.DecodeString(strings.ToUpper(m[1])) // The expression lets nothing else pass.
	return hex.EncodeToString(b)
}
