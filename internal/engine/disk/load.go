package disk

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// load counts what a torrent has its volume do. Writes are those of pieces and
// blocks, syncs those of their files: the journal is small.
type load struct {
	writes, syncs    atomic.Int64
	writing, syncing atomic.Int64 // Nanoseconds.
	short            atomic.Int64
}

// took counts one of what took so long since began.
func took(n, nanoseconds *atomic.Int64, began time.Time) {
	n.Add(1)
	nanoseconds.Add(int64(time.Since(began)))
}

// Load returns what the volume had to do since the store was opened, and how
// much room it lacked when everything was made durable last.
func (s *Store) Load() download.Disk {
	l := &s.load
	return download.Disk{
		Writes: l.writes.Load(), Writing: time.Duration(l.writing.Load()),
		Syncs: l.syncs.Load(), Syncing: time.Duration(l.syncing.Load()),
		Short: l.short.Load(),
	}
}

// lookForRoom sees whether the volume still has room for what is missing, which
// others may have filled since the store was opened.
func (s *Store) lookForRoom() {
	need, free := int64(0), int64(0)
	if missing := s.wanted.Count() - s.wanted.Common(s.Have()); missing > 0 && !s.reserved {
		need = min(int64(missing)*s.info.PieceLength, s.info.Length)
		free = s.room(need)
	}
	s.load.short.Store(max(0, need-free))
}

// room returns how much the volume has free, or otherwise if it does not tell.
func (s *Store) room(otherwise int64) int64 {
	f, err := s.fs.OpenFile(s.folder, os.O_RDONLY, 0)
	if err != nil {
		return otherwise
	}
	defer f.Close()
	if free, ok := freeSpace(f); ok {
		return free
	}
	return otherwise
}
