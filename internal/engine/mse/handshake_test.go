package mse

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// pair returns both ends of a TCP connection over loopback.
func pair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// Both sides agree on the called one's first choice of what is provided, and
// then each reads what the other one writes.
func TestBothSidesAgree(t *testing.T) {
	for name, c := range map[string]struct {
		provided, taken []Method
		want            Method
		early           int
	}{
		"both of them, in the clear first": {[]Method{RC4, Plain}, []Method{Plain, RC4}, Plain, 68},
		"both of them, encrypted first":    {[]Method{Plain, RC4}, []Method{RC4, Plain}, RC4, 68},
		"only encrypted, by the caller":    {[]Method{RC4}, []Method{Plain, RC4}, RC4, 0},
		"only encrypted, by the called":    {[]Method{Plain, RC4}, []Method{RC4}, RC4, 68},
		"only in the clear":                {[]Method{Plain}, []Method{RC4, Plain}, Plain, 0},
		"the longest beginning, encrypted": {[]Method{RC4}, []Method{RC4}, RC4, 1<<16 - 1},
		"the longest beginning":            {[]Method{Plain}, []Method{Plain}, Plain, 1<<16 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			first := bytes.Repeat([]byte("early"), 1<<14)[:c.early]
			done := make(chan error, 1)
			go func() {
				s, terms, err := Accept(b, nil, knows(Terms{here, c.taken}))
				if err == nil && (s.Method != c.want || terms.InfoHash != here) {
					t.Errorf("accepted %v of %q", s.Method, terms.InfoHash)
				}
				if err == nil {
					_, err = io.Copy(s.Over(b), io.LimitReader(s.Over(b), int64(c.early)+5)) // An echo.
				}
				b.Close()
				done <- err
			}()
			s, err := Initiate(a, Terms{here, c.provided}, first)
			if err != nil || s.Method != c.want {
				t.Fatalf("%+v, %v", s, err)
			}
			if s.Idle() != (c.want == Plain) {
				t.Error("who dialed has something to turn under Plain, or nothing under RC4")
			}
			if _, err := s.Over(a).Write([]byte("hello")); err != nil {
				t.Error(err)
			}
			if got := rest(t, s, a); got != string(first)+"hello" {
				t.Errorf("%d bytes came back, of %d", len(got), len(first)+5)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// What was read of a caller before it was known what it is is not lost.
func TestAcceptGoesOnWithWhatWasRead(t *testing.T) {
	for _, n := range []int{0, 1, 20, keyLen} {
		caller, _ := part{early: []byte("early"), pad: 7}.caller()
		head := append([]byte(nil), caller.Next(n)...)
		s, _, err := Accept(caller, head, knows(terms(RC4)))
		if err != nil || rest(t, s, caller) != "early" {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// Under Plain what a caller began with is encrypted, and what follows is not.
func TestOnlyTheBeginningIsEncryptedUnderPlain(t *testing.T) {
	caller, _ := part{early: []byte("early")}.caller()
	s, _, err := Accept(caller, nil, knows(terms(Plain)))
	if err != nil || s.Idle() {
		t.Fatalf("%v, idle %v", err, s.Idle())
	}
	caller.Buffer.WriteString("late")
	b := make([]byte, 3)
	if _, err := io.ReadFull(s.Over(caller), b); err != nil || string(b) != "ear" || s.Idle() {
		t.Errorf("%q, %v, idle %v", b, err, s.Idle())
	}
	if got := rest(t, s, caller); got != "lylate" || !s.Idle() {
		t.Errorf("%q, idle %v", got, s.Idle())
	}
}

// The specification lets each pad have up to 512 bytes.
func TestPadsHaveALimit(t *testing.T) {
	for _, c := range []struct {
		p    part
		want error
	}{
		{part{pad: 1}, nil},
		{part{pad: maxPad - 1}, nil},
		{part{pad: maxPad}, nil},
		{part{pad: maxPad + 1}, ErrSync},
		{part{second: 1}, nil},
		{part{second: maxPad}, nil},
		{part{second: maxPad + 1}, ErrPad},
		{part{second: 1<<16 - 1}, ErrPad},
	} {
		c.p.afterwards = []byte("and now")
		caller, _ := c.p.caller()
		s, _, err := Accept(caller, nil, knows(terms(RC4)))
		if !errors.Is(err, c.want) || err == nil && rest(t, s, caller) != "and now" {
			t.Errorf("called with pads of %d and %d: %v", c.p.pad, c.p.second, err)
		}
		called := c.p.called()
		s, err = Initiate(called, terms(RC4), nil)
		if !errors.Is(err, c.want) || err == nil && rest(t, s, called) != "and now" {
			t.Errorf("answered with pads of %d and %d: %v", c.p.pad, c.p.second, err)
		}
	}
	for range 2000 {
		if n := len(newPad()); n > maxPad {
			t.Fatalf("we send a pad of %d", n)
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	ones := func(b []byte) []byte { return bytes.Repeat([]byte{1}, len(b)) }
	for name, c := range map[string]struct {
		p    part
		want error
	}{
		"a caller for a torrent that is not here": {part{infoHash: other}, ErrTorrent},
		"one that provides nothing":               {part{noMethods: true}, ErrMethod},
		"one that provides what nobody knows":     {part{methods: 4}, ErrMethod},
		"one that provides what is not taken":     {part{methods: Plain}, ErrMethod},
		"one with another key":                    {part{what: ones}, ErrSync},
		"garbage":                                 {part{instead: bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 100)}, ErrSync},
		"as much garbage as there may be":         {part{instead: make([]byte, maxPad+20)}, ErrSync},
		"a little garbage":                        {part{instead: make([]byte, 30)}, io.ErrUnexpectedEOF},
		"one that hangs up":                       {part{instead: []byte{}}, io.EOF},
		"one that hangs up later":                 {part{what: func(b []byte) []byte { return b[:11] }}, io.ErrUnexpectedEOF},
	} {
		caller, _ := c.p.caller()
		if _, _, err := Accept(caller, nil, knows(terms(RC4))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if caller.writes != 1 {
			t.Errorf("%s is answered", name)
		}
	}
	for name, c := range map[string]struct {
		p    part
		want error
	}{
		"an answer for another torrent": {part{infoHash: other, afterwards: make([]byte, maxPad)}, ErrSync},
		"one that chooses nothing":      {part{noMethods: true}, ErrMethod},
		"one that chooses both":         {part{methods: Plain | RC4}, ErrMethod},
		"one that was not provided":     {part{methods: Plain}, ErrMethod},
		"what nobody knows":             {part{methods: 4}, ErrMethod},
		"garbage":                       {part{instead: []byte(strings.Repeat("BitTorrent protocol", 50))}, ErrSync},
		"one that hangs up":             {part{instead: []byte{}}, io.EOF},
	} {
		if _, err := Initiate(c.p.called(), terms(RC4), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Some keys make a secret that does not depend on ours.
func TestKeysThatAreNone(t *testing.T) {
	one := big.NewInt(1)
	below := new(big.Int).Sub(prime, one)
	for name, c := range map[string]struct {
		key *big.Int
		ok  bool
	}{
		"0":               {new(big.Int), false},
		"1":               {one, false},
		"2":               {big.NewInt(2), true},
		"prime - 2":       {new(big.Int).Sub(below, one), true},
		"prime - 1":       {below, false},
		"the prime":       {prime, false},
		"beyond":          {new(big.Int).Add(prime, one), false},
		"the largest one": {new(big.Int).Sub(new(big.Int).Lsh(one, 8*keyLen), one), false},
	} {
		key := c.key.FillBytes(make([]byte, keyLen))
		s := &script{}
		s.Buffer.Write(key)
		_, _, err := Accept(s, nil, knows(terms(RC4)))
		if errors.Is(err, ErrKey) == c.ok {
			t.Errorf("called with %s: %v", name, err)
		}
		s = &script{answer: func(int, []byte) []byte { return key }}
		if _, err := Initiate(s, terms(RC4), nil); errors.Is(err, ErrKey) == c.ok {
			t.Errorf("answered with %s: %v", name, err)
		}
	}
	if !prime.ProbablyPrime(20) || prime.BitLen() != 8*keyLen {
		t.Error("the prime is none")
	}
}

// Who makes us compute gets one processor at most.
func TestKeysAreComputedOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := computing
		defer func() { computing = before }()
		computing = make(chan struct{}, maxComputing)
		for range maxComputing {
			computing <- struct{}{}
		}
		done := false
		go func() { newSecret().public(); done = true }()
		synctest.Wait()
		if done {
			t.Error("a key was computed beside as many as may be")
		}
		<-computing
		synctest.Wait()
		if !done || len(computing) != maxComputing-1 {
			t.Error("there was room, and no key was computed, or the room was not given back")
		}
	})
}

func BenchmarkHandshake(b *testing.B) {
	for b.Loop() {
		caller, _ := part{}.caller()
		if _, _, err := Accept(caller, nil, knows(terms(RC4))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRC4(b *testing.B) {
	c := newCipher("keyA", nil, here)
	block := make([]byte, 16<<10)
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		c.XORKeyStream(block, block)
	}
}
