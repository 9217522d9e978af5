package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// sample is what the operator has cost so far.
type sample struct {
	at           time.Time
	cpu          time.Duration
	memory, peak int64              // Resident, in bytes.
	metrics      map[string]float64 // By name and labels, as they stand in a line.
	requests     map[string]float64 // To the API server, by verb and resource.
}

// sample asks the kernel, the API server and the operator.
func (w *world) sample(ctx context.Context) (*sample, error) {
	s := &sample{at: time.Now()}
	var err error
	if s.cpu, err = cpu(w.operator.PID()); err != nil {
		return nil, err
	}
	if s.memory, s.peak, err = memory(w.operator.PID()); err != nil {
		return nil, err
	}
	requests, err := audit(w.dir)
	if err != nil {
		return nil, err
	}
	s.requests = byKind(requests)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.metrics+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the operator for its metrics: %w", err)
	}
	defer response.Body.Close()
	s.metrics, err = parse(response.Body)
	return s, err
}

// parse reads metrics in the text format of Prometheus, a value a line.
func parse(r io.Reader) (map[string]float64, error) {
	out := map[string]float64{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("a metric that is not a number: %q", line)
		}
		out[line[:at]] = v
	}
	return out, lines.Err()
}

// label is the value of a label in the key of a metric.
func label(key, name string) string {
	_, rest, _ := strings.Cut(key, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// grown adds up by how much the metrics of a name with a label have grown, by
// the value of another label.
func grown(before, after *sample, name, with, by string) map[string]float64 {
	out := map[string]float64{}
	for key, v := range after.metrics {
		if strings.HasPrefix(key, name+"{") && strings.Contains(key, with) {
			out[label(key, by)] += v - before.metrics[key]
		}
	}
	return out
}

// quantile is an upper bound of what a share of the observations of a
// histogram does not exceed, between two samples; NaN if there were none.
func quantile(before, after *sample, name, with string, share float64) float64 {
	buckets := map[float64]float64{}
	for le, n := range grown(before, after, name+"_bucket", with, "le") {
		bound, err := strconv.ParseFloat(le, 64)
		if err == nil {
			buckets[bound] = n
		}
	}
	all := buckets[math.Inf(1)]
	if all == 0 {
		return math.NaN()
	}
	least := math.Inf(1)
	for bound, n := range buckets {
		if n >= share*all {
			least = min(least, bound)
		}
	}
	return least
}

// tick is the unit of CPU times in /proc (USER_HZ).
const tick = 10 * time.Millisecond

// cpu is the user and system time of a process (proc_pid_stat(5)).
func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ") // The name before may hold anything.
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("/proc/%d/stat holds no times", pid)
	}
	return time.Duration(user+system) * tick, nil
}

// memory is the resident memory of a process, now and at most, in bytes.
func memory(pid int) (now, peak int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64) // Other lines hold no number.
		switch key {
		case "VmRSS":
			now = n << 10
		case "VmHWM":
			peak = n << 10
		}
	}
	return now, peak, nil
}
