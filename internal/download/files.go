package download

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
)

// Files says which files of a torrent are wanted, and which of them first. The
// lists hold patterns as in .gitignore; package engine/selection says exactly
// what they match. The zero value wants everything.
type Files struct {
	Include []string // Files that are wanted; none is all.
	Exclude []string // Files that are not, of those.
	// High and Low are files to be fetched before and after all others. A
	// file in both is of those in High.
	High, Low []string
	// Sequential has pieces of one urgency fetched in their order.
	Sequential bool
}

// Equal says whether both want the same, in the same words.
func (f Files) Equal(o Files) bool {
	return slices.Equal(f.Include, o.Include) && slices.Equal(f.Exclude, o.Exclude) &&
		slices.Equal(f.High, o.High) && slices.Equal(f.Low, o.Low) && f.Sequential == o.Sequential
}

// Selection names what f selects: equal patterns have equal names, and no
// patterns have "". Urgency and order make no difference to it.
func (f Files) Selection() string {
	if len(f.Include) == 0 && len(f.Exclude) == 0 {
		return ""
	}
	h := fnv.New128a()
	json.NewEncoder(h).Encode([2][]string{f.Include, f.Exclude}) //nolint:errcheck,errchkjson // A hash takes everything, and strings can be encoded.
	return fmt.Sprintf("%x", h.Sum(nil))
}
