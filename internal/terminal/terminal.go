// Package terminal puts drawings of package termui where a person looks: on a
// terminal, again and again in place, or as plain lines where the output is
// none. Commands use it; it knows nothing of what they show.
package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// RedrawEvery is how often a terminal is drawn anew at most.
const RedrawEvery = 100 * time.Millisecond

// Screen is the last lines of a terminal, drawn again and again in place. It
// follows the size of the window.
type Screen struct {
	Out           io.Writer
	Style         termui.Style
	Width, Height func() int

	drawn []int  // The columns of each line drawn last, as they were then,
	at    int    // and how wide the terminal was,
	text  string // and all of it.
}

// New returns the screen that w is, or nil when w is no terminal, or one on
// which the cursor can't be moved.
func New(w io.Writer) *Screen {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	size := func() (w, h int) {
		w, h, err := term.GetSize(int(f.Fd()))
		if err != nil || w <= 0 || h <= 0 {
			return 80, 24
		}
		return w, h
	}
	return &Screen{
		Out: f, Style: StyleOf(os.Getenv),
		Width:  func() int { w, _ := size(); return w },
		Height: func() int { _, h := size(); return h },
	}
}

// StyleOf reads from the environment what a terminal is able to show.
func StyleOf(getenv func(string) string) termui.Style {
	locale := ""
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale = getenv(name); locale != "" {
			break
		}
	}
	locale = strings.ToUpper(locale)
	return termui.Style{
		Color: getenv("NO_COLOR") == "",
		ASCII: !strings.Contains(locale, "UTF-8") && !strings.Contains(locale, "UTF8"),
	}
}

// Draw replaces what was drawn last by lines, each of which is narrower than
// the terminal. All of it leaves in one write, so that nothing flickers, and
// what stands there already is not written again.
func (s *Screen) Draw(lines ...string) {
	text, width := strings.Join(append(lines, ""), "\n"), s.Width()
	if text == s.text && width == s.at {
		return
	}
	var b strings.Builder
	if rows := s.rows(); rows > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", rows)
	}
	b.WriteString(text)
	s.drawn, s.text, s.at = s.drawn[:0], text, width
	for _, l := range lines {
		s.drawn = append(s.drawn, termui.Columns(plain(l)))
	}
	fmt.Fprint(s.Out, b.String())
}

// Clear takes away what was drawn last.
func (s *Screen) Clear() { s.Draw() }

// rows is how many rows of the terminal the last drawing takes now. A window
// that has become narrower has broken lines.
func (s *Screen) rows() int {
	n, width := 0, max(1, s.Width())
	for _, columns := range s.drawn {
		n += max(1, (columns+width-1)/width)
	}
	return n
}

// plain returns a line without the colours of package termui.
func plain(s string) string {
	var b strings.Builder
	for {
		before, after, colour := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !colour {
			return b.String()
		}
		_, s, _ = strings.Cut(after, "m")
	}
}
