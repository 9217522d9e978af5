package termui

import (
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

var ansi = regexp.MustCompile("\x1b\\[[0-9]*m")

func TestBytesAreIECWithThreeDigitsAndRoundDown(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0B", 1: "1B", 1023: "1023B", 1024: "1.0KiB", 1536: "1.5KiB", 1<<20 - 1: "1023KiB", 1 << 20: "1.0MiB",
		3113851290: "2.9GiB", 100 << 20: "100MiB", 100<<20 - 1: "99.9MiB", 1 << 40: "1.0TiB", math.MaxInt64: "7.9EiB",
		-2048: "-2.0KiB", math.MinInt64: "-7.9EiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	if got := Rate(88 << 20); got != "88.0MiB/s" {
		t.Errorf("Rate = %q", got)
	}
}

func TestPercentIsHundredOnlyWhenComplete(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        int
	}{
		{0, 10, 0}, {-5, 10, 0}, {1, 1000, 0}, {10, 1000, 1}, {999, 1000, 99}, {1000, 1000, 100}, {0, 0, 100},
		{math.MaxInt64 - 1, math.MaxInt64, 99},
	} {
		if got := Percent(c.done, c.total); got != c.want {
			t.Errorf("Percent(%d, %d) = %d, want %d", c.done, c.total, got, c.want)
		}
	}
}

func TestDurationsShowTheirTwoLargestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Millisecond: "1s", 19 * time.Second: "19s", 59*time.Second + 1: "1m00s", 125 * time.Second: "2m05s",
		3*time.Hour + 12*time.Minute: "3h12m", 99 * time.Hour: "4d03h", 2000 * 24 * time.Hour: "over 1000d", Unknown: "unknown",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestETAIsUnknownWhenNothingMoves(t *testing.T) {
	for _, c := range []struct {
		left, rate int64
		want       time.Duration
	}{
		{0, 0, 0}, {10, 0, Unknown}, {10, -1, Unknown}, {100, 10, 10 * time.Second}, {1, 2, time.Second / 2},
		{math.MaxInt64, 1, Unknown},
	} {
		if got := ETA(c.left, c.rate); got != c.want {
			t.Errorf("ETA(%d, %d) = %v, want %v", c.left, c.rate, got, c.want)
		}
	}
}

func TestBarFillsByEighthsAndIsFullOnlyAtTheEnd(t *testing.T) {
	for _, c := range []struct {
		style       Style
		w           int
		done, total int64
		want        string
	}{
		{Style{}, 4, 0, 100, "    "},
		{Style{}, 4, 50, 100, "██  "},
		{Style{}, 4, 99, 100, "███▉"},
		{Style{}, 4, 100, 100, "████"},
		{Style{}, 1, 1 << 60, 1<<60 + 1, "▉"},
		{Style{}, 0, 1, 2, ""},
		{Style{ASCII: true}, 4, 99, 100, "###."},
		{Style{ASCII: true}, 4, 100, 100, "####"},
		{Style{}, 4, -3, 100, "    "},
		{Style{Color: true}, 2, 1, 2, yellow + "█ " + reset},
		{Style{Color: true}, 2, 2, 2, green + "██" + reset},
	} {
		if got := Bar(c.style, c.w, c.done, c.total); got != c.want {
			t.Errorf("Bar(%+v, %d, %d, %d) = %q, want %q", c.style, c.w, c.done, c.total, got, c.want)
		}
	}
}

func TestBarTakesExactlyItsWidth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		w, total := r.IntN(120), r.Int64N(1<<50)+1
		style := Style{Color: r.IntN(2) == 0, ASCII: r.IntN(2) == 0}
		got := ansi.ReplaceAllString(Bar(style, w, r.Int64N(total+1), total), "")
		if Columns(got) != w {
			t.Fatalf("%q is %d columns wide, not %d", got, Columns(got), w)
		}
	}
}

func TestLineDropsTheLeastImportantFigures(t *testing.T) {
	tr := Transfer{State: "Downloading", Done: 42 << 20, Total: 100 << 20, Down: 2 << 20, Up: 1 << 20, ETA: 29 * time.Second,
		Peers: 8, Seeds: 3, Pieces: 100, Pieced: 42}
	for w, want := range map[int]string{
		200: "Downloading  42%  42.0MiB of 100MiB  down 2.0MiB/s  up 1.0MiB/s  29s left  8 peers (3 seeds)  42/100 pieces",
		100: "Downloading  42%  42.0MiB of 100MiB  down 2.0MiB/s  up 1.0MiB/s  29s left  8 peers (3 seeds)",
		70:  "Downloading  42%  42.0MiB of 100MiB  down 2.0MiB/s  29s left",
		45:  "Downloading  42%  down 2.0MiB/s  29s left",
		20:  "42%  down 2.0MiB/s",
		3:   "42%",
		2:   "",
	} {
		if got := Line(Style{}, w, tr); got != want {
			t.Errorf("Line at %d = %q, want %q", w, got, want)
		}
	}
	for w := range 150 {
		if got := Line(Style{}, w, tr); Columns(got) > w {
			t.Errorf("Line at %d has %d columns", w, Columns(got))
		}
	}
}

