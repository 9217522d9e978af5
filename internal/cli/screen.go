package cli

import (
	"fmt"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// hashing returns a function that shows how far the hashing of files has come.
func hashing(s *terminal.Screen, now func() time.Time) func(done, total int64) {
	began, drawn := now(), time.Time{}
	return func(done, total int64) {
		t := now()
		if t.Sub(drawn) < terminal.RedrawEvery {
			return
		}
		drawn = t
		rate := int64(float64(done) / max(0.1, t.Sub(began).Seconds()))
		w := s.Width() - 1
		text := fmt.Sprintf(" %d%%  hashed %s of %s  %s  %s left", termui.Percent(done, total),
			termui.Bytes(done), termui.Bytes(total), termui.Rate(rate), termui.Duration(termui.ETA(total-done, rate)))
		s.Draw(termui.Bar(s.Style, max(0, w-len(text)), done, total) + termui.Fit(s.Style, text, w))
	}
}
