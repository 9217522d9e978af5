package termui

import (
	"fmt"
	"strings"
	"time"
)

// eighths are cells filled from the left by so many eighths.
var eighths = []rune(" ▏▎▍▌▋▊▉")

// Bar returns a bar of exactly w columns for done of total. It is full only
// when done has reached total.
func Bar(style Style, w int, done, total int64) string {
	if w <= 0 {
		return ""
	}
	steps := 8
	if style.ASCII {
		steps = 1
	}
	filled := w * steps
	if done < total {
		filled = min(filled-1, int(float64(max(0, done))/float64(total)*float64(filled)))
	}
	var full, rest string
	if style.ASCII {
		full, rest = strings.Repeat("#", filled), strings.Repeat(".", w-filled)
	} else {
		full = strings.Repeat("█", filled/8)
		if n := w - filled/8; n > 0 {
			full += string(eighths[filled%8])
			rest = strings.Repeat(" ", n-1)
		}
	}
	color := yellow
	if done >= total {
		color = green
	}
	return style.paint(color, full) + style.paint(dim, rest)
}

// Transfer is what a line of figures shows.
type Transfer struct {
	State          string // One word, such as Downloading.
	Done, Total    int64  // Bytes verified, and bytes in all; Total 0 is not known yet.
	Down, Up       int64  // Bytes per second.
	ETA            time.Duration
	Peers, Seeds   int // Connected, and those of them that have everything.
	Pieces, Pieced int // Pieces in all, and verified ones.
}

// Line returns the figures of t in at most w columns. When there is too little
// room the least important ones are left out, whole; what a transfer does not
// do (upload nothing, download when it is complete) is left out anyway.
func Line(style Style, w int, t Transfer) string {
	if t.Total == 0 {
		return Fit(style, t.State, w)
	}
	parts := []struct {
		text string
		rank int // The highest goes first.
	}{
		{Fit(style, t.State, w), 3},
		{fmt.Sprintf("%d%%", Percent(t.Done, t.Total)), 0},
		{Bytes(t.Done) + " of " + Bytes(t.Total), 4},
		{down(t), 1},
		{up(t), 6},
		{eta(t), 2},
		{fmt.Sprintf("%d peers (%d seeds)", t.Peers, t.Seeds), 5},
		{fmt.Sprintf("%d/%d pieces", t.Pieced, t.Pieces), 7},
	}
	for limit := len(parts); limit > 0; limit-- {
		var keep []string
		for _, p := range parts {
			if p.rank < limit && p.text != "" {
				keep = append(keep, p.text)
			}
		}
		if s := strings.Join(keep, "  "); Columns(s) <= w {
			return s
		}
	}
	return ""
}

func down(t Transfer) string {
	if t.Done >= t.Total {
		return ""
	}
	return "down " + Rate(t.Down)
}

func up(t Transfer) string {
	if t.Up == 0 {
		return ""
	}
	return "up " + Rate(t.Up)
}

func eta(t Transfer) string {
	if t.Done >= t.Total {
		return ""
	}
	if t.ETA < 0 {
		return "time left unknown"
	}
	return Duration(t.ETA) + " left"
}

// MinRow is how many columns a row needs for more than a name.
const MinRow = 30

// Row returns a transfer on one line of at most w columns: its name, a bar, and
// figures.
func Row(style Style, w int, name string, t Transfer) string {
	if w < MinRow {
		return Fit(style, name, w)
	}
	name = Fit(style, name, w/3)
	name += strings.Repeat(" ", w/3-Columns(name))
	return name + " " + Bar(style, w/4, t.Done, t.Total) + " " + Line(style, w-w/3-w/4-2, t)
}