func TestLineOfAnUnknownSizeIsTheState(t *testing.T) {
	if got := Line(Style{}, 80, Transfer{State: "Resolving"}); got != "Resolving" {
		t.Errorf("got %q", got)
	}
	if got := Line(Style{}, 80, Transfer{State: "Seeding", Done: 1, Total: 1, Peers: 2}); got != "Seeding  100%  1B of 1B  2 peers (0 seeds)  0/0 pieces" {
		t.Errorf("a complete transfer has nothing to download: %q", got)
	}
	if got := Line(Style{}, 80, Transfer{State: "Stalled", Total: 1, ETA: Unknown}); !strings.Contains(got, "time left unknown") {
		t.Errorf("got %q", got)
	}
}

func TestFitKeepsToColumnsAndLetsNoControlCharactersThrough(t *testing.T) {
	for _, c := range []struct {
		in    string
		ascii bool
		w     int
		want  string
	}{
		{"short", false, 10, "short"},
		{"longer than that", false, 6, "longe…"},
		{"longer than that", true, 6, "longe~"},
		{"日本語", false, 6, "日本語"},
		{"日本語", false, 5, "日本…"},
		{"日本語", false, 4, "日…"},
		{"日本語", true, 9, "???"},
		{"e\u0301te\u0301", false, 3, "e\u0301te\u0301"},
		{"a\x1b[31mred\x07", false, 40, "a?[31mred?"},
		{"tes\u202etxt.exe", false, 40, "tes?txt.exe"},
		{"bad\xff", false, 40, "bad?"},
		{"x", false, 0, ""},
		{"xy", false, -1, ""},
	} {
		if got := Fit(Style{ASCII: c.ascii}, c.in, c.w); got != c.want {
			t.Errorf("Fit(%q, %d) = %q, want %q", c.in, c.w, got, c.want)
		}
	}
}

func TestStripShowsMissingBusyPartAndComplete(t *testing.T) {
	have, busy := []byte{0b11110100}, []byte{0b00000010}
	if got := Strip(Style{}, Fold(8, have, busy, 8)); got != "████·█░·" {
		t.Errorf("a piece a cell: %q", got)
	}
	if got := Strip(Style{}, Fold(8, have, busy, 4)); got != "██▄░" {
		t.Errorf("two pieces a cell: %q", got)
	}
	if got := Strip(Style{ASCII: true}, Fold(8, have, busy, 4)); got != "##=-" {
		t.Errorf("ASCII: %q", got)
	}
	if got := Strip(Style{}, Fold(2, []byte{0b10000000}, nil, 6)); got != "███···" {
		t.Errorf("several cells a piece: %q", got)
	}
	if got := Strip(Style{Color: true}, Fold(2, []byte{0b10000000}, nil, 2)); got != green+"█"+reset+dim+"·"+reset {
		t.Errorf("in colour: %q", got)
	}
	if got := Strip(Style{}, Fold(0, nil, nil, 10)); got != "" {
		t.Errorf("no pieces: %q", got)
	}
	if got := Strip(Style{}, Fold(100, []byte{0xff}, nil, 4)); got != "▃···" {
		t.Errorf("a short bitfield: %q", got)
	}
}

// A full cell needs every piece that it touches, an empty one none.
func TestStripNeverShowsMoreThanIsTrue(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		n, w := r.IntN(5000)+1, r.IntN(200)+1
		have := make([]byte, (n+7)/8)
		density := r.IntN(101)
		for i := range n {
			if r.IntN(100) < density {
				have[i/8] |= 0x80 >> (i % 8)
			}
		}
		strip := []rune(Strip(Style{}, Fold(n, have, nil, w)))
		if len(strip) != w {
			t.Fatalf("%d cells, want %d", len(strip), w)
		}
		for i := range n {
			has := have[i/8]&(0x80>>(i%8)) != 0
			for c := i * w / n; c <= min(w-1, ((i+1)*w-1)/n); c++ {
				if !has && strip[c] == '█' {
					t.Fatalf("n=%d w=%d: cell %d is full without piece %d", n, w, c, i)
				}
				if has && strip[c] == '·' {
					t.Fatalf("n=%d w=%d: cell %d is empty despite piece %d", n, w, c, i)
				}
			}
		}
	}
}

func TestFoldOfMillionsOfPiecesCountsEachOnce(t *testing.T) {
	const n = 4_018_567
	have := make([]byte, (n+7)/8)
	for i := range have {
		have[i] = 0xff
	}
	have[1000] = 0
	missing := 0
	for _, c := range Fold(n, have, nil, 256) {
		if missing += c.Total - c.Have; c.Total < n/256 {
			t.Fatalf("a cell of %d pieces", c.Total)
		}
	}
	if missing != 8 {
		t.Errorf("%d pieces are missing, want 8", missing)
	}
}
