package terminal

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// calm is how often a line is written when only figures change.
const calm = 10 * time.Second

// Moment is how a transfer stands.
type Moment struct {
	At time.Time
	termui.Transfer
	State string // A change of it is told at once; Transfer.State is what it is called.
	Cause string // Why it does not go on; "" if it does.
	Last  bool   // No other comes.
}

// Lines tells of a transfer in plain lines: one for each change of state, and
// one now and then in between.
type Lines struct {
	Out  io.Writer
	Name string // Put before each line, if several transfers take turns.

	last  Moment
	wrote bool
	text  string // The last line.
}

// Show tells of a moment if that is worth a line.
func (l *Lines) Show(m Moment) {
	m.Cause = strings.Join(strings.Fields(m.Cause), " ")
	same := l.wrote && m.State == l.last.State && m.Cause == l.last.Cause
	if !m.Last && same && m.At.Sub(l.last.At) < calm {
		return
	}
	line := termui.Line(termui.Style{}, 1<<10, m.Transfer)
	if m.Cause != "" && m.Cause != l.last.Cause {
		line += ": " + termui.Clean(m.Cause)
	}
	if m.Last && line == l.text {
		return
	}
	l.last, l.wrote, l.text = m, true, line
	fmt.Fprintln(l.Out, l.Name+line)
}
