package report

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

// strangers counts the tokens that were nobody's, by the address that they came
// from: to ask about one costs the API server more than it costs to make it up.
// What a Pod does wrong counts for its own address alone, so it takes no
// worker's turn, unless the network hides both behind one address. The zero
// value is empty.
type strangers struct {
	mu sync.Mutex
	m  map[netip.Addr]guesses
}

// guesses are the tokens of an address until the end of a while.
type guesses struct {
	n     int
	until time.Time
}

// refused says that nobody is asked any more about tokens from an address.
func (s *strangers) refused(from netip.Addr, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.m[from]
	return g.n >= maxGuesses && now.Before(g.until)
}

// guessed counts a token that was nobody's.
func (s *strangers) guessed(from netip.Addr, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, known := s.m[from]
	if !known {
		s.makeRoom(now)
	}
	if !now.Before(g.until) {
		g = guesses{until: now.Add(guessesFor)}
	}
	g.n++
	s.m[from] = g
}

// makeRoom forgets what is over if there is no room for one more, and else
// anything.
func (s *strangers) makeRoom(now time.Time) {
	if s.m == nil {
		s.m = map[netip.Addr]guesses{}
	}
	if len(s.m) < maxStrangers {
		return
	}
	maps.DeleteFunc(s.m, func(_ netip.Addr, g guesses) bool { return !now.Before(g.until) })
	for other := range s.m {
		if len(s.m) < maxStrangers {
			return
		}
		delete(s.m, other)
	}
}
