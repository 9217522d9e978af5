package terminal

import (
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/termui"
)

func TestStyleFollowsTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want termui.Style
	}{
		{map[string]string{"LANG": "en_US.UTF-8"}, termui.Style{Color: true}},
		{map[string]string{"LC_ALL": "C.utf8", "NO_COLOR": "1"}, termui.Style{}},
		{map[string]string{"LC_ALL": "C", "LANG": "en_US.UTF-8"}, termui.Style{Color: true, ASCII: true}},
		{nil, termui.Style{Color: true, ASCII: true}},
	} {
		if got := StyleOf(func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.env, got, c.want)
		}
	}
}

func TestADrawingTakesThePlaceOfTheLast(t *testing.T) {
	var out strings.Builder
	width := 80
	s := &Screen{Out: &out, Width: func() int { return width }}
	s.Draw("\x1b[32m"+strings.Repeat("█", 70)+"\x1b[0m", "", "three")
	out.Reset()
	s.Draw("one")
	if got := out.String(); got != "\x1b[3A\x1b[Jone\n" {
		t.Errorf("the second drawing is %q", got)
	}
	s.Draw("\x1b[32m"+strings.Repeat("█", 70)+"\x1b[0m", "", "three")
	width = 30 // Which breaks the first line into three.
	out.Reset()
	s.Clear()
	if got := out.String(); got != "\x1b[5A\x1b[J" {
		t.Errorf("in a narrower window the next drawing is %q", got)
	}
	out.Reset()
	s.Draw("again")
	if got := out.String(); got != "again\n" {
		t.Errorf("after nothing the next drawing is %q", got)
	}
}

func TestOnlyTerminalsAreScreens(t *testing.T) {
	if New(&strings.Builder{}) != nil {
		t.Error("a buffer is a screen")
	}
}

// Logs are read afterwards: what changes is told at once, and figures now and
// then.
func TestPlainLinesTellWhatIsWorthOne(t *testing.T) {
	var out strings.Builder
	l := &Lines{Out: &out, Name: "a: "}
	at := time.Unix(0, 0)
	show := func(after time.Duration, state, cause string, done int64, last bool) {
		at = at.Add(after)
		l.Show(Moment{At: at, State: state, Cause: cause, Last: last, Transfer: termui.Transfer{State: state, Done: done, Total: 100, ETA: termui.Unknown}})
	}
	show(0, "Downloading", "", 1, false)
	show(9*time.Second, "Downloading", "", 2, false)
	show(time.Second, "Downloading", "", 3, false)
	show(time.Second, "Stalled", "no\n peers\x1b", 3, false)
	show(time.Second, "Stalled", "no peers\x1b", 3, false)
	show(time.Second, "Complete", "", 100, false)
	show(time.Second, "Complete", "", 100, true)
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line)[:3], " "))
	}
	want := "a: Downloading 1%|a: Downloading 3%|a: Stalled 3%|a: Complete 100%"
	if strings.Join(got, "|") != want {
		t.Errorf("the lines begin with %q, want %q", strings.Join(got, "|"), want)
	}
	if !strings.Contains(out.String(), ": no peers?\n") {
		t.Errorf("why it stalls is not said, or not cleaned: %q", out.String())
	}
}
