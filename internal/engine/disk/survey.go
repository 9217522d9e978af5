package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// survey is what stands under the names that a torrent wants. Files are told
// by their index in Info.Files, and the parts file by the one behind; padding
// has none.
type survey struct {
	size      []int64 // Bytes; -1 for a file that does not exist.
	mtime     []int64 // Nanoseconds since 1970.
	allocated []int64 // Bytes of the volume.
}

// survey looks at the names of all files that are selected or have a place, and
// changes nothing. What can't be ours, because it is no file or a longer one,
// is a conflict if it is selected, and not there if not.
func (s *Store) survey() (*survey, error) {
	n := len(s.info.Files) + 1
	v := &survey{size: make([]int64, n), mtime: make([]int64, n), allocated: make([]int64, n)}
	folders := map[string]bool{".": true}
	for i := range n {
		v.size[i] = -1
		if i < s.partsFile() && (s.info.Files[i].Pad || !s.selected.Has(i) && !s.placed.Has(i)) {
			continue
		}
		there, err := s.lookFolder(path.Dir(s.name(i)), folders)
		if there && err == nil {
			err = s.lookFile(i, v)
		}
		foreign := errors.Is(err, ErrConflict) && i < s.partsFile() && !s.selected.Has(i)
		if err != nil && !foreign {
			return nil, err
		}
	}
	return v, nil
}

// readable returns the pieces none of whose bytes is beyond the end of a file,
// with the files where they have their places now.
func (s *Store) readable(v *survey) *bitfield.Bitfield {
	all := bitfield.Full(s.have.Len())
	for i := range s.info.Files {
		f := &s.info.Files[i]
		if f.Pad || f.Length == 0 {
			continue
		}
		from := max(0, v.size[i])
		if !s.placed.Has(i) {
			from = 0
		}
		first, last := (f.Offset+from)/s.info.PieceLength, (f.Offset+f.Length-1)/s.info.PieceLength
		for p := first; from < f.Length && p <= last; p++ {
			within := first < p && p < last // And so no piece with a slot.
			if s.placed.Has(i) || within || !v.covers(s, p*s.info.PieceLength, s.info.PieceLength) {
				all.Clear(int(p))
			}
		}
	}
	return all
}

// lookFolder says whether a folder exists; seen remembers the answers.
func (s *Store) lookFolder(name string, seen map[string]bool) (there bool, err error) {
	if there, ok := seen[name]; ok {
		return there, nil
	}
	if there, err = s.lookFolder(path.Dir(name), seen); err != nil {
		return false, err
	}
	if there {
		info, err := s.fs.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			there = false
		case err != nil:
			return false, fault("look at", name, err)
		case !info.IsDir():
			return false, conflict(name, "is not a folder")
		}
	}
	seen[name] = there
	return there, nil
}

// lookFile fills in what v says of a file.
func (s *Store) lookFile(i int, v *survey) error {
	name, most := s.name(i), int64(math.MaxInt64)
	if i < s.partsFile() {
		most = s.info.Files[i].Length
	}
	info, err := s.fs.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fault("look at", name, err)
	case !info.Mode().IsRegular():
		return conflict(name, "is not a regular file")
	case info.Size() > most:
		return conflict(name, fmt.Sprintf("has %d bytes, more than the %d that the torrent has for it", info.Size(), most))
	}
	s.exists.Set(i)
	now := stampOf(info)
	v.size[i], v.mtime[i], v.allocated[i] = now.size, now.mtime, allocated(info)
	return nil
}

func stampOf(info fs.FileInfo) stamp {
	return stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
}

// changed says whether somebody else has changed a file since the journal was
// written, as far as its size and time tell.
func (v *survey) changed(s *Store, i int, c *claims) bool {
	first, last, ok := s.piecesOf(i)
	if !ok {
		return false
	}
	if was, ok := c.files[i]; ok && was != (stamp{v.size[i], v.mtime[i]}) {
		return true
	}
	f := &s.info.Files[i]
	for p := last; p >= first; p-- {
		if c.durable.Has(p) {
			end := (int64(p) + 1) * s.info.PieceLength
			return v.size[i] < min(f.Length, end-f.Offset)
		}
	}
	return false
}

// covers says whether no byte of a range of one piece is beyond the end of a file.
func (v *survey) covers(s *Store, off, n int64) bool {
	for span := range s.info.Spans(off, n) {
		if s.info.Files[span.File].Pad {
			continue
		}
		if file, at, ok := s.locate(span); !ok || v.size[file] < at+span.Length {
			return false
		}
	}
	return true
}

// refuseForeign returns a conflict for one of some files that can't be told to
// be the torrent's: no piece of it is good, and it is not just zeros.
func (s *Store) refuseForeign(v *survey, good *bitfield.Bitfield, some func(file int) bool) error {
	ours := map[int]bool{}
	for _, i := range s.filesOf(good) {
		ours[i] = true
	}
	for i := range s.info.Files {
		f := &s.info.Files[i]
		if f.Pad || v.size[i] <= 0 || ours[i] || !some(i) {
			continue
		}
		zero, err := s.allZero(i, v.size[i])
		if err != nil {
			return err
		}
		if !zero {
			return conflict(f.Path, "exists, and none of the torrent's pieces are in it")
		}
	}
	return nil
}

// allZero reads a file until it finds something.
func (s *Store) allZero(i int, size int64) (bool, error) {
	name := s.info.Files[i].Path
	f, err := s.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return false, fault("open", name, err)
	}
	defer f.Close()
	buf := s.disk.buffer()
	defer s.disk.unbuffer(buf)
	for off := int64(0); off < size; {
		n, err := f.ReadAt(buf[:min(size-off, int64(len(buf)))], off)
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				return true, nil
			}
			return false, fault("read", name, err)
		}
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return false, nil
		}
		off += int64(n)
	}
	return true, nil
}

// checkSpace returns ErrNoSpace if the volume has less room than what is
// wanted and still to be written needs, with bytes of other files in the same
// pieces and those that are to be moved. What is allocated already needs none.
func (s *Store) checkSpace(v *survey) error {
	var need int64
	for i := range s.info.Files {
		f, missing := &s.info.Files[i], int64(0)
		for p := range s.each(i) {
			moves := s.selected.Has(i) && !s.placed.Has(i)
			if s.wanted.Has(p) && (moves || !s.have.Has(p)) {
				missing += s.overlap(i, p)
			}
		}
		if s.selected.Has(i) || s.placed.Has(i) {
			missing = min(missing, max(0, f.Length-v.allocated[i]))
		}
		need += missing
	}
	if need == 0 {
		return nil
	}
	if free := s.room(need); free < need {
		return fmt.Errorf("%q needs %d more bytes and the volume has %d: %w", s.info.Name, need, free, ErrNoSpace)
	}
	return nil
}

// overlap returns how many bytes a piece and a file have in common.
func (s *Store) overlap(i, piece int) int64 {
	f := &s.info.Files[i]
	from := int64(piece) * s.info.PieceLength
	to := from + s.info.PieceSize(piece)
	return min(to, f.Offset+f.Length) - max(from, f.Offset)
}
