package disk

import (
	"context"
	"errors"
	"io/fs"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
)

// Which files are selected may change from one run to the next. A file that has
// a place, that is whose bytes are under its own name, keeps it when it is not
// selected any more: nothing is removed. One that is selected for the first
// time gets its place when the torrent is opened, and its bytes come out of
// the parts file: they are copied and synced before the journal says so, so
// that a crash in between loses nothing.

// displace takes the place from files that are not selected and that are gone
// or were changed by somebody else: what stands under their names is not ours.
func (s *Store) displace(c *claims, v *survey) {
	for i := range s.placed.Clone().All() {
		if s.info.Files[i].Pad || s.selected.Has(i) || v.size[i] >= 0 && !v.changed(s, i, c) {
			continue
		}
		s.placed.Clear(i)
		s.exists.Clear(i)
		s.journal.stale = true
		for p := range s.each(i) { // Some of its bytes may be in the parts file, from before it had its place.
			c.durable.Clear(p)
			delete(c.blocks, uint32(p))
		}
	}
}

// newcomers are files that are selected and have no place yet.
type newcomers struct {
	files []int
	there []int              // Of files: those under whose names something stands.
	good  *bitfield.Bitfield // Pieces that are good with what stands there.
}

// meet finds the newcomers, and which pieces are good in files that stand under
// their names: as without a journal, these are taken over if a piece of each is
// good, and a conflict if not.
func (s *Store) meet(ctx context.Context, c *claims, v *survey, progress func(done, total int64)) (*newcomers, error) {
	n := &newcomers{good: bitfield.New(s.have.Len())}
	check := bitfield.New(s.have.Len())
	for i := range s.selected.All() {
		if s.placed.Has(i) {
			continue
		}
		n.files = append(n.files, i)
		for p := range s.each(i) {
			delete(s.pieces, uint32(p)) // Blocks of it would have to move too.
		}
		if v.size[i] < 0 {
			continue
		}
		n.there = append(n.there, i)
		for p := range s.each(i) {
			check.Set(p)
		}
	}
	if len(n.there) == 0 {
		return n, nil
	}
	before := s.placed
	defer func() { s.placed = before }()
	s.placed = s.withPlaces(n)
	readable := s.readable(v)
	for p := range check.Clone().All() {
		if !readable.Has(p) {
			check.Clear(p)
		}
	}
	if err := s.check(ctx, check, progress, func(p int) { n.good.Set(p) }); err != nil {
		return nil, err
	}
	return n, s.refuseForeign(v, n.good, func(i int) bool { return !before.Has(i) && s.selected.Has(i) && !c.placing.Has(i) })
}

// withPlaces returns the files that have a place once the newcomers do.
func (s *Store) withPlaces(n *newcomers) *bitfield.Bitfield {
	all := s.placed.Clone()
	for _, i := range n.files {
		all.Set(i)
	}
	return all
}

// settleIn gives the newcomers their places.
func (s *Store) settleIn(n *newcomers) error {
	moving := bitfield.New(s.have.Len())
	for _, i := range n.files {
		for p := range s.each(i) {
			if s.have.Has(p) && !n.good.Has(p) {
				moving.Set(p)
			}
		}
	}
	buf := s.disk.buffer()
	defer s.disk.unbuffer(buf)
	for p := range moving.All() {
		if err := s.move(p, buf); err != nil {
			return err
		}
	}
	if err := s.flush(append(n.there, s.adopted...)); err != nil {
		return err
	}
	s.adopted = nil
	s.placed = s.withPlaces(n)
	for _, i := range n.files {
		s.placing.Clear(i)
	}
	for p := range n.good.All() {
		if s.have.Set(p) {
			s.fresh = append(s.fresh, uint32(p))
		}
	}
	return s.journal.replace(s.claims())
}

// move copies the bytes of a verified piece that belong to newcomers from the
// parts file to their own.
func (s *Store) move(piece int, buf []byte) error {
	for span := range s.info.Spans(int64(piece)*s.info.PieceLength, s.info.PieceSize(piece)) {
		if s.placed.Has(span.File) || !s.selected.Has(span.File) {
			continue
		}
		_, from, _ := s.locate(span)
		for done := int64(0); done < span.Length; {
			part := buf[:min(int64(len(buf)), span.Length-done)]
			if err := s.readFile(s.partsFile(), part, from+done); err != nil {
				if errors.Is(err, errAbsent) {
					err = fault("read", s.name(s.partsFile()), err)
				}
				return err
			}
			if err := s.writeFile(span.File, [][]byte{part}, span.Offset+done); err != nil {
				return err
			}
			done += int64(len(part))
		}
	}
	return nil
}

// dropParts removes the parts file, which nothing needs any more.
func (s *Store) dropParts() error {
	s.disk.files.drop(s)
	s.exists.Clear(s.partsFile())
	name := s.name(s.partsFile())
	if err := s.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault("remove", name, err)
	}
	return nil
}
