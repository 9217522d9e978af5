package lsd

import (
	"slices"
	"time"
)

// schedule decides which torrents are told of next, and when. The zero value has
// none.
type schedule struct {
	waiting []entry   // The one that is due first, first.
	last    time.Time // When was told last.
}

type entry struct {
	hash [20]byte
	due  time.Time
}

// add has a torrent told of from now on.
func (s *schedule) add(now time.Time, hash [20]byte) {
	i, _ := slices.BinarySearchFunc(s.waiting, now, func(e entry, now time.Time) int {
		if e.due.After(now) {
			return 1
		}
		return -1
	})
	s.waiting = slices.Insert(s.waiting, i, entry{hash, now})
}

// remove has a torrent not told of any more.
func (s *schedule) remove(hash [20]byte) {
	s.waiting = slices.DeleteFunc(s.waiting, func(e entry) bool { return e.hash == hash })
}

// next returns the torrents of an announce that is due now, nil if none is.
func (s *schedule) next(now time.Time) (hashes [][20]byte) {
	if at, ok := s.wake(); !ok || now.Before(at) {
		return nil
	}
	n := 0
	for n < min(len(s.waiting), maxHashes) && !s.waiting[n].due.After(now) {
		hashes = append(hashes, s.waiting[n].hash)
		n++
	}
	s.waiting = slices.Delete(s.waiting, 0, n)
	for _, h := range hashes {
		s.waiting = append(s.waiting, entry{h, now.Add(turn)})
	}
	s.last = now
	return hashes
}

// wake returns when the next announce is due; false if there is nothing to tell.
func (s *schedule) wake() (time.Time, bool) {
	if len(s.waiting) == 0 {
		return time.Time{}, false
	}
	at := s.waiting[0].due
	if earliest := s.last.Add(gap); !s.last.IsZero() && at.Before(earliest) {
		at = earliest
	}
	return at, true
}
