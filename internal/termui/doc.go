// Package termui draws transfers as text: human units, a progress bar, a line
// of figures, and a strip that shows which pieces of a torrent are there.
//
// Every function is pure: a width and numbers in, a string out. Nothing here
// writes to a terminal, asks for its size, or reads the clock; callers do. A
// drawing never shows more than is true: a full cell and "100%" mean that
// everything behind them is complete. No result is wider than the width asked
// for, and no text from a stranger brings control characters with it.
package termui

// Style says what the output is able to show. The zero value is colourless
// Unicode.
type Style struct {
	Color bool // ANSI colours may be used: the output is a terminal.
	ASCII bool // Only ASCII may be used.
}

// The ANSI colours in use.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
)

// paint returns text in a colour, if the style has any.
func (s Style) paint(color, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return color + text + reset
}
