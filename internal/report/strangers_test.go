package report

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

func TestAnAddressMayGuessSoManyTokensAndNoMore(t *testing.T) {
	var s strangers
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	now := time.Unix(0, 0)
	for i := range maxGuesses {
		if s.refused(a, now) {
			t.Fatalf("it is refused after %d of %d", i, maxGuesses)
		}
		s.guessed(a, now)
	}
	if !s.refused(a, now) || !s.refused(a, now.Add(guessesFor-1)) {
		t.Error("it may go on guessing")
	}
	if s.refused(b, now) {
		t.Error("another address has to suffer for it")
	}
	if now = now.Add(guessesFor); s.refused(a, now) {
		t.Error("it is never heard again")
	}
	s.guessed(a, now)
	if s.refused(a, now) {
		t.Error("what was guessed before counts still")
	}
}

func TestStrangersAreRememberedWithinBounds(t *testing.T) {
	var s strangers
	now := time.Unix(0, 0)
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range maxStrangers + 10 {
		s.guessed(at(i), now)
		if want := min(i+1, maxStrangers); len(s.m) != want {
			t.Fatalf("after %d addresses %d are remembered, want %d", i+1, len(s.m), want)
		}
	}
	last := at(maxStrangers + 9)
	s.guessed(last, now)
	if len(s.m) != maxStrangers || s.m[last].n != 2 {
		t.Errorf("of %d, the one that is known has %d", len(s.m), s.m[last].n)
	}
	late := at(maxStrangers + 10)
	s.guessed(late, now.Add(guessesFor)) // It finds only those whose time is over.
	if len(s.m) != 1 || s.m[late].n != 1 {
		t.Errorf("%d are remembered, the new one with %d", len(s.m), s.m[late].n)
	}
}

// asked counts the tokens that are asked about.
type asked struct {
	*replica
	n int
}

func (a *asked) Authenticate(ctx context.Context, token string) (Caller, error) {
	a.n++
	return a.replica.Authenticate(ctx, token)
}

// Whoever makes tokens up is not asked about for long, and takes no other's
// turn.
func TestNobodyIsAskedAboutManyTokensOfAStranger(t *testing.T) {
	who := &asked{replica: &replica{}}
	who.leads.Store(true)
	s := &Server{Authenticator: who, Taker: who, Logger: slog.New(slog.DiscardHandler)}
	from := func(address, token string) int {
		r := httptest.NewRequest(http.MethodPost, Path, http.NoBody)
		r.RemoteAddr = address
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	for range maxGuesses {
		if code := from("10.0.0.1:1", "made up"); code != http.StatusUnauthorized {
			t.Fatalf("a token that is nobody's is answered %d", code)
		}
	}
	for _, address := range []string{"10.0.0.1:2", "[::ffff:10.0.0.1]:3"} {
		if code := from(address, "made up"); code != http.StatusTooManyRequests || who.n != maxGuesses {
			t.Errorf("%s: the next is answered %d, and %d were asked about", address, code, who.n)
		}
	}
	who.known = map[string]Caller{"known": pod}
	if code := from("10.0.0.1:4", "known"); code == http.StatusTooManyRequests || code == http.StatusUnauthorized || who.n != maxGuesses {
		t.Errorf("one that is known is answered %d, and %d were asked about", code, who.n)
	}
	if code := from("10.0.0.2:1", "made up"); code != http.StatusUnauthorized || who.n != maxGuesses+1 {
		t.Errorf("one of another address is answered %d, and %d were asked about", code, who.n)
	}
}
