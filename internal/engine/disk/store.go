package disk

import (
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// Spec says which torrent is stored where.
type Spec struct {
	// Dir is an existing folder, and Path the slash-separated folder below
	// it that receives the files; it is made if missing. No symbolic link
	// leads out of Dir.
	Dir, Path string

	Info     *metainfo.Info
	InfoHash metainfo.Hash

	// Selected are the files that are wanted, by their index in Info.Files;
	// nil is all. No other file is made: where pieces need bytes of others,
	// these go to a file beside the journal.
	Selected *bitfield.Bitfield

	// KeepInfo is the info dictionary, to be found by [ReadInfo] later; nil
	// for a torrent whose .torrent file will be there.
	KeepInfo []byte

	// Owner is written into the lock file, so that who finds the torrent
	// locked learns by whom.
	Owner string

	// Preallocate reserves the space of the selected files before the first
	// byte, where the volume can.
	Preallocate bool

	// ReadOnly says that nothing is to be written, because the volume can't be:
	// what is there is served as it is, and has to be all that is selected.
	ReadOnly bool

	// Done, which is required, gets the results of Finish, and errors that belong to no piece.
	// It is called by workers, one at a time. It must return soon, call no
	// method of the Store, and wait for nobody who may be in one.
	Done func(Result)
}

// NoPiece is the Index of a [Result] that belongs to no piece.
const NoPiece = math.MaxUint32

// Result is what became of a piece.
//
// If OK, the piece is verified and written. If not OK and Err is nil, its
// hash did not match and all of its blocks are forgotten. If Err is set, the
// volume failed: the piece's blocks are kept, and it may be finished again
// when the cause is gone. An Err with [NoPiece] has ended the store: it takes
// nothing in any more, and pieces that were not durable may be lost. Close it
// and open it again to see what is there.
type Result struct {
	Index   uint32
	OK      bool
	Digests []uint64 // One for each block, if it was asked for or the piece is bad. Equal bytes have equal digests as long as the process lives.
	Err     error
}

// Partial is a piece of which some blocks are on the volume.
type Partial struct {
	Index  uint32
	Blocks *bitfield.Bitfield
}

// Store is the files of one torrent, locked for this process. All methods may
// be called from any goroutine.
type Store struct {
	disk   *Disk
	fs     FS
	info   *metainfo.Info
	done   func(Result)
	folder string // Of the journal, the lock and the parts file.
	lock   io.Closer
	whole  bool // It has to be complete, because nothing may be written: Spec.ReadOnly.
	hashed bool // Set by Open.

	reserved bool // The space of the files is taken already: Spec.Preallocate.
	load     load

	// What Open has found out, and nobody changes after it.
	selected *bitfield.Bitfield // Files that are wanted, and all padding.
	wanted   *bitfield.Bitfield // Pieces that hold bytes of these files.
	placed   *bitfield.Bitfield // Files whose bytes are under their own names, and all padding.
	placing  *bitfield.Bitfield // Files that are about to be placed, or were when a crash came.
	slots    []int              // The pieces that have a slot in the parts file, ascending; nil if all files are placed.

	work sync.WaitGroup // What Close waits for. Added to under mu while not closed.

	syncing sync.Mutex // One Sync or Check at a time.

	recording sync.Mutex
	journal   *journal  // Guarded by recording.
	fresh     []uint32  // Pieces verified and not durable, as journaled. Guarded by recording.
	spilled   bool      // Blocks were spilled since the last sync began. Guarded by recording.
	adopted   []int     // Files with fresh pieces that somebody else wrote. Guarded by recording.
	completed time.Time // Guarded by recording.
	lost      bool      // A sync has failed. Guarded by recording.

	mu      sync.Mutex
	have    *bitfield.Bitfield // Pieces verified and written.
	durable *bitfield.Bitfield // Of those, pieces that survive a power cut. Written under recording too.
	pieces  map[uint32]*assembly
	failed  error // Why nothing is taken in any more.
	closed  bool

	making  sync.Mutex         // Held while a file is made.
	exists  *bitfield.Bitfield // Files of ours that exist; the last bit is the parts file. Guarded by making.
	folders map[string]bool    // Folders in which something was made since the last sync. Guarded by making.
}

// Have returns the pieces that are verified and written.
func (s *Store) Have() *bitfield.Bitfield {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have.Clone()
}

// Wants says whether a piece is wanted and not yet verified and written.
func (s *Store) Wants(piece int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted.Has(piece) && !s.have.Has(piece)
}

// Hashed says whether Open has hashed everything that is there, because no
// journal told what it is.
func (s *Store) Hashed() bool { return s.hashed }

// Durable returns how many pieces would survive a power cut.
func (s *Store) Durable() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable.Count()
}

