package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/internal/termui"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// renamed is a dataset under another name, so that two fit into one folder.
func renamed(t *testing.T, name string, size int) dataset {
	t.Helper()
	d := dataset{folder: t.TempDir()}
	write(t, d.folder, name, content(size))
	d.file = filepath.Join(d.folder, name+".torrent")
	run(t, "create", filepath.Join(d.folder, name), "-o", d.file).expectSuccess(t)
	b, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	if d.meta, err = metainfo.Parse(b); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSeveralTorrentsAreDownloadedAtOnce(t *testing.T) {
	a, b, out := renamed(t, "a", 300_000), renamed(t, "b", 700_000), t.TempDir()
	args := []string{"download", a.file, b.file, "-o", out, "--peer", a.serve(t), "--peer", b.serve(t), "--port", strconv.Itoa(freeport.For(t))}
	r := run(t, args...)
	r.expectSuccess(t)
	a.expectIn(t, out)
	b.expectIn(t, out)
	for _, want := range []string{"\na: Complete  100%", "\nb: Complete  100%"} {
		if !strings.Contains("\n"+r.stdout, want) {
			t.Errorf("%q is not in\n%s", want, r.stdout)
		}
	}
	r = run(t, append(args, "--json")...)
	r.expectSuccess(t)
	last := map[string]download.State{}
	for line := range strings.Lines(r.stdout) {
		var p jsonProgress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		last[p.Name+" "+p.InfoHash] = p.State
	}
	for _, d := range []dataset{a, b} {
		if got := last[d.meta.Info.Name+" "+d.meta.InfoHash.String()]; got != download.StateComplete {
			t.Errorf("%s ended as %q", d.meta.Info.Name, got)
		}
	}
}

func TestOneOfSeveralThatFailsSaysSo(t *testing.T) {
	a, b, out := renamed(t, "a", 300_000), renamed(t, "b", 700_000), t.TempDir()
	write(t, out, "b/in-the-way", []byte("x"))
	r := run(t, "download", a.file, b.file, "-o", out, "--peer", a.serve(t), "--port", strconv.Itoa(freeport.For(t)))
	a.expectIn(t, out)
	r.stdout = ""
	r.expectFailure(t, exitFiles, "1 of 2 downloads failed: b: ")
}

func TestTheSameTorrentTwiceIsRefused(t *testing.T) {
	d := renamed(t, "a", 1000)
	twin := write(t, t.TempDir(), "twin.torrent", nil)
	b, err := os.ReadFile(d.file)
	if err == nil {
		err = os.WriteFile(twin, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, "download", d.file, twin, "-o", t.TempDir()).expectFailure(t, exitUsage, d.file+" and "+twin+" are the same torrent")
}

// The exit code of several downloads is that of the first that failed, and
// only if none did that of having been stopped.
func TestOutcomeOfSeveral(t *testing.T) {
	stopped, space, files := fail(exitStopped, "stopped"), fail(exitSpace, "no space"), fail(exitFiles, "in the way")
	for _, c := range []struct {
		errs []error
		code exitCode
		text string
	}{
		{[]error{nil, nil}, 0, ""},
		{[]error{stopped}, exitStopped, "stopped"},
		{[]error{nil, stopped, stopped}, exitStopped, "2 of 3 downloads were stopped before they were done; the same command goes on from there"},
		{[]error{stopped, space, files}, exitSpace, "2 of 3 downloads failed: t1: no space; t2: in the way"},
		{[]error{files, errors.New("odd"), nil, space, space}, exitFiles, "4 of 5 downloads failed: t0: in the way; t1: odd; t3: no space; and 1 more"},
	} {
		torrents := make([]torrent, len(c.errs))
		for i := range torrents {
			torrents[i].meta = &metainfo.Metainfo{Info: &metainfo.Info{Name: fmt.Sprintf("t%d", i)}}
		}
		switch err := outcome(torrents, c.errs); {
		case c.code == 0:
			if err != nil {
				t.Error(err)
			}
		case err == nil || codeOf(err) != c.code || err.Error() != c.text:
			t.Errorf("%v, want code %d and %q", err, c.code, c.text)
		}
	}
}

func TestABoardNeverOutgrowsTheTerminal(t *testing.T) {
	ansi := regexp.MustCompile("\x1b\\[[0-9]*[A-Za-z]")
	for _, size := range [][2]int{{1, 1}, {20, 3}, {termui.MinRow + 1, 5}, {80, 24}, {300, 100}} {
		var out strings.Builder
		b := &board{
			screen: &terminal.Screen{Out: &out, Style: termui.Style{Color: true}, Width: func() int { return size[0] }, Height: func() int { return size[1] }},
			rows:   make([]*download.Progress, 30), running: 30,
		}
		for i := range b.rows {
			p := halfway()
			p.Name = fmt.Sprintf("dataset %d", i)
			if i == 0 {
				p.State, p.BytesVerified = download.StateComplete, p.BytesTotal
			}
			out.Reset()
			p.At = p.At.Add(terminal.RedrawEvery * 10)
			b.drawn = p.At.Add(-terminal.RedrawEvery)
			(&rowView{board: b, row: i}).show(&p, nil, i == 0)
		}
		lines := strings.Split(strings.TrimSuffix(ansi.ReplaceAllString(out.String(), ""), "\n"), "\n")
		if len(lines) > max(2, size[1]-1) {
			t.Errorf("%d lines on a terminal of %d", len(lines), size[1])
		}
		for _, line := range lines {
			if n := termui.Columns(line); n > max(1, size[0]-1) {
				t.Errorf("%d columns on a terminal of %d: %q", n, size[0], line)
			}
		}
		if size[1] == 24 && (!strings.HasPrefix(lines[0], "dataset 1 ") || lines[21] != "and 9 more" || !strings.HasPrefix(lines[22], "29 of 30 running  51%")) {
			t.Errorf("the board is\n%s", strings.Join(lines, "\n"))
		}
		if size[1] == 100 && !strings.HasPrefix(lines[29], "dataset 0 ") {
			t.Errorf("what is over does not stand last:\n%s", strings.Join(lines, "\n"))
		}
	}
}
