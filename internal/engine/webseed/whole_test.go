package webseed

import (
	"net/http"
	"slices"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// without makes a server forget that there are ranges.
func without(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
		h.ServeHTTP(w, r)
	})
}

// rangeless returns a seed that has found out that its server knows no ranges.
func (p payload) rangeless(t *testing.T, url string) *Seed {
	s := p.seed(t, url)
	s.After(&Error{kind: rangeless})
	return s
}

func TestA200ToARangeMeansThatThereAreNone(t *testing.T) {
	p := newPayload(t, file{"", 200_000})
	var l journal
	s := p.seed(t, p.serve(t, func(h http.Handler) http.Handler { return l.through(without(h)) }).URL)
	w := newWorld(t, p)
	if err := w.get(s, p.blocks(1)); s.After(err) != 0 || len(l.requests) != 1 {
		t.Fatalf("it ended with %v after %q", err, l.ranges())
	}
	w.fails(s, passed, "knows no ranges")
	if len(w.said) != 4 || w.said[2].ID != wire.HaveNone {
		t.Errorf("it said %v", w.said)
	}
	want := []int64{0, 1 << 14, 2 << 14, 3 << 14, 4 << 14, 5 << 14, 6 << 14, 7 << 14, 8 << 14, 9 << 14, 10 << 14, 11 << 14, 12 << 14}
	if !slices.Equal(w.order, want) || len(l.requests) != 2 || w.most != 1 {
		t.Errorf("blocks at %v came after %q", w.order, l.ranges())
	}
}

func TestA200ToTheRangeOfAWholeFileIsFine(t *testing.T) {
	p := newPayload(t, file{"a", 30_000}, file{"b", 20_000}, file{"c", 70_000})
	s := p.seed(t, p.serve(t, without).URL)
	if err := newWorld(t, p).get(s, p.blocks()); err != nil {
		t.Fatal(err)
	}
}

// Only files of which something is wanted are read, each once, whatever lies in
// between, and what is behind the last wanted byte of one is not read.
func TestFilesAreReadOnceAndOnlyIfSomethingIsWanted(t *testing.T) {
	p := newPayload(t, file{"a", 100_000}, file{"b", 3 << 20}, file{"c", 300_000}, file{"d", 1 << 20})
	var l journal
	s := p.rangeless(t, p.serve(t, func(h http.Handler) http.Handler { return l.through(without(h)) }).URL)
	w := newWorld(t, p)
	wanted := map[int64]bool{1 << 14: true, 40 << 14: true, 100 << 14: true, 101 << 14: true, 230 << 14: true}
	for _, m := range p.blocks() {
		if off := w.offset(m.Index, m.Begin); !wanted[off] {
			w.there[off] = true
		}
	}
	w.fails(s, passed, "knows no ranges")
	if want := []string{"/content/a", "/content/b", "/content/d"}; !slices.Equal(l.ranges(), want) {
		t.Errorf("it asked for %q, want %q", l.ranges(), want)
	}
	if len(w.order) != p.piecesOf(1, 40, 100, 101, 230)*4 { // Those that are there are read past.
		t.Errorf("%d blocks came", len(w.order))
	}
}

// piecesOf counts the pieces in which some blocks are.
func (p payload) piecesOf(blocks ...int) int {
	pieces := map[int]bool{}
	for _, b := range blocks {
		pieces[b/4] = true
	}
	return len(pieces)
}

func TestFilesThatAreMissingAreDoneWithout(t *testing.T) {
	p := newPayload(t, file{"a", 100_000}, file{"b", 3 << 20}, file{"c", 300_000}, file{"d", 1 << 20})
	var l journal
	s := p.rangeless(t, p.serve(t, func(h http.Handler) http.Handler { return l.through(without(lacking("/b", "/d")(h))) }).URL)
	w := newWorld(t, p)
	w.fails(s, passed, "knows no ranges")
	if want := []string{"/content/a", "/content/b", "/content/c", "/content/d"}; !slices.Equal(l.ranges(), want) {
		t.Errorf("it asked for %q, want %q", l.ranges(), want)
	}
	if s.Gap() == nil {
		t.Error("nothing is said of the missing files")
	}
	for k := range p.info.PieceCount() {
		lost := false
		for span := range p.info.Spans(int64(k)*p.info.PieceLength, p.info.PieceSize(k)) {
			lost = lost || span.File == 1 || span.File == 3
		}
		if w.Wants(k) != lost {
			t.Errorf("piece %d: wanted is %v", k, w.Wants(k))
		}
	}
}

func TestAWholeFileThatBreaksOffIsNotReadAgainAtOnce(t *testing.T) {
	p := newPayload(t, file{"a", 1 << 20})
	var l journal
	s := p.rangeless(t, p.serve(t, func(h http.Handler) http.Handler { return l.through(without(breaking(500_000)(h))) }).URL)
	w := newWorld(t, p)
	for k := range 3 {
		if wait, least := s.After(w.failure(s, failed, "broke off after 500000 of 1048576 bytes")), firstWait<<k; wait < least {
			t.Errorf("it is read again after %v", wait)
		}
	}
	if len(l.requests) != 3 {
		t.Errorf("%d requests", len(l.requests))
	}
}

func TestAPassIsNotFollowedByAnotherAtOnce(t *testing.T) {
	p := newPayload(t, file{"a", 100_000})
	s := p.rangeless(t, p.serve(t, without).URL)
	w := newWorld(t, p)
	w.refuse = true // Memory is short, for example.
	if wait := s.After(w.failure(s, passed, "no ranges")); wait < passWait {
		t.Errorf("it is read again after %v", wait)
	}
}
