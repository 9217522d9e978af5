package lifecycle

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestPieceMapIsABitfieldUpTo8192Pieces(t *testing.T) {
	have := []byte{0b10100000, 0b01000000}
	text, encoding := pieceMap(have, 10)
	if back, err := base64.StdEncoding.DecodeString(text); err != nil || string(back) != string(have) || encoding != v1alpha1.PieceMapBitfield {
		t.Errorf("%q as %s: %v", text, encoding, err)
	}
	big := make([]byte, 1024)
	big[1023] = 1
	if text, encoding := pieceMap(big, 8192); len(text) != 1368 || encoding != v1alpha1.PieceMapBitfield {
		t.Errorf("8,192 pieces are %d bytes as %s", len(text), encoding)
	}
	if text, encoding := pieceMap(slices.Concat(big, []byte{0}), 8193); len(text) != 256 || encoding != v1alpha1.PieceMapBuckets {
		t.Errorf("8,193 pieces are %d bytes as %s", len(text), encoding)
	}
}

func TestPieceMapIsLeftOutAtNothingAndAtEverything(t *testing.T) {
	full := func(n int) []byte { return []byte(strings.Repeat("\xff", n)) }
	for name, c := range map[string]struct {
		have  []byte
		total int
	}{
		"nothing": {make([]byte, 2), 16}, "everything": {full(2), 16}, "everything, odd": {[]byte{0xff, 0xe0}, 11},
		"not resolved": {nil, 0}, "too short": {full(1), 9}, "too long": {full(3), 9},
		"nothing of many": {make([]byte, 2000), 16000}, "everything of many": {full(2000), 16000},
	} {
		if text, encoding := pieceMap(c.have, c.total); text != "" || encoding != "" {
			t.Errorf("%s: %q as %q", name, text, encoding)
		}
	}
}

// TestPieceMapBucketsAreHonest: 0 only if a stretch is empty, f only if it is
// complete, and never more than is there.
func TestPieceMapBucketsAreHonest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, total := range []int{8193, 10000, 100_003, 1_000_003} {
		have := make([]byte, (total+7)/8)
		counts := make([]int, buckets)
		bucket := func(i int) int { // The stretch in which piece i lies.
			b := min(i*buckets/total, buckets-1)
			for b > 0 && i < b*total/buckets {
				b--
			}
			for b < buckets-1 && i >= (b+1)*total/buckets {
				b++
			}
			return b
		}
		for i := range total {
			b := bucket(i)
			if p := b % 4; p == 1 && random.IntN(2) == 0 || p == 2 && i%17 != 0 || p == 3 {
				have[i/8] |= 0x80 >> (i % 8)
				counts[b]++
			}
		}
		text, _ := pieceMap(have, total)
		for b, digit := range []byte(text) {
			size := (b+1)*total/buckets - b*total/buckets
			value := strings.IndexByte("0123456789abcdef", digit)
			switch {
			case (value == 0) != (counts[b] == 0), (value == 15) != (counts[b] == size):
				t.Fatalf("%d pieces: bucket %d with %d of %d is %c", total, b, counts[b], size, digit)
			case value > 1 && value*size > counts[b]*15:
				t.Fatalf("%d pieces: bucket %d with %d of %d claims %c", total, b, counts[b], size, digit)
			}
		}
	}
}

func TestPercentNeverClaimsTooMuch(t *testing.T) {
	for _, c := range []struct {
		verified, total int64
		complete        bool
		want            int32
	}{
		{0, 100, false, 0}, {29, 100, false, 29}, {999, 1000, false, 99}, {1000, 1000, false, 99}, {1000, 1000, true, 100},
		{0, 0, false, 0}, {0, 0, true, 100}, {-5, 10, false, 0}, {20, 10, false, 99},
		{math.MaxInt64 / 2, math.MaxInt64, false, 49}, {math.MaxInt64, math.MaxInt64, false, 99},
	} {
		if got := percent(c.verified, c.total, c.complete); got != c.want {
			t.Errorf("%d of %d, complete %v: %d%%, want %d%%", c.verified, c.total, c.complete, got, c.want)
		}
	}
}

func TestRatesAreRoundedToTwoDigits(t *testing.T) {
	for in, want := range map[int64]int64{
		-3: 0, 0: 0, 7: 7, 99: 99, 104: 100, 105: 110, 995: 1000, 92_274_688: 92_000_000, 1: 1,
	} {
		if got := twoDigits(in); got != want {
			t.Errorf("%d becomes %d, want %d", in, got, want)
		}
	}
	if got := twoDigits(math.MaxInt64); got < 0 {
		t.Errorf("the largest rate becomes %d", got)
	}
}

