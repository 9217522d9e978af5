package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The bars. Nothing here has to be changed to make a run pass.
const (
	mostMemory     = 400 << 20 // Bytes, resident, at any time.
	mostCPU        = 1.0       // Processors, on average.
	mostReconcile  = 5.0       // Seconds, of 99 in a hundred reconciliations.
	mostTransition = 5 * time.Second
	mostWrites     = 50.0 // Status writes a second: the budget of --status-write-qps.
)

// figures are what a run has come to.
type figures struct {
	settings
	start         time.Duration // Until the downloads ran.
	before, after *sample
	times         map[transition][]time.Duration
	late          []string // What has not been seen at the end, and long should have been.
	disturbed     int      // Requests about downloads at rest.
}

// row is a line of the table, with a bar or without.
type row struct {
	what, value, bar string
	missed           bool
}

func (f *figures) seconds() float64 { return f.after.at.Sub(f.before.at).Seconds() }

// held is a row with a bar.
func held(what, format string, value, most float64) row {
	return row{what, fmt.Sprintf(format, value), fmt.Sprintf("at most "+format, most), !(value <= most)} // NaN is a miss.
}

const reconciling = `controller="torrentdownload"`

func (f *figures) rows() []row {
	seconds := f.seconds()
	writes := sum(grown(f.before, f.after, "torrent_operator_status_writes_total", "", "kind"))
	reconciled := sum(grown(f.before, f.after, "controller_runtime_reconcile_total", reconciling, "result"))
	all := []time.Duration{}
	for _, t := range f.times {
		all = append(all, t...)
	}
	out := []row{
		held("resident memory at its peak, MiB", "%.0f", float64(f.after.peak)/(1<<20), mostMemory>>20),
		{what: "resident memory at the end, MiB", value: fmt.Sprintf("%.0f", float64(f.after.memory)/(1<<20))},
		held("processors used", "%.2f", (f.after.cpu-f.before.cpu).Seconds()/seconds, mostCPU),
		held("a change is seen in the status, 99th percentile, s", "%.2f", percentile(all, 0.99).Seconds(), mostTransition.Seconds()),
	}
	for _, t := range transitions {
		took := f.times[t]
		out = append(out, row{
			what:  fmt.Sprintf("… %s: %d times, median and 99th percentile, s", t, len(took)),
			value: fmt.Sprintf("%.2f, %.2f", percentile(took, 0.5).Seconds(), percentile(took, 0.99).Seconds()),
		})
	}
	out = append(out,
		held("a reconciliation, 99th percentile, s", "%.3f", quantile(f.before, f.after, "controller_runtime_reconcile_time_seconds", reconciling, 0.99), mostReconcile),
		row{what: "reconciliations a second", value: fmt.Sprintf("%.1f", reconciled/seconds)},
		held("status writes a second", "%.1f", writes/seconds, mostWrites),
		held("requests about downloads at rest, since the start", "%.0f", float64(f.disturbed), 0),
		row{what: "from the start of the operator until all downloads ran, s", value: fmt.Sprintf("%.0f", f.start.Seconds())},
	)
	requests := map[string]float64{}
	for what, n := range f.after.requests {
		requests[what] = (n - f.before.requests[what]) / seconds
	}
	out = append(out, row{what: "API requests a second", value: fmt.Sprintf("%.1f", sum(requests))})
	for _, what := range slices.SortedFunc(maps.Keys(requests), func(a, b string) int { return cmp.Compare(requests[b], requests[a]) }) {
		if requests[what] > 0 {
			out = append(out, row{what: "… " + what, value: fmt.Sprintf("%.2f", requests[what])})
		}
	}
	return out
}

func sum(of map[string]float64) (all float64) {
	for _, v := range of {
		all += v
	}
	return all
}

// met says that no bar was missed.
func (f *figures) met() bool {
	return !slices.ContainsFunc(f.rows(), func(r row) bool { return r.missed })
}

// table is all of it in Markdown.
func (f *figures) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d TorrentDownloads, of which %d run at any time; measured for %.0f seconds on %s, %d processors of which the API server, etcd and the workers have their share, %s.\n\n",
		f.objects, f.active, f.seconds(), time.Now().UTC().Format("2 January 2006"), runtime.NumCPU(), runtime.Version())
	b.WriteString("| | measured | bar | |\n|---|--:|--:|---|\n")
	for _, r := range f.rows() {
		word := ""
		if r.bar != "" {
			word = "met"
		}
		if r.missed {
			word = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.what, r.value, r.bar, word)
	}
	return b.String()
}

// replace puts text between the two comments of a document.
func replace(name, text string) error {
	const begin, end = "<!-- begin figures -->\n", "<!-- end figures -->\n"
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, rest, ok1 := strings.Cut(string(b), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q to put the figures between", name, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return os.WriteFile(name, []byte(head+begin+text+end+tail), 0o644)
}
