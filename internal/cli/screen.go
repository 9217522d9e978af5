package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// redrawEvery is how often a terminal is drawn anew at most.
const redrawEvery = 100 * time.Millisecond

// screen is the last lines of a terminal, drawn again and again in place.
type screen struct {
	out    io.Writer
	style  termui.Style
	width  func() int
	height func() int
	lines  int // Drawn last time.
}

// newScreen returns the screen that w is, or nil when w is no terminal, or one
// on which the cursor can't be moved.
func newScreen(w io.Writer) *screen {
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
	return &screen{
		out: f, style: styleOf(os.Getenv),
		width:  func() int { w, _ := size(); return w },
		height: func() int { _, h := size(); return h },
	}
}

// styleOf reads from the environment what a terminal is able to show.
func styleOf(getenv func(string) string) termui.Style {
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

// draw replaces what was drawn last by lines, each of which is at most as wide
// as the terminal. All of it leaves in one write, so that nothing flickers.
func (s *screen) draw(lines ...string) {
	var b strings.Builder
	s.home(&b)
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	s.lines = len(lines)
	fmt.Fprint(s.out, b.String())
}

// clear takes away what was drawn last.
func (s *screen) clear() { s.draw() }

// home moves to the first line drawn and clears from there on.
func (s *screen) home(b *strings.Builder) {
	if s.lines > 0 {
		fmt.Fprintf(b, "\x1b[%dA\x1b[J", s.lines)
	}
}

// hashing returns a function that shows how far the hashing of files has come.
func (s *screen) hashing(now func() time.Time) func(done, total int64) {
	began, drawn := now(), time.Time{}
	return func(done, total int64) {
		t := now()
		if t.Sub(drawn) < redrawEvery {
			return
		}
		drawn = t
		rate := int64(float64(done) / max(0.1, t.Sub(began).Seconds()))
		w := s.width() - 1
		text := fmt.Sprintf(" %d%%  hashed %s of %s  %s  %s left", termui.Percent(done, total),
			termui.Bytes(done), termui.Bytes(total), termui.Rate(rate), termui.Duration(termui.ETA(total-done, rate)))
		s.draw(termui.Bar(s.style, max(0, w-len(text)), done, total) + termui.Fit(s.style, text, w))
	}
}
