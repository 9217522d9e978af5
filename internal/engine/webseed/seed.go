package webseed

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// Config describes a web seed. All fields but Down are needed.
type Config struct {
	URL  string
	Info *metainfo.Info
	// Transport carries requests out; redirects are followed here. It should
	// be of [Transport]'s making.
	Transport http.RoundTripper
	// Down limits what is received, in bytes; all of it must agree. It may be
	// shared and changed at any time; a limiter's burst should be at least
	// the 16 KiB of a block.
	Down []*rate.Limiter
}

// Seed is a server that has a torrent's files, and what is known of it. It has
// one connection at a time. Its methods may be called by any goroutine.
type Seed struct {
	base   *url.URL
	host   string
	info   *metainfo.Info
	client http.RoundTripper
	down   []*rate.Limiter

	mu     sync.Mutex
	proven bool               // The server has answered with a range.
	atOnce int                // How many requests it takes at once, as far as is known.
	whole  bool               // The server knows no ranges.
	have   *bitfield.Bitfield // The pieces of which it has all files, nil for all pieces,
	gap    *Error             // and what it said of the last file that it does not have.
	moved  map[int]*url.URL   // Where it said that files are.
	fails  int                // In a row.
	lost   int                // Files that were missing since the last wait for that,
	gave   bool               // and whether anything came meanwhile.
}

// New makes a seed. The error says what is wrong with the URL, without it.
func New(cfg Config) (*Seed, error) {
	base, err := parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL of a web seed %w", err)
	}
	return &Seed{
		base: base, host: hostOf(base), info: cfg.Info, client: cfg.Transport, down: cfg.Down,
		atOnce: connections, moved: map[int]*url.URL{},
	}, nil
}

// Transport returns a copy of t for web seeds: one that keeps as many
// connections to a server open as are used, each for one request at a time,
// and takes bodies as they are.
func Transport(t *http.Transport) *http.Transport {
	t = t.Clone()
	t.ForceAttemptHTTP2 = false // All requests would share one connection and its windows.
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.MaxIdleConnsPerHost = connections
	t.DisableCompression = true
	return t
}

// Host returns the scheme and host of the seed's URL, which is all that may be
// shown of it.
func (s *Seed) Host() string { return s.host }

// After returns how long to wait before the next connection, after one that
// ended with err.
func (s *Seed) After(err error) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{}
	}
	switch e.kind {
	case rangeless:
		s.whole = true
		return 0
	case outdated:
		s.have = nil
		return 0
	case busy:
		s.atOnce = max(1, s.atOnce/2) // It may be that it takes fewer.
	case missing:
		s.lack(e)
		s.lost++
		switch {
		case s.have.Count() == 0:
		case s.lost < maxLost:
			return 0
		case s.gave:
			s.lost, s.gave = 0, false
			return firstWait
		}
		s.have = nil // Rather, the server has nothing for us now.
	}
	s.fails++
	return max(e.least, min(firstWait<<min(s.fails-1, 20), lastWait))
}

// came notes that a server gave what was asked of it. One without ranges gets no
// better by that: each connection to it reads its files from the start.
func (s *Seed) came() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gave = true
	if !s.whole {
		s.fails = 0
	}
}

// room returns how many requests may run at once: now, and when it is known that
// there are ranges.
func (s *Seed) room() (now, then int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.proven {
		return 1, s.atOnce
	}
	return s.atOnce, s.atOnce
}

// knowsNone says whether the server has shown that it knows no ranges.
func (s *Seed) knowsNone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole
}

// has returns the pieces that the server is believed to have, nil for all.
func (s *Seed) has() *bitfield.Bitfield {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.have == nil {
		return nil
	}
	return s.have.Clone()
}

// lacksPiece says whether the server does not have a file of a piece.
func (s *Seed) lacksPiece(piece int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have != nil && !s.have.Has(piece)
}

// lose notes that the server does not have a file.
func (s *Seed) lose(e *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lack(e)
}

// lack takes away the pieces of a file that the server does not have, which
// costs as much as there are of them. It holds s.mu.
func (s *Seed) lack(e *Error) {
	if s.have == nil {
		s.have = bitfield.Full(s.info.PieceCount())
	}
	s.gap = e
	f := &s.info.Files[e.file]
	for piece := f.Offset / s.info.PieceLength; piece*s.info.PieceLength < f.Offset+f.Length; piece++ {
		s.have.Clear(int(piece))
	}
}

// Gap says why the server is not asked for some of the files, nil if it is asked
// for all.
func (s *Seed) Gap() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.have == nil {
		return nil
	}
	return s.gap
}
