package main

import (
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/bench/rig"
)

// taken is a result of so many MB/s at so many CPU seconds a GiB.
func taken(rate, cpu float64) result {
	const bytes = 1 << 30
	return result{
		bytes: bytes, wall: time.Duration(bytes / 1e6 / rate * float64(time.Second)),
		Usage: rig.Usage{User: time.Duration(cpu * float64(time.Second)), Anonymous: 50 << 20},
	}
}

func TestBarsCompareWithinARound(t *testing.T) {
	r := round{ours: taken(900, 1.5), floor: taken(1000, 1.2), "fast": taken(500, 3), "thrifty": taken(300, 2)}
	for _, c := range []struct {
		bar   bar
		value float64
		met   bool
	}{
		{faster(1.5), 1.8, true},
		{faster(2), 1.8, false},
		{thriftier, 0.75, true},
		{sparing, 0.75, false},
		{nearFloor, 1.25, true},
		{lean, 50, true},
		{share("thrifty", "fast", 0.7), 0.6, false},
	} {
		value, ok := c.bar.value(r)
		if !ok || value < c.value-0.01 || value > c.value+0.01 || c.bar.met(value) != c.met {
			t.Errorf("%s: %.3f, %v, met: %v", c.bar.text, value, ok, c.bar.met(value))
		}
	}
	for _, b := range []bar{faster(1), thriftier, nearFloor, lean} {
		if _, ok := b.value(round{"fast": taken(500, 3)}); ok {
			t.Errorf("%s is judged without us", b.text)
		}
	}
}

func TestABarMayBeMissedInOneRoundOfMany(t *testing.T) {
	rep := &report{study: &study{bars: []bar{faster(1.5)}}}
	add := func(rates ...float64) {
		for _, rate := range rates {
			rep.rounds = append(rep.rounds, round{ours: taken(rate, 1), "rival": taken(100, 1)})
		}
	}
	add(200, 200, 200, 200, 200, 200, 120)
	if median, met, ok := rep.verdict(rep.bars[0]); !ok || met != 6 || median < 1.99 || rep.missed() {
		t.Errorf("one of seven missed: %d met, median %.2f, missed: %v", met, median, rep.missed())
	}
	rep.rounds = rep.rounds[:6]
	add(120, 120)
	if !rep.missed() {
		t.Error("three missed and the bar is met")
	}
	rep.rounds = nil
	add(200, 120)
	if !rep.missed() {
		t.Error("of few rounds, one may be missed")
	}
}

// A rival counts only if it does what it is known for, in the proportion of
// the floor now and then.
func TestARoundWithASlowRivalIsVoid(t *testing.T) {
	rep := &report{study: &study{}, turns: []turn{{who: floor}, {who: "rival", least: 400}}}
	for _, c := range []struct {
		floor, rival float64
		void         bool
	}{
		{knownFloor, 400, false}, {knownFloor, 361, false}, {knownFloor, 359, true},
		{knownFloor / 2, 181, false}, {knownFloor / 2, 179, true},
	} {
		if slow := rep.slow(round{floor: taken(c.floor, 1), "rival": taken(c.rival, 1)}); (slow != "") != c.void {
			t.Errorf("floor %v, rival %v: %q", c.floor, c.rival, slow)
		}
	}
	if slow := rep.slow(round{floor: taken(knownFloor, 1), "rival": taken(200, 1), "another": taken(401, 1)}); slow != "" {
		t.Errorf("void because of a rival that was not going to be the fastest: %q", slow)
	}
}

func TestATurnThatTheHostDisturbedIsTakenAgain(t *testing.T) {
	for _, c := range []struct {
		stolen []float64
		counts int
	}{
		{[]float64{maxStolen}, 1},
		{[]float64{0.5, 0.06, 0}, 3},
		{[]float64{1, 1, 1, 1, 1, 1}, tries},
	} {
		took := 0
		x, err := (&bench{log: io.Discard}).take(t.Context(), "case", turn{take: func(context.Context, *bench) (result, error) {
			x := taken(float64(took+1), 1)
			x.Stolen = c.stolen[took]
			took++
			return x, nil
		}})
		if err != nil || took != c.counts || math.Abs(x.rate()-float64(c.counts)) > 1e-6 {
			t.Errorf("%v: %d turns, the one of %.1f MB/s counts, %v", c.stolen, took, x.rate(), err)
		}
	}
}

func TestSectionsOfTheDocumentAreReplaced(t *testing.T) {
	name := filepath.Join(t.TempDir(), "doc.md")
	const before = "# A\n<!-- begin one -->\nold\n<!-- end one -->\nafter\n<!-- begin two -->\nkept\n<!-- end two -->\n"
	if err := os.WriteFile(name, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceSection(name, "one", "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if want := strings.Replace(before, "old", "new", 1); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if err := replaceSection(name, "three", "new\n"); err == nil || !strings.Contains(err.Error(), "begin three") {
		t.Errorf("a section that is not there: %v", err)
	}
}

func TestEveryCaseHasItsPlaceInTheDocument(t *testing.T) {
	b, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if !strings.Contains(string(b), "<!-- begin "+c.name+" -->\n") || !strings.Contains(string(b), "<!-- end "+c.name+" -->\n") {
			t.Errorf("docs/performance.md has no section for the case %s", c.name)
		}
	}
}

// What a turn leaves takes no space, and what it was lent stays whole.
func TestAFolderIsEmptiedButForWhatHasOtherNames(t *testing.T) {
	lent, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{filepath.Join(lent, "payload"), filepath.Join(dir, "made")} {
		if err := os.WriteFile(name, []byte("some bytes"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := alias(lent, dir); err != nil {
		t.Fatal(err)
	}
	if err := empty(dir); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(lent, "payload")); err != nil || string(b) != "some bytes" {
		t.Errorf("what was lent: %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "made")); err != nil || len(b) != 0 {
		t.Errorf("what was made: %q, %v", b, err)
	}
}
