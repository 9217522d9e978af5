package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

const (
	// fewPieces and manyPieces are the torrents whose picks are compared.
	fewPieces, manyPieces = 1_000, 1_000_000
	// dearest is how much more a pick may cost with many pieces.
	dearest = 3.0
)

// pickLine is a line of BenchmarkPick's output.
var pickLine = regexp.MustCompile(`^BenchmarkPick/have=(\d+)%/pieces=(\d+)\S*\s+\d+\s+([\d.]+) ns/op`)

// picks runs the Go benchmark of the picker, once a round, and compares what
// a block costs with few pieces and with many.
func picks(ctx context.Context, b *bench) (text string, missed bool, err error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkPick$", "-count", strconv.Itoa(b.rounds), "-timeout", "30m",
		"github.com/torrent-operator/torrent-operator/internal/engine/swarm/picker")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", false, fmt.Errorf("running the picker's benchmark: %w", err)
	}
	costs := map[[2]int][]float64{} // By the share that peers have, in percent, and the number of pieces.
	for line := range strings.Lines(string(out)) {
		if m := pickLine.FindStringSubmatch(line); m != nil {
			have, _ := strconv.Atoi(m[1])
			pieces, _ := strconv.Atoi(m[2])
			ns, _ := strconv.ParseFloat(m[3], 64)
			costs[[2]int{have, pieces}] = append(costs[[2]int{have, pieces}], ns)
		}
	}
	if len(costs) == 0 {
		return "", false, errors.New("the picker's benchmark printed nothing that can be read")
	}
	var t strings.Builder
	fmt.Fprintf(&t, "200 peers, each with a random part of the pieces; what one block costs the picker, from being asked for to its share of its piece's verification. Medians of %d runs on %s.\n\n", b.rounds, b.machine)
	t.WriteString("| peers have | 1,000 pieces, ns | 1,000,000 pieces, ns | ratio, at most 3 | rounds that meet it |  |\n|--:|--:|--:|--:|--:|---|\n")
	for _, have := range []int{1, 50, 99} {
		few, many := costs[[2]int{have, fewPieces}], costs[[2]int{have, manyPieces}]
		var ratios []float64
		for i := range min(len(few), len(many)) {
			ratios = append(ratios, many[i]/few[i])
		}
		met := 0
		for _, x := range ratios {
			if x <= dearest {
				met++
			}
		}
		word := "met"
		if met < needed(len(ratios)) {
			word, missed = "**missed**", true
		}
		fmt.Fprintf(&t, "| %d%% | %.0f | %.0f | %.2f | %d of %d | %s |\n", have, middle(few), middle(many), middle(ratios), met, len(ratios), word)
	}
	return t.String(), missed, nil
}
