package report

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// texts are of those lengths and kinds that make JSON longer than itself.
func text(r *rand.Rand) string {
	kinds := []string{"a", "\x00", "\"", "é", "𝄞", "\xff", "<", "\u2028", "line\n"}
	return strings.Repeat(kinds[r.IntN(len(kinds))], r.IntN(3*MaxResult))
}

func TestEveryResultFitsAndIsRead(t *testing.T) {
	fits := func(seed uint64) bool {
		r := rand.New(rand.NewPCG(seed, 0))
		in := someResult()
		p := &in.Progress
		p.Name, p.NodeName, p.Address, p.Selection = text(r), text(r), text(r), text(r)
		p.Err.Message = text(r)
		p.BytesTotal, p.BytesVerified, p.BytesUploaded = 1<<62, r.Int64N(1<<62), r.Int64()
		p.Pieces = download.Pieces{Length: 1, Total: 1 << 23, Verified: r.IntN(1 << 23), Have: make([]byte, 1<<20)}
		p.CompletedAt = time.Unix(r.Int64(), 0)
		p.Trackers = make([]download.Tracker, 100)
		b := EncodeResult(in)
		out, err := DecodeResult(b)
		switch q := out.Progress; {
		case err != nil:
			t.Errorf("seed %d: %v", seed, err)
		case len(b) > MaxResult || !utf8.Valid(b):
			t.Errorf("seed %d: %d bytes", seed, len(b))
		case q.State != p.State || q.InfoHash != p.InfoHash || out.Revision != in.Revision || q.Err.Reason != p.Err.Reason:
			t.Errorf("seed %d: what it is was cut: %+v", seed, out)
		case q.BytesVerified != p.BytesVerified || q.BytesUploaded != p.BytesUploaded || q.Pieces.Verified != p.Pieces.Verified:
			t.Errorf("seed %d: the numbers are %+v", seed, q)
		case q.Trackers != nil || q.Pieces.Have != nil:
			t.Errorf("seed %d: it has lists", seed)
		}
		return !t.Failed()
	}
	if err := quick.Check(fits, nil); err != nil {
		t.Error(err)
	}
}

func TestAResultThatFitsIsWhole(t *testing.T) {
	in := someResult()
	in.Progress.Err.Message = ""
	room := MaxResult - len(EncodeResult(in))
	for _, n := range []int{room - 1, room, room + 1} {
		in.Progress.Err.Message = strings.Repeat("x", n)
		b := EncodeResult(in)
		got, err := DecodeResult(b)
		if err != nil {
			t.Fatal(err)
		}
		message := got.Progress.Err.Message
		if whole := message == in.Progress.Err.Message; whole != (n <= room) || len(b) > MaxResult {
			t.Errorf("a message of %d bytes, %d more than fit: %d bytes are left in a result of %d", n, n-room, len(message), len(b))
		}
		if n > room && !strings.HasSuffix(message, "…") {
			t.Errorf("a message that was cut does not say so: %q", message[len(message)-10:])
		}
	}
	if in.Progress.Err.Message != strings.Repeat("x", room+1) {
		t.Error("the caller's message was cut")
	}
}

// What is written in place is as long as the longest that was written before.
func TestSpacesAfterAResultAreNothing(t *testing.T) {
	want := someResult()
	b := EncodeResult(want)
	got, err := DecodeResult(append(b, strings.Repeat(" ", MaxResult+1-len(b))...))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTextsAreCutBetweenCharacters(t *testing.T) {
	for _, s := range []string{"", "a", "é", "aé𝄞é", "日本語"} {
		for n := range len(s) + 2 {
			got := shorten(s, n)
			kept := strings.TrimSuffix(got, ellipsis)
			if len(got) > n && len(s) > n || !utf8.ValidString(got) || !strings.HasPrefix(s, kept) || len(s) <= n && got != s {
				t.Errorf("%q cut to %d is %q", s, n, got)
			}
		}
	}
}
