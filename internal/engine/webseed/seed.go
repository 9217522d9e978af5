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
	proven bool             // The server has answered with a range.
	atOnce int              // How many requests it takes at once, as far as is known.
	whole  bool             // The server knows no ranges.
	gaps   map[int]bool     // Files that it does not have,
	gap    *Error           // and what it said of the last of them.
	moved  map[int]*url.URL // Where it said that files are.
	fails  int              // In a row.
	lost   int              // Files that were missing, in a row.
}

// New makes a seed. The error says what is wrong with the URL, without it.
func New(cfg Config) (*Seed, error) {
	base, err := parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL of a web seed %w", err)
	}
	return &Seed{
		base: base, host: hostOf(base), info: cfg.Info, client: cfg.Transport, down: cfg.Down,
		atOnce: connections, gaps: map[int]bool{}, moved: map[int]*url.URL{},
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
		clear(s.gaps)
		return 0
	case busy:
		s.atOnce = max(1, s.atOnce/2) // It may be that it takes fewer.
	case missing:
		s.gaps[e.file], s.gap = true, e
		if s.lost++; s.lost < maxLost && s.available().Count() > 0 {
			return 0
		}
		clear(s.gaps) // Rather, the server has nothing for us now.
	}
	s.fails++
	return max(e.least, min(firstWait<<min(s.fails-1, 20), lastWait))
}

// came notes that a server gave what was asked of it. One without ranges gets no
// better by that: each connection to it reads its files from the start.
func (s *Seed) came() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = 0
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
	if len(s.gaps) == 0 {
		return nil
	}
	return s.available()
}

// available returns the pieces of which no file is missing. It holds s.mu.
func (s *Seed) available() *bitfield.Bitfield {
	has := bitfield.Full(s.info.PieceCount())
	for file := range s.gaps {
		f := &s.info.Files[file]
		for piece := f.Offset / s.info.PieceLength; piece*s.info.PieceLength < f.Offset+f.Length; piece++ {
			has.Clear(int(piece))
		}
	}
	return has
}

// lacksPiece says whether the server does not have a file of a piece.
func (s *Seed) lacksPiece(piece int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.gaps) == 0 {
		return false
	}
	for span := range s.info.Spans(int64(piece)*s.info.PieceLength, s.info.PieceSize(piece)) {
		if s.gaps[span.File] {
			return true
		}
	}
	return false
}

// lose notes that the server does not have a file.
func (s *Seed) lose(e *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gaps[e.file], s.gap = true, e
}

// Gap says why the server is not asked for some of the files, nil if it is asked
// for all.
func (s *Seed) Gap() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.gaps) == 0 {
		return nil
	}
	return s.gap
}