func TestSummary(t *testing.T) {
	for want, p := range map[string]v1alpha1.Progress{
		"42% of 2.9GiB, 88MiB/s, 19s left":  {Percent: 42, BytesTotal: 3_113_851_290, DownloadBytesPerSecond: 92_000_000, ETASeconds: 19},
		"0% of 12B":                         {BytesTotal: 12},
		"100% of 982GiB, sending 3.0MiB/s":  {Percent: 100, BytesTotal: 982 << 30, UploadBytesPerSecond: 3 << 20},
		"7% of 1.0KiB, 9.8KiB/s, 3d4h left": {Percent: 7, BytesTotal: 1001, DownloadBytesPerSecond: 10000, ETASeconds: 3*86400 + 4*3600 + 59},
		"7% of 1.0TiB, 1B/s, 2h3m left":     {Percent: 7, BytesTotal: 1 << 40, DownloadBytesPerSecond: 1, UploadBytesPerSecond: 5, ETASeconds: 2*3600 + 3*60 + 9},
		"1% of 8.0EiB, 5m6s left":           {Percent: 1, BytesTotal: math.MaxInt64, ETASeconds: 306},
	} {
		if got := summary(&p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNumbersOfASnapshot(t *testing.T) {
	w := fresh(t)
	w.decide()
	p := snapshot(download.StateDownloading, 420)
	p.DownloadBytesPerSecond, p.UploadBytesPerSecond, p.BytesUploaded = 92_274_688, 1234, 77
	p.Pieces.InProgress, p.Peers, p.NodeName = 6, download.Peers{Connected: 5, Seeds: 2, Known: 40}, "node-1"
	w.sees(p).decide()
	st := w.td.Status
	same(t, *st.Progress, v1alpha1.Progress{
		Percent: 42, Summary: "42% of 1.0GiB, 88MiB/s, 6s left", BytesTotal: 1000 << 20, BytesVerified: 420 << 20, BytesUploaded: 77,
		DownloadBytesPerSecond: 92_000_000, UploadBytesPerSecond: 1200, ETASeconds: 6,
	})
	same(t, *st.Peers, v1alpha1.Peers{Connected: 5, Seeds: 2, Known: 40})
	if st.Pieces.Verified != 420 || st.Pieces.InProgress != 6 || st.Pieces.Total != 1000 || st.Pieces.Encoding != v1alpha1.PieceMapBitfield {
		t.Errorf("pieces %+v", st.Pieces)
	}
	if st.Name != "imagenet" || st.InfoHash.V1 != hash || st.Worker.NodeName != "node-1" || st.StartTime == nil ||
		st.Volume != (v1alpha1.VolumeStatus{ClaimName: "datasets", Path: "imagenet"}) {
		t.Errorf("status %+v", st)
	}
}

func TestUploadedBytesNeverGoBack(t *testing.T) {
	w := fresh(t).downloading()
	p := snapshot(download.StateDownloading, 420)
	p.BytesUploaded = 500
	w.sees(p).decide()
	w.sees(snapshot(download.StateDownloading, 421)).decide()
	if got := w.td.Status.Progress.BytesUploaded; got != 500 {
		t.Errorf("%d bytes", got)
	}
}

// TestStatusStaysWithin4KiB takes the longest of everything that is usual.
func TestStatusStaysWithin4KiB(t *testing.T) {
	w := fresh(t)
	w.td.Spec.Volume.ClaimName, w.td.Spec.Volume.Path = strings.Repeat("c", 63), strings.Repeat("p/", 50)
	w.decide()
	p := snapshot(download.StateStalled, 0)
	p.Name, p.NodeName = strings.Repeat("n", 255), strings.Repeat("h", 63)
	p.BytesTotal, p.BytesVerified, p.BytesUploaded = math.MaxInt64, math.MaxInt64/2, math.MaxInt64
	p.Pieces = download.Pieces{Length: 1 << 30, Total: 8192, Verified: 4000, InProgress: 999, Have: make([]byte, 1024)}
	p.Pieces.Have[5] = 1
	p.Err = &download.Failure{Reason: "CorruptPeers", Message: strings.Repeat("long words ", 1000)}
	w.sees(p).decide()
	w.td.Status.Progress.LastUpdateTime = &metav1.Time{Time: start}
	b, err := json.Marshal(w.td.Status)
	if err != nil || len(b) > 4096 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestRedactLeavesNoPasskeys(t *testing.T) {
	for in, want := range map[string]string{
		`Get "https://user:pass@t.example:8443/announce?passkey=s3cret&x=1": EOF`: `Get "https://t.example:8443/…": EOF`,
		"http://t.example/s3cret/announce said no":                                "http://t.example/… said no",
		"udp://t.example:80 is not supported":                                     "udp://t.example:80 is not supported",
		"https://t.example/ and HTTP://B/?k=s3cret.":                              "https://t.example/ and HTTP://B/…",
		"two\nlines\tand \x00 more":                                               "two lines and \x00 more",
		"nothing to hide":                                                         "nothing to hide",
		"bad \xff bytes":                                                          "bad � bytes",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := Redact(strings.Repeat("ä", 500)); len(got) > maxMessage || !strings.HasSuffix(got, "ä…") {
		t.Errorf("a long message becomes %d bytes", len(got))
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("https://h/", "key")
	f.Add("udp://u:p@h:1/?", "a=b")
	f.Fuzz(func(t *testing.T, before, secret string) {
		if len(secret) < 4 || strings.ContainsAny(secret, " \t\n\"'<>") || strings.Contains(before, secret) {
			t.Skip("not a secret within an address")
		}
		if got := Redact("see https://host.example/path/" + secret); strings.Contains(strings.TrimPrefix(got, "see https://host.example/"), secret) {
			t.Errorf("%q shows %q", got, secret)
		}
		if got := Redact(before + secret); len(got) > maxMessage {
			t.Errorf("%d bytes", len(got))
		}
	})
}

func TestSpreadIsSteadyAndSmall(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 100 {
		key := fmt.Sprint("uid-", i)
		d := Spread(key, 10*time.Second)
		if d < 10*time.Second || d > 11*time.Second || d != Spread(key, 10*time.Second) {
			t.Errorf("%s: %v", key, d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("100 keys have only %d times", len(seen))
	}
}

func TestMessagesOfFailuresAreSentences(t *testing.T) {
	for said, want := range map[string]string{
		"":                         "",
		"no space left; free some": "No space left; free some.",
		"No space left.":           "No space left.",
		"is it there?":             "Is it there?",
		"écrire: plus de place":    "Écrire: plus de place.",
		`"data/x" is not a file`:   `"data/x" is not a file.`,
	} {
		if got := sentence(said); got != want {
			t.Errorf("%q became %q, want %q", said, got, want)
		}
	}
}
