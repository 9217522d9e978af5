package main

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"sync"
)

// table relays what kubectl get --watch prints, as it comes, and remembers how
// much of a download was to be seen in it.
type table struct {
	mu       sync.Mutex
	out      io.Writer
	rest     []byte // of a line that has not ended
	percents map[string]bool
	ready    bool
}

func newTable(out io.Writer) *table {
	return &table{out: out, percents: map[string]bool{}}
}

// percent is how a row tells progress.
var percent = regexp.MustCompile(`\s(\d+)%`)

// Write relays p and looks at the lines that end in it.
func (t *table) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest = append(t.rest, p...)
	for {
		line, rest, whole := bytes.Cut(t.rest, []byte("\n"))
		if !whole {
			break
		}
		t.row(string(line))
		t.rest = rest
	}
	return t.out.Write(p)
}

// row looks at one line: NAME READY REASON PROGRESS PEERS CLAIM AGE.
func (t *table) row(line string) {
	if m := percent.FindStringSubmatch(line); m != nil {
		t.percents[m[1]] = true
	}
	if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "True" {
		t.ready = true
	}
}

// steps returns how many different percentages were shown.
func (t *table) steps() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.percents)
}

// complete reports whether a row said that the download is ready.
func (t *table) complete() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready
}

// lines hands on the first line that is written to it, and drops the others.
type lines struct {
	first chan string
	said  []byte
	done  bool
}

func newLines() *lines { return &lines{first: make(chan string, 1)} }

// Write is called by one goroutine, that of the process that prints.
func (l *lines) Write(p []byte) (int, error) {
	if l.done {
		return len(p), nil
	}
	l.said = append(l.said, p...)
	if line, _, whole := bytes.Cut(l.said, []byte("\n")); whole {
		l.first <- string(line)
		l.done = true
	}
	return len(p), nil
}
