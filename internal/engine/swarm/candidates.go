package swarm

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// candidateState says what is being done about an address.
type candidateState uint8

const (
	waiting   candidateState = iota // To be connected to when its time has come.
	dialing                         // Dial was said, no answer yet.
	connected                       // There is a connection.
	hopeless                        // It is ourselves, or banned.
)

// candidate is an address of a peer.
type candidate struct {
	addr   netip.AddrPort
	source Source // Who told us first.
	state  candidateState
	fails  int           // In a row.
	next   time.Duration // Not before.
	seed   bool          // It had everything when we last saw it.
	rank   uint32        // The canonical priority of a connection to it (BEP 40); 0 if that is not known.
}

// pool is the addresses that are known, at most maxCandidates.
type pool struct {
	byAddr  map[netip.AddrPort]*candidate // Never iterated over.
	list    []*candidate
	hand    int // Where in list the next search begins.
	dialing int
	from    [sources]int  // How many are from each source.
	asked   time.Duration // When more addresses were asked for.
	askable bool
}

func newPool() pool { return pool{byAddr: map[netip.AddrPort]*candidate{}, askable: true} }

// add remembers an address, in a random place, and returns it if it is new.
// When the pool is full it takes the place of one that failed, if there is one
// near the hand.
func (l *pool) add(addr netip.AddrPort, source Source, rng *rand.Rand) *candidate {
	if l.byAddr[addr] != nil || source.hearsay() && l.from[FromPEX]+l.from[FromDHT]+l.from[FromLocal] >= maxHearsay {
		return nil
	}
	c := &candidate{addr: addr, source: source}
	if len(l.list) < maxCandidates {
		i := rng.IntN(len(l.list) + 1)
		l.list = append(l.list, c)
		l.list[len(l.list)-1], l.list[i] = l.list[i], c
		l.byAddr[addr] = c
		l.from[source]++
		return c
	}
	for range 16 {
		l.hand = (l.hand + 1) % len(l.list)
		if old := l.list[l.hand]; old.state == hopeless || old.state == waiting && old.fails > 0 {
			delete(l.byAddr, old.addr)
			l.from[old.source]--
			l.list[l.hand] = c
			l.byAddr[addr] = c
			l.from[source]++
			return c
		}
	}
	return nil
}

// drop forgets the addresses that which is true of, unless there is or comes a
// connection to them.
func (l *pool) drop(which func(*candidate) bool) {
	l.list = slices.DeleteFunc(l.list, func(c *candidate) bool {
		if c.state == dialing || c.state == connected || !which(c) {
			return false
		}
		delete(l.byAddr, c.addr)
		l.from[c.source]--
		return true
	})
	l.hand = 0
}

// connected notes a connection to an address, mostly the end of a dial.
func (l *pool) connected(addr netip.AddrPort) {
	if c := l.byAddr[addr]; c != nil {
		l.undial(c)
		if c.state != hopeless {
			c.state = connected
		}
	}
}

func (l *pool) undial(c *candidate) {
	if c.state == dialing {
		l.dialing--
	}
}

// failed notes the end of a dial that did not succeed.
func (l *pool) failed(addr netip.AddrPort, now time.Duration) {
	if c := l.byAddr[addr]; c != nil && c.state == dialing {
		l.undial(c)
		c.state = waiting
		c.fails++
		c.next = now + redial(c.fails)
	}
}

func redial(fails int) time.Duration {
	return min(minRedial<<min(max(fails-1, 0), 10), maxRedial)
}

// verdict says how a connection ended, for its address.
type verdict uint8

const (
	fine verdict = iota // To be had again.
	bad                 // It was of no use.
	full                // It was of no use because both were complete.
)

// gone notes the end of a connection to an address.
func (l *pool) gone(addr netip.AddrPort, now time.Duration, v verdict) {
	c := l.byAddr[addr]
	if c == nil || c.state != connected {
		return
	}
	c.state = waiting
	c.seed = v == full
	if v == fine {
		c.fails = 0
	} else {
		c.fails++
	}
	c.next = now + redial(c.fails)
}

