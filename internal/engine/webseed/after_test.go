package webseed

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func TestAFailingServerIsTriedLessAndLessOften(t *testing.T) {
	p := newPayload(t, file{"a", 100_000}, file{"b", 100_000})
	s := p.seed(t, "http://h/")
	fail := &Error{kind: failed}
	for k, want := range []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600} {
		if got := s.After(fail); got.Seconds() != want {
			t.Errorf("after failure %d: %v, want %v s", k+1, got, want)
		}
	}
	s.came()
	if got := s.After(fail); got != firstWait {
		t.Errorf("after it has worked: %v", got)
	}
	if got := s.After(context.Canceled); got != 2*firstWait {
		t.Errorf("after any other error: %v", got)
	}
	if got := s.After(&Error{kind: failed, least: time.Hour}); got != time.Hour {
		t.Errorf("as long as the server asks for: %v", got)
	}
	for range 100 {
		s.After(fail)
	}
	if got := s.After(fail); got != lastWait {
		t.Errorf("in the end: %v", got)
	}
}

func TestRetryAfterIsKeptToWithinBounds(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "7\t": 7 * time.Second, "-5": 0, "x": 0, "1.5": 0,
		"3599": time.Hour - time.Second, "3600": time.Hour, "3601": time.Hour, "99999999999999999999": 0, "9223372036854775807": time.Hour,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
		now.Add(24 * time.Hour).Format(http.TimeFormat): time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	p := newPayload(t, file{"a", 100_000})
	web := p.serve(t, answering(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "77")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	s := p.seed(t, web.URL)
	if got := s.After(newWorld(t, p).failure(s, busy, "503")); got != 77*time.Second {
		t.Errorf("after a busy answer: %v", got)
	}
}

// lacking is a server that does not have some files.
func lacking(names ...string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range names {
				if strings.HasSuffix(r.URL.Path, name) {
					w.WriteHeader(http.StatusNotFound)
					return
				}
			}
			h.ServeHTTP(w, r)
		})
	}
}

func TestTheNextConnectionDoesWithoutAFileThatIsMissing(t *testing.T) {
	p := newPayload(t, file{"a", 100_000}, file{"b", 100_000}, file{"c", 200_000})
	s := p.seed(t, p.serve(t, lacking("/b")).URL)
	w := newWorld(t, p)
	if wait := s.After(w.failure(s, missing, "404 Not Found for content/b")); wait != 0 {
		t.Fatalf("after a missing file it waits for %v", wait)
	}
	w.said, w.order = nil, nil
	if err := w.get(s, p.blocks(0, 4, 5, 6)); err != nil { // Of 65,536 bytes each; b is in 1, 2 and 3.
		t.Fatal(err)
	}
	has, err := bitfield.Parse(w.said[0].Payload, 7)
	if err != nil || w.said[0].ID != wire.Bitfield || has.Count() != 4 || has.Has(1) || has.Has(2) || has.Has(3) {
		t.Errorf("it says that it has %v (%v)", w.said[0], err)
	}
	if s.Gap() == nil || !strings.Contains(s.Gap().Error(), "404") {
		t.Errorf("the gap is %v", s.Gap())
	}
	if wait := s.After(&Error{kind: outdated}); wait != 0 || s.Gap() != nil || s.has() != nil {
		t.Errorf("when it is time to look again: %v, %v", wait, s.Gap())
	}
}

func TestAServerThatHasNothingIsLeftAlone(t *testing.T) {
	p := newPayload(t, file{"a", 100_000})
	s := p.seed(t, p.serve(t, lacking("/a")).URL)
	if wait := s.After(newWorld(t, p).failure(s, missing, "404")); wait != refusedWait {
		t.Errorf("it waits for %v", wait)
	}
	if s.has() != nil {
		t.Error("it is not looked for again")
	}
}

func TestMissingFilesInARowHaveAnEnd(t *testing.T) {
	s := manyFiles(t, 2*maxLost).seed(t, "http://h/")
	for k := range maxLost + 1 {
		wait := s.After(&Error{kind: missing, file: k, least: refusedWait})
		if k < maxLost-1 && wait != 0 || k >= maxLost-1 && wait != refusedWait {
			t.Errorf("after %d missing files it waits for %v", k+1, wait)
		}
	}
}

// A server that has some files and lacks others is not called again at once for
// ever, whatever it gives between two misses, and what it lacks stays known.
func TestMissingFilesAmongOthersArePaced(t *testing.T) {
	const files = 4 * maxLost
	s := manyFiles(t, files).seed(t, "http://h/")
	for k := range files - 1 {
		s.came()
		wait, want := s.After(&Error{kind: missing, file: k, least: refusedWait}), time.Duration(0)
		if (k+1)%maxLost == 0 {
			want = firstWait
		}
		if wait != want {
			t.Errorf("after %d missing files it waits for %v, not %v", k+1, wait, want)
		}
		if has := s.has(); has == nil || has.Count() != files-1-k || has.Has(k) || !has.Has(k+1) {
			t.Fatalf("after %d missing files it has %v", k+1, has)
		}
	}
	s.came()
	if wait := s.After(&Error{kind: missing, file: files - 1, least: refusedWait}); wait != refusedWait || s.has() != nil {
		t.Errorf("when nothing is left it waits for %v", wait)
	}
}

// manyFiles is a payload of n files of one piece each.
func manyFiles(t *testing.T, n int) payload {
	var files []file
	for k := range n {
		files = append(files, file{strings.Repeat("f", k+1), 64 << 10})
	}
	return newPayload(t, files...)
}

// What a connection has said that it has is its own, and what is known of pieces
// agrees with it, with files that share pieces or are in several.
func TestTheGapsOfFilesAreThoseOfTheirPieces(t *testing.T) {
	p := newPayload(t, file{"a", 100_000}, file{"b", 10}, file{"c", 300_000}, file{"d", 1}, file{"e", 60_000})
	s := p.seed(t, "http://h/")
	lost := map[int]bool{}
	for _, k := range []int{3, 1, 3, 4} {
		before, count := s.has(), 0
		if before != nil {
			count = before.Count()
		}
		s.lose(&Error{kind: missing, file: k})
		if before != nil && before.Count() != count {
			t.Error("what was said has changed")
		}
		lost[k] = true
		has := s.has()
		for piece := range p.info.PieceCount() {
			want := true
			for span := range p.info.Spans(int64(piece)*p.info.PieceLength, p.info.PieceSize(piece)) {
				want = want && !lost[span.File]
			}
			if has.Has(piece) != want || s.lacksPiece(piece) == want {
				t.Errorf("without %v: piece %d: has %v, lacks %v", lost, piece, has.Has(piece), s.lacksPiece(piece))
			}
		}
	}
}

func TestAConnectionThatIsClosedSaysWhy(t *testing.T) {
	p := newPayload(t, file{"a", 100_000})
	w := newWorld(t, p)
	_, stop := w.run(p.seed(t, "http://h/"))
	var closed *ClosedError
	stop()
	if err := w.ended; !errors.As(err, &closed) || closed.Reason != "test" {
		t.Errorf("it ended with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.seed(t, "http://h/").Connect(w).Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}
