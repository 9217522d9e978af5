// Package metadata fetches the info dictionary of a torrent of which only the
// info hash is known (BEP 9): it decides which peer is asked for which piece,
// puts the pieces together, and finds out who sent wrong ones. It is pure: the
// swarm tells it what peers say, and carries out what it wants.
//
// The hash is of the whole, so a piece alone can't be checked, and any of
// those who sent one may have lied. This is how liars are found:
//
//   - At first all peers that offer the same size work on one copy, each on
//     pieces of its own, which is as fast as it can be.
//   - If the copy is wrong, each peer makes one of its own from then on. If
//     that is wrong too, who lied is proved.
//   - When a copy is right, every piece that anybody ever sent is held against
//     it, and every size that is still offered: what differs was a lie.
//
// There is memory for a few copies only, in one [Budget] for all fetches, so
// sizes wait for their turn, and a copy that comes too slowly makes room. So an honest peer is never taken for a
// liar, and as long as there is one it gets its turn.
package metadata

import (
	"crypto/sha1"
	"net/netip"
	"slices"
	"time"
)

// ID names a peer; the swarm's numbers are used.
type ID uint32

// Fetch is the state of one fetch. It has one owner and does not lock. Times
// count from any moment, always the same, and never go back.
type Fetch struct {
	hash  [sha1.Size]byte
	room  Room
	byID  map[ID]*peer // Never iterated over.
	peers []*peer      // Who waited longest is first.
	all   []*assembly  // Copies in the making.
	wrong []int64      // Sizes of which a copy by several peers was wrong.
	sums  []sum        // What was sent, by whom.
	done  []byte
	// Of small and of large copies: the next place goes to the peer that waits
	// longest, not to the size that most addresses offer.
	byWait [kinds]bool
}

// Steps is what [Fetch.Step] wants done.
type Steps struct {
	Ask   []Ask
	Liars []ID // Peers that are proved to have lied, who may be gone.
	Slow  []ID // Peers of no use, who may be honest.
}

// Ask is a request for one piece.
type Ask struct {
	Peer  ID
	Piece int
}

// sum is the hash of a piece that a peer has sent.
type sum struct {
	from  ID
	size  int64
	piece int
	hash  [sha1.Size]byte
}

// peer is somebody who offers metadata.
type peer struct {
	id      ID
	host    netip.Prefix
	size    int64
	turns   int       // How many copies had to make room while it worked on them.
	work    *assembly // The copy that it works on, or nil.
	asked   []asked
	until   time.Duration // When it may be asked again.
	strikes int
}

// asked is a piece that a peer was asked for.
type asked struct {
	piece int
	at    time.Duration
	late  bool // Others are asked for it.
}

// New returns a fetch of the info dictionary with that hash, whose copies take
// their memory from room.
func New(hash [sha1.Size]byte, room Room) *Fetch {
	return &Fetch{hash: hash, room: room, byID: map[ID]*peer{}}
}

// Done returns the info dictionary once it is there, and nil before.
func (f *Fetch) Done() []byte { return f.done }

// Offer says that a peer has so many bytes of metadata, or has none after all.
// The host is the addresses that count as one with the peer's. It returns false if the size can't be right. Saying it again changes nothing.
func (f *Fetch) Offer(id ID, host netip.Prefix, size int64) bool {
	p := f.byID[id]
	if p != nil && p.size == size {
		return true
	}
	f.Leave(id)
	if size == 0 {
		return true
	}
	if size < 0 || size > MaxSize {
		return false
	}
	p = &peer{id: id, host: host, size: size}
	f.byID[id] = p
	f.peers = append(f.peers, p)
	return true
}

// Leave forgets a peer, but not what it has sent.
func (f *Fetch) Leave(id ID) {
	if p := f.byID[id]; p != nil {
		f.leaveWork(p)
		delete(f.byID, id)
		f.peers = slices.DeleteFunc(f.peers, func(q *peer) bool { return q == p })
	}
}

// leaveWork takes a peer off its copy, which ends if it was the peer's own.
func (f *Fetch) leaveWork(p *peer) {
	if p.work != nil && p.work.owner == p {
		f.drop(p.work)
	}
	p.work = nil
}

// drop gives up a copy.
func (f *Fetch) drop(c *assembly) {
	f.all = slices.DeleteFunc(f.all, func(o *assembly) bool { return o == c })
	f.room.Give(c.size)
	for _, p := range f.peers {
		if p.work == c {
			p.work = nil
		}
	}
}

// Reject says that a peer won't send a piece that it was asked for. It
// returns false if it was not asked.
func (f *Fetch) Reject(now time.Duration, id ID, piece int) bool {
	p := f.byID[id]
	if p == nil || !p.take(piece) {
		return false
	}
	f.rest(p, now)
	return true
}

// rest leaves a peer alone for a while.
func (f *Fetch) rest(p *peer, now time.Duration) {
	f.leaveWork(p)
	for i := range p.asked {
		p.asked[i].late = true
	}
	p.until = now + pause
	f.last(p)
}

