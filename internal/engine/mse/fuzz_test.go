package mse

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// counted counts what is read.
type counted struct {
	io.ReadWriter
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadWriter.Read(p)
	c.n += n
	return n, err
}

// FuzzAccept takes callers that say anything: from the beginning, or encrypted.
func FuzzAccept(f *testing.F) {
	f.Add([]byte("\x13BitTorrent protocol"), false)
	f.Add(bytes.Repeat([]byte{0xff}, 200), false)
	f.Add(append(make([]byte, keyLen-1), bytes.Repeat([]byte{2}, 800)...), false)
	f.Add(part{}.fixed(RC4), true)
	f.Add(append(part{second: maxPad}.fixed(Plain|RC4), 0, 3, 'a', 'b', 'c'), true)
	f.Add(append(part{}.fixed(Plain), 0xff, 0xff), true)
	f.Fuzz(func(t *testing.T, said []byte, encrypted bool) {
		var peer *script
		if encrypted {
			peer, _ = part{what: func([]byte) []byte { return said }}.caller()
		} else {
			peer = &script{}
			peer.Buffer.Write(said)
		}
		c := &counted{ReadWriter: peer}
		s, _, err := Accept(c, nil, knows(terms(Plain, RC4)))
		if most := keyLen + maxPad + 20 + 20 + fixedLen + maxPad + 2; c.n > most {
			t.Errorf("%d bytes were read, %d may be", c.n, most)
		}
		if err != nil {
			return
		}
		if s.Method != Plain && s.Method != RC4 {
			t.Errorf("agreed on %d", s.Method)
		}
		if _, err := io.ReadAll(s.Over(c)); err != nil {
			t.Error(err)
		}
	})
}

// FuzzInitiate is answered with anything, in the clear or encrypted.
func FuzzInitiate(f *testing.F) {
	f.Add([]byte("\x13BitTorrent protocol"), false)
	f.Add(bytes.Repeat([]byte{2}, 1000), false)
	f.Add(part{}.fixed(RC4), true)
	f.Add(part{second: maxPad + 1}.fixed(Plain), true)
	f.Fuzz(func(t *testing.T, said []byte, encrypted bool) {
		peer := &script{answer: func(n int, _ []byte) []byte { return said[len(said)*n/2 : len(said)*(n+1)/2] }}
		if encrypted {
			peer = part{what: func([]byte) []byte { return said }}.called()
		}
		c := &counted{ReadWriter: io.ReadWriter(limitedWrites{peer})}
		s, err := Initiate(c, terms(RC4), []byte("first"))
		if most := keyLen + maxPad + fixedLen + maxPad; c.n > most {
			t.Errorf("%d bytes were read, %d may be", c.n, most)
		}
		if err == nil && s.Method != RC4 {
			t.Errorf("agreed on %d", s.Method)
		}
	})
}

// limitedWrites has a script answer the two writes of who dials alone.
type limitedWrites struct{ *script }

func (l limitedWrites) Write(p []byte) (int, error) {
	if l.writes > 1 {
		return len(p), nil
	}
	return l.script.Write(p)
}

// FuzzFind holds what is found against a search in all of it.
func FuzzFind(f *testing.F) {
	f.Add([]byte("aaab"), uint16(0))
	f.Add([]byte("abcabcabd"), uint16(maxPad))
	f.Add([]byte("abababac"), uint16(maxPad+1))
	f.Add(make([]byte, 20), uint16(3))
	f.Fuzz(func(t *testing.T, mark []byte, pad uint16) {
		if len(mark) == 0 || len(mark) > 20 {
			return
		}
		all := append(bytes.Repeat(mark[:1], int(pad)), mark...)
		all = append(all, "and more"...)
		r := bytes.NewReader(all)
		err := find(r, mark)
		at := bytes.Index(all, mark)
		switch {
		case at <= maxPad:
			if read := len(all) - r.Len(); err != nil || read != at+len(mark) {
				t.Errorf("%q at %d: %d bytes were read, %v", mark, at, read, err)
			}
		case !errors.Is(err, ErrSync):
			t.Errorf("%q at %d: %v", mark, at, err)
		}
	})
}
