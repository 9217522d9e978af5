package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// readTorrents reads all files and links before anything begins. None may name
// the same torrent as another.
func readTorrents(cmd *cobra.Command, args []string) ([]torrent, error) {
	torrents, from := make([]torrent, len(args)), map[metainfo.Hash]string{}
	called := func(arg string, t torrent) string { // Trackers in a link may have secrets.
		if t.magnet != nil {
			return "the link to " + t.name()
		}
		return arg
	}
	for i, arg := range args {
		t, err := readArgument(cmd, arg)
		if err != nil {
			return nil, err
		}
		if same, ok := from[t.hash()]; ok {
			return nil, UsageError(cmd, fmt.Errorf("%s and %s are the same torrent", same, called(arg, t)))
		}
		torrents[i], from[t.hash()] = t, called(arg, t)
	}
	return torrents, nil
}

// maxTold is how many failures are told at the end; the rest is counted.
const maxTold = 3

// outcome makes one error of those of all downloads, with the code of the
// first that failed. That some were stopped matters only if none failed.
func outcome(torrents []torrent, errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	var told []string
	failed, stopped, code := 0, 0, exitStopped
	for i, err := range errs {
		switch {
		case err == nil:
			continue
		case codeOf(err) == exitStopped:
			stopped++
			continue
		case failed == 0:
			code = codeOf(err)
		}
		if failed++; failed <= maxTold {
			told = append(told, fmt.Sprintf("%s: %v", termui.Clean(torrents[i].name()), err))
		}
	}
	switch {
	case failed > maxTold:
		return fail(code, "%d of %d downloads failed: %s; and %d more", failed, len(errs), strings.Join(told, "; "), failed-maxTold)
	case failed > 0:
		return fail(code, "%d of %d downloads failed: %s", failed, len(errs), strings.Join(told, "; "))
	case stopped > 0:
		return fail(code, "%d of %d downloads were stopped before they were done; the same command goes on from there", stopped, len(errs))
	}
	return nil
}

// newViews returns a view for each of several downloads.
func newViews(cmd *cobra.Command, asJSON bool, torrents []torrent) []view {
	if len(torrents) == 1 {
		return []view{newView(cmd, asJSON, torrents[0].name())}
	}
	out, lock, views := cmd.OutOrStdout(), &sync.Mutex{}, make([]view, len(torrents))
	b := &board{screen: terminal.New(out), rows: make([]*download.Progress, len(torrents)), running: len(torrents)}
	for i, t := range torrents {
		switch {
		case asJSON:
			views[i] = shared{lock, &jsonView{out: json.NewEncoder(out)}}
		case b.screen != nil:
			views[i] = shared{lock, &rowView{board: b, row: i, name: t.name()}}
		default:
			views[i] = shared{lock, &lineView{terminal.Lines{Out: out, Name: termui.Clean(t.name()) + ": "}}}
		}
	}
	return views
}

// shared is one of several views of one output, which take turns.
type shared struct {
	lock *sync.Mutex
	view
}

func (v shared) show(p *download.Progress, peers []engine.PeerInfo, last bool) {
	v.lock.Lock()
	defer v.lock.Unlock()
	v.view.show(p, peers, last)
}

// board shows several downloads on a terminal: a row for each of them, as far
// as there is room, and one for all.
type board struct {
	screen  *terminal.Screen
	rows    []*download.Progress // The last snapshots; nil before there is one.
	running int
	drawn   time.Time
}

// rowView is the view of one row of a board.
type rowView struct {
	*board
	row  int
	name string // Until the torrent's own is known.
}

func (v *rowView) show(p *download.Progress, _ []engine.PeerInfo, last bool) {
	p = named(p, v.name)
	v.rows[v.row] = p
	if last {
		v.running--
	}
	if v.running > 0 && p.At.Sub(v.drawn) < terminal.RedrawEvery {
		return
	}
	v.drawn = p.At
	v.draw()
}

func (b *board) draw() {
	s := b.screen
	w := max(1, s.Width()-1)
	rows := slices.DeleteFunc(slices.Clone(b.rows), func(p *download.Progress) bool { return p == nil })
	all := sum(rows)
	all.State = fmt.Sprintf("%d of %d running", b.running, len(b.rows))
	slices.SortStableFunc(rows, func(p, q *download.Progress) int { return cmp.Compare(rank(p.State), rank(q.State)) })
	var lines []string
	room := max(1, s.Height()-2) // One row is for all, and the cursor stands below it.
	hidden := 0
	if len(rows) > room {
		hidden = len(rows) - room + 1
	}
	for _, p := range rows[:len(rows)-hidden] {
		lines = append(lines, termui.Row(s.Style, w, p.Name, transfer(p)))
	}
	if hidden > 0 {
		lines = append(lines, termui.Fit(s.Style, fmt.Sprintf("and %d more", hidden), w))
	}
	s.Draw(append(lines, termui.Line(s.Style, w, all))...)
}

// rank puts downloads that move before those that do not, and those before
// the ones that are over.
func rank(s download.State) int {
	switch s {
	case download.StateDownloading, download.StateFinishing:
		return 0
	case download.StateSeeding, download.StateComplete:
		return 2
	default:
		return 1
	}
}

// sum adds up the figures of several downloads.
func sum(rows []*download.Progress) (all termui.Transfer) {
	for _, p := range rows {
		all.Done, all.Total = all.Done+p.BytesVerified, all.Total+p.BytesTotal
		all.Down, all.Up = all.Down+p.DownloadBytesPerSecond, all.Up+p.UploadBytesPerSecond
		all.Peers, all.Seeds = all.Peers+p.Peers.Connected, all.Seeds+p.Peers.Seeds
		all.Pieces, all.Pieced = all.Pieces+p.Pieces.Total, all.Pieced+p.Pieces.Verified
	}
	all.ETA = termui.ETA(all.Total-all.Done, all.Down)
	return all
}