// last puts a peer behind the others who wait.
func (f *Fetch) last(p *peer) {
	f.peers = append(slices.DeleteFunc(f.peers, func(q *peer) bool { return q == p }), p)
}

// take ends the wait for a piece, and says whether there was one.
func (p *peer) take(piece int) bool {
	i := slices.IndexFunc(p.asked, func(a asked) bool { return a.piece == piece })
	if i >= 0 {
		p.asked = slices.Delete(p.asked, i, i+1)
	}
	return i >= 0
}

// waitsFor says whether a piece is expected of a peer.
func (p *peer) waitsFor(piece int) bool {
	return slices.ContainsFunc(p.asked, func(a asked) bool { return a.piece == piece && !a.late })
}

// open returns how many pieces are expected of a peer.
func (p *peer) open() (n int) {
	for _, a := range p.asked {
		if !a.late {
			n++
		}
	}
	return n
}

// Data says that a peer has sent a piece, which is the fetch's from then on.
// It returns false if the peer was not asked for it, or it is of the wrong
// length for the size that the peer offers.
func (f *Fetch) Data(id ID, piece int, data []byte) bool {
	p := f.byID[id]
	if p == nil || !p.take(piece) || int64(len(data)) != lengthOf(p.size, piece) {
		return false
	}
	if f.done != nil {
		return true
	}
	p.strikes = 0
	if len(f.sums) < maxSums {
		f.sums = append(f.sums, sum{id, p.size, piece, sha1.Sum(data)})
	}
	c := p.work
	if c == nil { // It was late.
		c = f.shared(p.size)
	}
	if c != nil {
		c.add(id, piece, data)
	}
	return true
}

// Step follows what has happened and the passing of time: it is to be called
// after the other methods, and once a second.
func (f *Fetch) Step(now time.Duration) (s Steps) {
	if f.done != nil {
		return s
	}
	for _, c := range slices.Clone(f.all) {
		if c.missing == 0 {
			f.check(c, &s)
		}
		if f.done != nil {
			return s
		}
	}
	f.timeOut(now, &s)
	f.yield(now)
	f.assign(now)
	f.count()
	for _, p := range f.peers {
		if p.work != nil {
			f.ask(p, now, &s)
		}
	}
	return s
}

// check holds a copy that is whole against the hash.
func (f *Fetch) check(c *assembly, s *Steps) {
	if c.hash() == f.hash {
		for _, o := range slices.Clone(f.all) {
			if o != c { // First, for the right copy is about to be there twice.
				f.drop(o)
				o.parts = nil
			}
		}
		f.done = c.bytes()
		f.drop(c)
		for kind := range kinds {
			f.room.Leave(kind)
		}
		f.convict(s)
		return
	}
	f.drop(c)
	if only, ok := c.only(); ok {
		s.Liars = append(s.Liars, only)
		f.Leave(only)
		return
	}
	if len(f.wrong) == maxWrong {
		f.wrong = slices.Delete(f.wrong, 0, 1)
	}
	f.wrong = append(f.wrong, c.size)
}

// convict finds everybody who has sent or offered what is not true, now that
// it is known what is.
func (f *Fetch) convict(s *Steps) {
	size := int64(len(f.done))
	truth := make([][sha1.Size]byte, pieces(size))
	for i := range truth {
		truth[i] = sha1.Sum(f.done[i*PieceLength:][:lengthOf(size, i)])
	}
	for _, t := range f.sums {
		if t.size != size || t.hash != truth[t.piece] {
			s.Liars = append(s.Liars, t.from)
		}
	}
	for _, p := range f.peers {
		if p.size != size {
			s.Liars = append(s.Liars, p.id)
		}
	}
	slices.Sort(s.Liars)
	s.Liars = slices.Compact(s.Liars)
	f.sums = nil
}

// timeOut gives what was waited for too long to others.
func (f *Fetch) timeOut(now time.Duration, s *Steps) {
	for _, p := range slices.Clone(f.peers) {
		late := false
		for i := range p.asked {
			if a := &p.asked[i]; !a.late && now-a.at >= askTimeout {
				a.late, late = true, true
			}
		}
		if !late {
			continue
		}
		f.rest(p, now)
		if p.strikes++; p.strikes >= maxStrikes || len(p.asked) > maxLate {
			s.Slow = append(s.Slow, p.id)
			f.Leave(p.id)
		}
	}
}

// count counts who is being asked for what.
func (f *Fetch) count() {
	for _, c := range f.all {
		clear(c.asks)
	}
	for _, p := range f.peers {
		for _, a := range p.asked {
			if !a.late && p.work != nil {
				p.work.asks[a.piece]++
			}
		}
	}
}

// ask has a peer asked for what is missing of its copy.
func (f *Fetch) ask(p *peer, now time.Duration, s *Steps) {
	for p.open() < maxAsked {
		piece, ok := p.work.next(p)
		if !ok {
			return
		}
		p.asked = append(p.asked, asked{piece: piece, at: now})
		p.work.asks[piece]++
		s.Ask = append(s.Ask, Ask{p.id, piece})
	}
}
