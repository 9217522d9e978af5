package metadata

import (
	"bytes"
	"crypto/sha1"
	"net/netip"
	"slices"
	"time"
)

// assembly is one copy of the metadata in the making. It holds memory for what
// has arrived, so an offer alone costs next to nothing.
type assembly struct {
	size    int64
	owner   *peer // The one who makes it, or nil if all of its size do.
	began   time.Duration
	turns   int      // The most that any peer on it has had before.
	got     int64    // Bytes of parts.
	parts   [][]byte // nil where a piece is missing.
	senders []ID     // Of parts.
	missing int
	asks    []uint8 // How many peers are being asked for each piece.
	cursor  int     // Where to look next for a piece to ask for.
}

func newAssembly(p *peer, owner *peer, now time.Duration) *assembly {
	n := pieces(p.size)
	return &assembly{
		size: p.size, owner: owner, began: now, turns: p.turns, missing: n,
		parts: make([][]byte, n), senders: make([]ID, n), asks: make([]uint8, n),
	}
}

// pieces returns how many pieces so many bytes of metadata have.
func pieces(size int64) int { return int((size + PieceLength - 1) / PieceLength) }

// lengthOf returns the length of a piece, or 0 if there is no such.
func lengthOf(size int64, piece int) int64 {
	if piece < 0 || piece >= pieces(size) {
		return 0
	}
	return min(PieceLength, size-int64(piece)*PieceLength)
}

// add puts a piece in its place, unless one is there.
func (c *assembly) add(from ID, piece int, data []byte) {
	if c.parts[piece] == nil {
		c.parts[piece], c.senders[piece] = data, from
		c.got += int64(len(data))
		c.missing--
	}
}

// hash returns the SHA-1 of a copy that is whole.
func (c *assembly) hash() (sum [sha1.Size]byte) {
	h := sha1.New()
	for _, part := range c.parts {
		h.Write(part)
	}
	return [sha1.Size]byte(h.Sum(nil))
}

// bytes returns a copy that is whole in one piece.
func (c *assembly) bytes() []byte { return bytes.Join(c.parts, nil) }

// only returns the one who sent all of a copy, if it was one.
func (c *assembly) only() (ID, bool) {
	first := c.senders[0]
	return first, !slices.ContainsFunc(c.senders, func(id ID) bool { return id != first })
}

// overdue says that a copy for whose place others wait came on so slowly that
// it has to go. What counts is what has arrived, for the size may be a lie. It
// may take twice as long at each further turn, so that a slow peer that is
// honest comes to its end too.
func (c *assembly) overdue(now time.Duration, turns int) bool {
	return now-c.began > soloTime<<min(turns, maxTurns)+time.Duration(c.got/soloRate)*time.Second
}

// next returns the piece to ask a peer for: one that nobody is being asked
// for, or else one that few are.
func (c *assembly) next(p *peer) (piece int, ok bool) {
	for askers := range uint8(maxAskers) {
		for range c.parts {
			i := c.cursor % len(c.parts)
			c.cursor = i + 1
			if c.parts[i] == nil && c.asks[i] == askers && !p.waitsFor(i) {
				return i, true
			}
		}
	}
	return 0, false
}

// shared returns the copy on which all peers of a size work, or nil.
func (f *Fetch) shared(size int64) *assembly {
	for _, c := range f.all {
		if c.size == size && c.owner == nil {
			return c
		}
	}
	return nil
}

// assign gives peers that may be asked a copy to work on.
func (f *Fetch) assign(now time.Duration) {
	for kind := range kinds {
		if !f.assignOf(kind, now) {
			f.room.Leave(kind)
		}
	}
}

// assignOf gives peers that offer sizes of a kind a copy to work on. A place
// goes to the size that most addresses offer, for as a rule most tell the
// truth. If that was not the peer that waits longest, the next is for that one,
// so that nobody is kept out. It returns true if a copy waits for room that
// other fetches have.
func (f *Fetch) assignOf(kind Kind, now time.Duration) (waits bool) {
	var waiting []*peer
	for _, p := range f.peers {
		if p.work == nil && now >= p.until && KindOf(p.size) == kind {
			waiting = append(waiting, p)
		}
	}
	if len(waiting) == 0 {
		return false
	}
	longest := waiting[0]
	if !f.byWait[kind] {
		hosts := f.offers()
		slices.SortStableFunc(waiting, func(a, b *peer) int { return hosts[b.size] - hosts[a.size] })
	}
	var first *peer
	for _, p := range waiting {
		if p.work = f.shared(p.size); p.work != nil {
			p.work.turns = max(p.work.turns, p.turns)
			continue
		}
		if waits || !f.makeRoom(kind, now) {
			continue
		}
		if waits = !f.room.Take(p.size); waits {
			continue
		}
		var owner *peer
		if slices.Contains(f.wrong, p.size) {
			owner = p
		}
		p.work = newAssembly(p, owner, now)
		f.all = append(f.all, p.work)
		if first == nil {
			first = p
		}
	}
	if first != nil {
		f.byWait[kind] = !f.byWait[kind] && first != longest
	}
	return waits
}

// offers returns how many addresses offer each size.
func (f *Fetch) offers() map[int64]int {
	type offer struct {
		host netip.Prefix
		size int64
	}
	seen, n := map[offer]bool{}, map[int64]int{}
	for _, p := range f.peers {
		if o := (offer{p.host, p.size}); !seen[o] {
			seen[o] = true
			n[p.size]++
		}
	}
	return n
}

// makeRoom says whether this fetch may begin a copy of a kind. It ends one that
// is overdue if that is what it takes.
func (f *Fetch) makeRoom(kind Kind, now time.Duration) bool {
	n, limit := 0, maxCopies
	if kind == Large {
		limit = 1
	}
	var slow *assembly
	for _, c := range f.all {
		if KindOf(c.size) == kind {
			if n++; slow == nil && c.overdue(now, c.turns) {
				slow = c
			}
		}
	}
	if n < limit {
		return true
	}
	if slow == nil {
		return false
	}
	f.giveUp(slow)
	return true
}

// giveUp drops a copy in favour of others. Those who made it go to the end of
// the queue.
func (f *Fetch) giveUp(c *assembly) {
	for _, p := range slices.Clone(f.peers) {
		if p.work == c {
			p.turns = c.turns + 1
			f.last(p)
		}
	}
	f.drop(c)
}

// yield makes room for other fetches that have less and wait: of each kind the
// first copy goes if it is overdue, and any other as soon as a copy at its
// first turn would.
func (f *Fetch) yield(now time.Duration) {
	var more [kinds]bool
	for _, c := range slices.Clone(f.all) {
		kind, turns := KindOf(c.size), 0
		if !more[kind] {
			more[kind], turns = true, c.turns
		}
		if c.overdue(now, turns) && f.room.Wanted(kind) {
			f.giveUp(c)
		}
	}
}