// never has an address not dialed again.
func (l *pool) never(addr netip.AddrPort) {
	if c := l.byAddr[addr]; c != nil {
		l.undial(c)
		c.state = hopeless
	}
}

// shares says whether other addresses that are not hopeless have the same IP.
func (l *pool) shares(addr netip.AddrPort) bool {
	for _, c := range l.list {
		if c.addr.Addr() == addr.Addr() && c.addr != addr && c.state != hopeless {
			return true
		}
	}
	return false
}

// next returns an address to connect to now, or nil. The hand gives all of them
// their turn; among those of one source that failed as often, so that no more is
// known of one than of the other, the highest canonical priority comes first
// (BEP 40).
func (l *pool) next(now time.Duration, seeding bool) *candidate {
	var best *candidate
	first := l.hand
	for range l.list {
		l.hand = (l.hand + 1) % len(l.list)
		c := l.list[l.hand]
		switch {
		case c.state != waiting || now < c.next || seeding && c.seed:
		case best == nil:
			best, first = c, l.hand
		case c.source == best.source && c.fails == best.fails && c.rank > best.rank:
			best = c
		}
	}
	l.hand = first
	return best
}

// rank gives addresses their priority once our own address is believed to be
// another than before.
func (s *Swarm) rank() {
	for _, c := range s.pool.list {
		c.rank, _ = s.priorityOf(c.addr)
	}
}

// Addrs returns the addresses that are known and worth to be connected to.
func (s *Swarm) Addrs() (addrs []netip.AddrPort) {
	for _, c := range s.pool.list {
		if c.state != hopeless {
			addrs = append(addrs, c.addr)
		}
	}
	return addrs
}

// found takes in addresses.
func (s *Swarm) found(addrs []netip.AddrPort, source Source) {
	for _, a := range addrs {
		s.find(a, source)
	}
	s.busy.dial = true
}

// find takes in an address, and returns it if it is new and can be a peer's.
func (s *Swarm) find(a netip.AddrPort, source Source) *candidate {
	a = addrOf(a)
	switch {
	case !a.IsValid() || a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast():
		return nil
	case s.isUs(a) || s.guilt.bansAddr(a):
		return nil
	case !s.c.Filter.Allows(a.Addr()):
		s.count.filtered++
		return nil
	}
	c := s.pool.add(a, source, s.rng)
	if c != nil {
		c.rank, _ = s.priorityOf(a)
	}
	return c
}

// dialFailed follows a dial that came to nothing, or to ourselves.
func (s *Swarm) dialFailed(addr netip.AddrPort, self bool) {
	addr = addrOf(addr)
	if self {
		s.pool.never(addr)
	} else {
		s.pool.failed(addr, s.now)
	}
	s.busy.dial = true
}

// backoffAfter judges a connection that ended.
func (s *Swarm) backoffAfter(p *peer) verdict {
	switch {
	case p.reason == ReasonSeeds:
		return full
	case p.reason == ReasonReplaced || p.reason == ReasonFull || p.reason == ReasonIdle:
		return fine
	case p.reason == "" && s.now-p.since >= time.Minute:
		return fine
	}
	return bad
}

// dial fills free places, and asks for addresses when there are none for them.
func (s *Swarm) dial() {
	s.busy.dial = false
	seeding := s.Complete()
	taken := s.taken()
	for taken+s.pool.dialing < s.c.MaxPeers && s.pool.dialing < maxDialing {
		c := s.pool.next(s.now, seeding)
		if c == nil {
			break
		}
		c.state = dialing
		s.pool.dialing++
		s.fx.Dial = append(s.fx.Dial, c.addr)
	}
	want := min(wantPeers, s.c.MaxPeers)
	if !seeding && taken+s.pool.dialing < want && (s.pool.askable || s.now-s.pool.asked >= askInterval) {
		s.pool.asked, s.pool.askable = s.now, false
		s.fx.NeedPeers = true
	}
}
