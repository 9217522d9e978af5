// Package selection decides which files of a torrent are wanted, in which order
// of urgency, and which pieces that takes.
//
// # Patterns
//
// Files are chosen by patterns as in a .gitignore file, without its "!": lists
// to include and to exclude take its place. Paths are those below the torrent's
// own folder, with slashes; of a torrent that is a single file, its name.
//
//   - A pattern without a slash matches the name of a file or folder at any
//     depth: *.tar, README, train.
//   - A pattern with a slash matches the whole path, from the torrent's folder
//     on: train/*.tar, docs/en/index.html. One at the beginning does nothing
//     else: /README is the one beside the folders.
//   - A folder that matches stands for all that is in it. A slash at the end
//     matches folders only: train/.
//   - * and ? match within a name, ** as a whole component any number of folders,
//     [a-z] and [^a-z] one character, {a,b} alternatives, \ takes the meaning
//     from what follows. Upper and lower case differ.
//
// A file is selected if the list to include is empty or one of its patterns
// matches, and none of the list to exclude does.
//
// # Pieces
//
// Hashes are those of whole pieces, and a piece may hold the bytes of several
// files. So every piece that holds a byte of a selected file is wanted, also
// those at a file's ends that hold bytes of its neighbours.
//
// The package is pure. Package engine computes a selection when a torrent is
// opened; executors and commands, to refuse one that can't be before that.
package selection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// Selection is what is wanted of a torrent. It is not changed after it was
// made, so it may be shared.
type Selection struct {
	// Files are the selected files, by their index in Info.Files. Padding is
	// never selected.
	Files *bitfield.Bitfield
	// Pieces are those that hold bytes of selected files.
	Pieces *bitfield.Bitfield
	// Classes are the same pieces by urgency, the most urgent first. No piece
	// is in two: it is as urgent as the most urgent file that it holds bytes of.
	Classes []*bitfield.Bitfield
	// Bytes is the size of the selected files.
	Bytes int64
	// All says that every file is selected.
	All bool
}

// The classes of urgency.
const (
	high = iota
	normal
	low
	classes
)

// Wanted returns Classes without the empty ones; nil if every piece is as urgent
// as every other.
func (s *Selection) Wanted() []*bitfield.Bitfield {
	wanted := []*bitfield.Bitfield{}
	for _, c := range s.Classes {
		if c.Count() > 0 {
			wanted = append(wanted, c)
		}
	}
	if len(wanted) == 1 && wanted[0].IsFull() {
		return nil
	}
	return wanted
}

// New returns what f selects of a torrent. If f has no patterns, only says which
// files are wanted, by their numbers in the order of the torrent, counted from
// 0; none is all. That is what a magnet link may ask for (BEP 53), and a person
// who names patterns knows better. The error is a permanent [download.Failure]:
// a pattern is malformed, or nothing is selected.
//
// Many patterns and many files take minutes together, so nobody may hold a lock
// meanwhile. Now and then stop is asked, and its error ends the work.
func New(stop func() error, info *metainfo.Info, f download.Files, only ...metainfo.IndexRange) (*Selection, error) {
	r, err := compileRules(f)
	if err != nil {
		return nil, &download.Failure{Reason: download.ReasonPatternInvalid, Message: err.Error(), Permanent: true}
	}
	if f.Selection() != "" {
		only = nil
	}
	s := &Selection{Files: bitfield.New(len(info.Files)), Pieces: bitfield.New(info.PieceCount()), All: true}
	for range classes {
		s.Classes = append(s.Classes, bitfield.New(info.PieceCount()))
	}
	for i := range info.Files {
		if i%patience == 0 {
			if err := stop(); err != nil {
				return nil, err
			}
		}
		file := &info.Files[i]
		if file.Pad {
			continue
		}
		class, ok := r.judge(Path(info, i))
		if !ok || !among(only, i) {
			s.All = false
			continue
		}
		s.Files.Set(i)
		s.Bytes += file.Length
		s.take(info, file, class)
	}
	for p := range s.Pieces.Len() { // Those of nothing but padding belong to everything.
		if s.All && s.Pieces.Set(p) {
			s.Classes[normal].Set(p)
		}
	}
	if s.Files.Count() == 0 {
		return nil, &download.Failure{Reason: download.ReasonNothingSelected, Message: nothing(info), Permanent: true}
	}
	return s, nil
}

// among says whether a number is in ranges that ascend, or there are none.
func among(ranges []metainfo.IndexRange, i int) bool {
	k, found := slices.BinarySearchFunc(ranges, i, func(r metainfo.IndexRange, i int) int { return cmp.Compare(r.Last, i) })
	return len(ranges) == 0 || found || k < len(ranges) && ranges[k].First <= i
}

// Check says what is wrong with the patterns, whatever the torrent: nil, or a
// permanent [download.Failure].
func Check(f download.Files) error {
	if _, err := compileRules(f); err != nil {
		return &download.Failure{Reason: download.ReasonPatternInvalid, Message: err.Error(), Permanent: true}
	}
	return nil
}

// take has the pieces of a file fetched, as urgently as the file or more.
func (s *Selection) take(info *metainfo.Info, f *metainfo.File, class int) {
	if f.Length == 0 {
		return
	}
	last := int((f.Offset + f.Length - 1) / info.PieceLength)
	for p := int(f.Offset / info.PieceLength); p <= last; p++ {
		if s.Pieces.Set(p) {
			s.Classes[class].Set(p)
			continue
		}
		for k := class + 1; k < classes; k++ { // Only the first piece can be another file's too.
			if s.Classes[k].Clear(p) {
				s.Classes[class].Set(p)
			}
		}
	}
}

// Path returns a file's path below the torrent's own folder, as patterns see it.
func Path(info *metainfo.Info, i int) string {
	name := info.Files[i].Path
	return strings.TrimPrefix(name, info.Name+"/")
}

// rules are compiled [download.Files].
type rules struct{ include, exclude, high, low *patterns }

func compileRules(f download.Files) (r rules, err error) {
	left := maxAlternatives
	for _, list := range []struct {
		to    **patterns
		globs []string
	}{{&r.include, f.Include}, {&r.exclude, f.Exclude}, {&r.high, f.High}, {&r.low, f.Low}} {
		if *list.to, err = compileAll(list.globs, &left); err != nil {
			return r, err
		}
	}
	return r, nil
}

// judge says whether a file is selected, and in which class.
func (r *rules) judge(name string) (class int, ok bool) {
	switch {
	case len(r.include.list) > 0 && !r.include.match(name), r.exclude.match(name):
		return 0, false
	case r.high.match(name):
		return high, true
	case r.low.match(name):
		return low, true
	}
	return normal, true
}

// nothing tells that nothing is selected, and what there is.
func nothing(info *metainfo.Info) string {
	var names []string
	n := 0
	for i := range info.Files {
		if info.Files[i].Pad {
			continue
		}
		if n++; n <= examples {
			names = append(names, fmt.Sprintf("%.100q", Path(info, i)))
		}
	}
	held := strings.Join(names, ", ")
	if n > examples {
		held += fmt.Sprintf(" and %d more", n-examples)
	}
	return fmt.Sprintf("no file of %.100q is selected; it holds %s: change the patterns of the files to include and exclude", info.Name, held)
}
