package rig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// sampleInterval is how often a process's memory is looked at.
	sampleInterval = 20 * time.Millisecond
	// stopWait is how long a process may take to end after SIGTERM.
	stopWait = 20 * time.Second
	// tailLines is how much of a process's output is kept to explain a failure.
	tailLines = 20
)

// tick is the unit of CPU times in /proc (USER_HZ).
const tick = 10 * time.Millisecond

// Usage is what a process has cost since it began. Memory is the most that
// there was at one time, in bytes.
type Usage struct {
	User, System    time.Duration
	Anonymous, File int64 // RssAnon and RssFile (with RssShmem).
	// Stolen is which share of all processors' time the host of this virtual
	// machine kept for itself meanwhile, 0 to 1.
	Stolen float64
}

// CPU is user and system time together.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// Mark is a line that a process wrote, when it came, and what the process had
// cost by then.
type Mark struct {
	Line string
	At   time.Time
	Usage
}

// Process is a running program that is watched.
type Process struct {
	name  string
	cmd   *exec.Cmd
	began processors // As it started.

	mu      sync.Mutex
	changed chan struct{} // Closed and replaced with each line and at the end.
	waiting []*wish
	tail    []string
	peak    Usage // Memory only.

	done chan struct{} // Closed when the process has ended and its output was read.
	err  error         // Of Wait; read after done.
}

// wish is a kind of line that is looked for. Its mark is taken as the line
// arrives, not when somebody comes to ask.
type wish struct {
	match func(string) bool
	mark  Mark
	found bool
}

// Line is a kind of line to be waited for.
type Line struct {
	p *Process
	w *wish
}

// Start starts a program. Expect tells which lines of its output matter; it
// returns as many Lines. The program is killed when ctx ends or the rig dies.
func Start(ctx context.Context, name string, c Command, expect ...func(string) bool) (*Process, []*Line, error) {
	p := &Process{name: name, changed: make(chan struct{}), done: make(chan struct{})}
	var lines []*Line
	for _, match := range expect {
		w := &wish{match: match}
		p.waiting = append(p.waiting, w)
		lines = append(lines, &Line{p, w})
	}
	p.cmd = exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = in, in
	p.began = allProcessors()
	err = p.cmd.Start()
	in.Close()
	if err != nil {
		out.Close()
		return nil, nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go p.watch(out)
	return p, lines, nil
}

func (p *Process) watch(out io.ReadCloser) {
	sampling := make(chan struct{})
	go func() {
		defer close(sampling)
		p.sample()
	}()
	lines := bufio.NewScanner(out)
	lines.Split(splitLines)
	for lines.Scan() {
		p.see(lines.Text())
	}
	out.Close()
	p.err = p.cmd.Wait()
	p.mu.Lock()
	close(p.done)
	close(p.changed)
	p.mu.Unlock()
	<-sampling
}

// splitLines ends a line at a carriage return too: some clients redraw.
func splitLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func (p *Process) see(line string) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tail = append(p.tail, line); len(p.tail) > tailLines {
		p.tail = p.tail[1:]
	}
	for _, w := range p.waiting {
		if !w.found && w.match(line) {
			w.found = true
			w.mark = Mark{Line: line, At: now, Usage: p.usage()}
		}
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// usage holds p.mu.
func (p *Process) usage() Usage {
	u := p.peak
	u.User, u.System, _ = cpuTimes(p.cmd.Process.Pid) // Zero if it has ended.
	u.Stolen = allProcessors().stolenSince(p.began)
	return u
}

// sample looks at the process's memory until it has ended.
func (p *Process) sample() {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		if anon, file, err := memory(p.cmd.Process.Pid); err == nil {
			p.mu.Lock()
			p.peak.Anonymous, p.peak.File = max(p.peak.Anonymous, anon), max(p.peak.File, file)
			p.mu.Unlock()
		}
		select {
		case <-p.done:
			return
		case <-tick.C:
		}
	}
}

// Usage returns what the process has cost so far.
func (p *Process) Usage() Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usage()
}

// Await waits for the line. If the process ends without it, the error shows
// what it wrote last.
func (l *Line) Await(ctx context.Context) (Mark, error) {
	p := l.p
	for {
		p.mu.Lock()
		found, mark, changed := l.w.found, l.w.mark, p.changed
		p.mu.Unlock()
		if found {
			return mark, nil
		}
		select {
		case <-p.done:
			p.mu.Lock()
			found = l.w.found
			p.mu.Unlock()
			if !found {
				return Mark{}, p.failure("ended before it was done")
			}
		case <-ctx.Done():
			return Mark{}, p.failure("was given up: " + context.Cause(ctx).Error())
		case <-changed:
		}
	}
}

func (p *Process) failure(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%s %s; it wrote:\n%s", p.name, what, strings.Join(p.tail, "\n"))
}

// Crew is some processes that end together.
type Crew []*Process

// Stop ends all of them.
func (c Crew) Stop() {
	for _, p := range c {
		p.Stop()
	}
}

// Stop ends the process with SIGTERM, and with SIGKILL if that doesn't help
// in 20 seconds.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // Fails only if it has ended.
	select {
	case <-p.done:
	case <-time.After(stopWait):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

var errProc = errors.New("not what /proc holds")

// cpuTimes returns the CPU times of a process and of its children that have
// ended (proc_pid_stat(5)).
func cpuTimes(pid int) (user, system time.Duration, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, ok := strings.Cut(string(b), ") ") // The name before may hold anything.
	fields := strings.Fields(rest)
	if !ok || len(fields) < 15 {
		return 0, 0, errProc
	}
	var ticks [4]int64 // utime, stime, cutime, cstime
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(fields[11+i], 10, 64); err != nil {
			return 0, 0, errProc
		}
	}
	return time.Duration(ticks[0]+ticks[2]) * tick, time.Duration(ticks[1]+ticks[3]) * tick, nil
}

// processors is what all processors have done since the machine started, in
// units of [tick].
type processors struct{ stolen, total int64 }

// allProcessors returns zero where the system does not tell.
func allProcessors() (t processors) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t
	}
	first, _, _ := strings.Cut(string(b), "\n")
	// cpu user nice system idle iowait irq softirq steal …; what guests of
	// ours use is in user already (proc_stat(5)).
	for i, field := range strings.Fields(first) {
		n, _ := strconv.ParseInt(field, 10, 64) // 0 for the first field, a name.
		if i <= 8 {
			t.total += n
		}
		if i == 8 {
			t.stolen = n
		}
	}
	return t
}

// stolenSince returns the share of the time since then that was stolen.
func (t processors) stolenSince(then processors) float64 {
	if t.total == then.total {
		return 0
	}
	return float64(t.stolen-then.stolen) / float64(t.total-then.total)
}

// memory returns the resident memory of a process, in bytes.
func memory(pid int) (anonymous, file int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch key {
		case "RssAnon":
			anonymous = n << 10
		case "RssFile", "RssShmem":
			file += n << 10
		}
	}
	return anonymous, file, nil
}
