package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// knownFloor is how many MB/s the floor program reached where the
	// rivals' known rates were measured.
	knownFloor = 1100
	// enough is the share of its known rate that a rival has to reach for a
	// round to count.
	enough = 0.9
)

// bar is something that must hold.
type bar struct {
	text  string                           // Such as "MB/s, at least 1.5 × the fastest rival".
	value func(r round) (float64, bool)    // What to judge in a round; false if somebody is missing.
	met   func(value float64) (holds bool) // Whether it is good enough.
}

func atLeast(x float64) func(float64) bool { return func(v float64) bool { return v >= x } }
func atMost(x float64) func(float64) bool  { return func(v float64) bool { return v <= x } }

// report is what a case has come to.
type report struct {
	*study
	turns   []turn
	rounds  []round
	void    int
	machine string
	at      time.Time
}

// slow says which rival was so far below what it is known for that the round
// says nothing, or "". A rival whose known rate is below what another one
// reached could not have decided anything.
func (rep *report) slow(r round) string {
	f, ok := r[floor]
	if !ok {
		return ""
	}
	fastest := 0.0
	for _, x := range r.rivals() {
		fastest = max(fastest, x.rate())
	}
	for _, t := range rep.turns {
		known := t.least * f.rate() / knownFloor
		if want := enough * known; known > fastest && r[t.who].rate() < want {
			return fmt.Sprintf("%s reached %.0f MB/s, and at least %.0f are expected where the floor reaches %.0f",
				t.who, r[t.who].rate(), want, f.rate())
		}
	}
	return ""
}

// verdict returns the median of what a bar is about, and in how many rounds
// it was met; false if it could not be judged.
func (rep *report) verdict(b bar) (median float64, met int, ok bool) {
	var values []float64
	for _, r := range rep.rounds {
		v, ok := b.value(r)
		if !ok {
			return 0, 0, false
		}
		values = append(values, v)
		if b.met(v) {
			met++
		}
	}
	return middle(values), met, true
}

// needed is in how many of n rounds a bar has to be met: all but one, and all
// if there are few.
func needed(n int) int {
	if n > 3 {
		return n - 1
	}
	return n
}

func (rep *report) missed() bool {
	for _, b := range rep.bars {
		if _, met, ok := rep.verdict(b); ok && met < needed(len(rep.rounds)) {
			return true
		}
	}
	return false
}

// median returns the middle of what a turn has come to in all rounds.
func (rep *report) median(who string, of func(result) float64) float64 {
	var values []float64
	for _, r := range rep.rounds {
		values = append(values, of(r[who]))
	}
	return middle(values)
}

func middle(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

// markdown returns the tables of a case.
func (rep *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", rep.about)
	what := "received"
	if rep.sent {
		what = "sent"
	}
	fmt.Fprintf(&b, "Medians of %d rounds, %s, %s.\n\n", len(rep.rounds), rep.at.UTC().Format("2 January 2006"), rep.machine)
	if rep.void > 0 {
		fmt.Fprintf(&b, "%d more were void, because a rival was far from what it can do.\n\n", rep.void)
	}
	fmt.Fprintf(&b, "| who | wall, s | MB/s | CPU s a GiB %s | user, s | system, s | anonymous, MiB | file-mapped, MiB | until durable, s | MB/s, ours = 1 | CPU, ours = 1 | CPU, floor = 1 |\n", what)
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, t := range rep.turns {
		rep.row(&b, t.who)
	}
	b.WriteString("\n")
	rep.verdicts(&b)
	for _, t := range rep.turns {
		if t.note != "" {
			fmt.Fprintf(&b, "- %s: %s\n", t.who, t.note)
		}
	}
	return b.String()
}

func (rep *report) row(b *strings.Builder, who string) {
	median := func(of func(result) float64) float64 { return rep.median(who, of) }
	relative := func(of func(result) float64, to string) string {
		var values []float64
		for _, r := range rep.rounds {
			base, ok := r[to]
			if !ok || of(base) == 0 {
				return ""
			}
			values = append(values, of(r[who])/of(base))
		}
		return fmt.Sprintf("%.2f", middle(values))
	}
	durable := ""
	if d := median(func(r result) float64 { return r.durable.Seconds() }); d > 0 {
		durable = fmt.Sprintf("%.2f", d)
	}
	fmt.Fprintf(b, "| %s | %.2f | %.0f | %.2f | %.2f | %.2f | %.0f | %.0f | %s | %s | %s | %s |\n", who,
		median(func(r result) float64 { return r.wall.Seconds() }),
		median(result.rate), median(result.cpu),
		median(func(r result) float64 { return r.User.Seconds() }),
		median(func(r result) float64 { return r.System.Seconds() }),
		median(func(r result) float64 { return float64(r.Anonymous >> 20) }),
		median(func(r result) float64 { return float64(r.File >> 20) }),
		durable, relative(result.rate, ours), relative(result.cpu, ours), relative(result.cpu, floor))
}

func (rep *report) verdicts(b *strings.Builder) {
	if len(rep.bars) == 0 {
		return
	}
	b.WriteString("| bar | median | rounds that meet it |  |\n|---|--:|--:|---|\n")
	for _, x := range rep.bars {
		median, met, ok := rep.verdict(x)
		if !ok {
			continue
		}
		word := "met"
		if met < needed(len(rep.rounds)) {
			word = "**missed**"
		}
		fmt.Fprintf(b, "| %s | %.2f | %d of %d | %s |\n", x.text, median, met, len(rep.rounds), word)
	}
	b.WriteString("\n")
}

// replaceSection replaces what stands in a document between the two comments
// that name a case.
func replaceSection(name, section, text string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	begin, end := fmt.Sprintf("<!-- begin %s -->\n", section), fmt.Sprintf("<!-- end %s -->\n", section)
	head, rest, ok1 := strings.Cut(string(b), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q to put the results between", name, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return os.WriteFile(name, []byte(head+begin+text+end+tail), 0o644)
}
