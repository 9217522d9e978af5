package metrics

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/torrent-operator/torrent-operator/internal/version"
)

var rewrite = flag.Bool("rewrite", false, "write the table of docs/metrics.md again")

const (
	page  = "../../docs/metrics.md"
	begin = "<!-- generated from internal/metrics -->\n"
	end   = "<!-- end -->\n"
)

// table is the reference, from what a registry is told.
func table(t *testing.T) string {
	t.Helper()
	statuses := NewStatus()
	statuses.Writes.WithLabelValues("transition").Inc()
	statuses.Coalesced.WithLabelValues("interval").Inc()
	downloads := New(zero)
	downloads.Saw(object("a"), status("NoPeers", "Stalled"), nil)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(downloads, statuses, Build(version.Info{}))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	out.WriteString("| metric | kind | labels | what it says |\n|---|---|---|---|\n")
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	return out.String()
}

func TestEveryMetricIsDocumented(t *testing.T) {
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table, between %s and %s", page, begin, end)
	}
	want := table(t)
	if *rewrite {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s is out of date; go test ./internal/metrics -rewrite writes it (-want +is):\n%s", page, diff)
	}
}

// The reasons that metrics name are those that docs/conditions.md has, but for
// those that are states, or say nothing of hindrances.
func TestEveryReasonThatIsDocumentedIsTold(t *testing.T) {
	raw, err := os.ReadFile("../../docs/conditions.md")
	if err != nil {
		t.Fatal(err)
	}
	unhindered := append(slices.Clone(states), "Resolved", "SeedingDone", "NotSeeding", "Mounted")
	var want []string
	for _, m := range regexp.MustCompile("(?m)^\\| (`[A-Za-z]+`(?:, `[A-Za-z]+`)*) \\|").FindAllStringSubmatch(string(raw), -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			if name = strings.Trim(name, "`"); !slices.Contains(unhindered, name) {
				want = append(want, name)
			}
		}
	}
	got := slices.Sorted(slices.Values(hindrances))
	if slices.Sort(want); !slices.Equal(want, got) {
		t.Errorf("(-docs/conditions.md +hindrances):\n%s", cmp.Diff(want, got))
	}
}