// Completed returns when all wanted pieces became durable, in this run or an
// earlier one, to the second; the zero time if they are not.
func (s *Store) Completed() time.Time {
	s.recording.Lock()
	defer s.recording.Unlock()
	return s.completed
}

// Partial returns the pieces that are not verified and of which some blocks
// are on the volume: after Open, what an earlier run has left.
func (s *Store) Partial() []Partial {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Partial
	for i, a := range s.pieces {
		if b := a.onDisk(); b.Count() > 0 {
			all = append(all, Partial{Index: i, Blocks: b})
		}
	}
	return all
}

// Close finishes what the workers have in hand, writes the blocks of begun
// pieces to their files, makes everything durable, and unlocks the torrent.
// After an error all that was durable before is still known to the next Open.
// The second Close does nothing.
func (s *Store) Close() error {
	if !s.shut() {
		return nil
	}
	errs := []error{s.spillAll()}
	s.syncing.Lock()
	errs = append(errs, s.sync(), s.seal())
	s.syncing.Unlock()
	s.letGo()
	return errors.Join(errs...)
}

// shut stops taking things in and waits for what is going on. It returns
// false if somebody else did that before.
func (s *Store) shut() bool {
	s.mu.Lock()
	before := s.closed
	s.closed = true
	s.mu.Unlock()
	if before {
		return false
	}
	s.disk.mu.Lock()
	delete(s.disk.stores, s)
	s.disk.mu.Unlock()
	s.work.Wait()
	return true
}

// spillAll writes all blocks that are in memory to their files, and forgets
// those that can't be written.
func (s *Store) spillAll() error {
	s.recording.Lock()
	lost := s.lost
	s.recording.Unlock()
	if lost {
		return s.broken()
	}
	var (
		w    writer
		errs []error
	)
	for _, a := range s.begun() {
		runs := a.runs(held, len(a.blocks))
		if len(runs) == 0 {
			continue
		}
		if err := w.runs(s, a, runs); err != nil {
			errs = append(errs, err)
			continue
		}
		s.recording.Lock()
		s.journal.changed = true
		s.recording.Unlock()
		s.mu.Lock()
		a.held -= a.set(held, spilling)
		s.unload(a)
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}

// begun returns the pieces being assembled.
func (s *Store) begun() []*assembly {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.pieces))
}

// seal replaces the journal by a short one that also says how the files look,
// so that the next Open notices if they were changed.
func (s *Store) seal() error {
	s.recording.Lock()
	defer s.recording.Unlock()
	if !s.journal.changed {
		return nil
	}
	c := s.claims()
	if s.lost {
		clear(c.blocks)
	}
	for i := range s.exists.All() {
		if info, err := s.fs.Lstat(s.name(i)); err == nil {
			c.files[i] = stampOf(info)
		}
	}
	return s.journal.replace(c)
}

// letGo gives back memory, files and the lock. Slots that are still leased
// follow when their readers are done.
func (s *Store) letGo() {
	s.mu.Lock()
	for _, a := range s.pieces {
		s.discard(a)
	}
	s.mu.Unlock()
	s.disk.files.drop(s)
	s.recording.Lock()
	s.journal.close()
	s.recording.Unlock()
	s.lock.Close()
	s.fs.Close()
}
