package kubectl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/client"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// Looking closely at what is watched.
const (
	lookEvery = time.Second
	lookAgain = 10 * time.Second // After a look that did not succeed.
	mostLooks = 8                // Downloads that are looked at closely at once.
)

func newWatch(p *person) *cobra.Command {
	var w watched
	var all bool
	cmd := &cobra.Command{
		Use:   "watch [NAME...]",
		Short: "Watch downloads live",
		Long: `Watch downloads live: a bar, rates, the time left, peers and the strip of pieces
of each, drawn in place and as large as the window; plain lines where the output
is no terminal. Ctrl-C ends it. With NAMEs it ends by itself when they are
complete, and shows the exact pieces if you may forward ports to their Pods.`,
		Example: `  kubectl torrent watch
  kubectl torrent watch imagenet`,
		ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, namespace, err := p.client()
			if err != nil {
				return err
			}
			if w.query.Namespace = namespace; all {
				w.query.Namespace = ""
			}
			w.names = args
			for _, name := range args { // Whoever mistypes one should not wait for it.
				if _, err := c.Download(cmd.Context(), types.NamespacedName{Namespace: namespace, Name: name}); err != nil {
					return err
				}
			}
			return watch(cmd, p, c, w)
		},
	}
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "watch those of all namespaces")
	cmd.Flags().StringVarP(&w.query.Labels, "selector", "l", "", "watch those whose labels match, such as team=ml")
	return cmd
}

// watched is what a person watches.
type watched struct {
	query client.Query
	names []string // Those alone, until all of them are complete; none is all, until the person ends it.
}

// entry is a download that is shown.
type entry struct {
	key  types.NamespacedName
	view client.View
	gone bool
}

// over says that nothing more is to be expected of it.
func (e *entry) over() bool { return e.gone || e.view.Mood == client.MoodDone }

// watch shows downloads until that is over, or the person ends it.
func watch(cmd *cobra.Command, p *person, c *client.Client, w watched) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	if len(w.names) == 1 {
		w.query.Name = w.names[0]
	}
	b := newBoard(cmd.OutOrStdout(), w, p.now)
	closer := newCloser(ctx, c, b.redraw)
	defer closer.wait()
	defer cancel()
	changed := make(chan []client.Downloads, 1)
	failed := make(chan error, 1)
	go func() {
		failed <- c.Follow(ctx, w.query, func(all client.Downloads) bool {
			select {
			case <-changed:
			default:
			}
			changed <- []client.Downloads{maps.Clone(all)}
			return true
		})
	}()
	tick := time.NewTicker(terminal.RedrawEvery)
	defer tick.Stop()
	var now client.Downloads
	for {
		select {
		case err := <-failed:
			return err
		case all := <-changed:
			now = all[0]
			if len(w.names) > 0 {
				closer.follow(now, w.names)
			}
			b.dirty = true
			continue
		case <-b.redraw:
			b.dirty = true
			continue
		case <-tick.C:
		}
		if now == nil || !b.dirty {
			continue
		}
		if b.show(entries(now, w.names, closer)) {
			return nil
		}
	}
}

// entries are the downloads to be shown, in the order in which they were named
// or that of their names.
func entries(all client.Downloads, names []string, closer *closer) []entry {
	var out []entry
	for key, td := range all {
		if len(names) > 0 && !slices.Contains(names, key.Name) {
			continue
		}
		v := client.Describe(td)
		if d := closer.detail(key); d != nil {
			v = v.Closer(d)
		}
		out = append(out, entry{key: key, view: v})
	}
	for _, name := range names {
		if !slices.ContainsFunc(out, func(e entry) bool { return e.key.Name == name }) {
			out = append(out, entry{key: types.NamespacedName{Name: name}, gone: true, view: client.View{State: "Deleted", ETA: termui.Unknown}})
		}
	}
	slices.SortFunc(out, func(a, b entry) int {
		return cmp.Or(slices.Index(names, a.key.Name)-slices.Index(names, b.key.Name),
			cmp.Compare(a.key.Namespace, b.key.Namespace), cmp.Compare(a.key.Name, b.key.Name))
	})
	return out
}

// closer looks closely at downloads, where that can be done.
type closer struct {
	ctx    context.Context //nolint:containedctx // It is that of its goroutines, which end with it.
	client *client.Client
	tell   chan<- struct{}

	work    sync.WaitGroup
	mu      sync.Mutex
	pods    map[types.NamespacedName]string // What is being looked into.
	details map[types.NamespacedName]*download.Detail
}

func newCloser(ctx context.Context, c *client.Client, tell chan<- struct{}) *closer {
	return &closer{
		ctx: ctx, client: c, tell: tell,
		pods: map[types.NamespacedName]string{}, details: map[types.NamespacedName]*download.Detail{},
	}
}

// follow sees to it that those that run are being looked at.
func (c *closer) follow(all client.Downloads, names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, td := range all {
		pod := td.Status.Worker.PodName
		if c.pods[key] != pod {
			delete(c.pods, key) // Which ends the looks into the Pod before.
			delete(c.details, key)
		}
		if pod == "" || c.pods[key] == pod || len(c.pods) >= mostLooks || !slices.Contains(names, key.Name) {
			continue
		}
		c.pods[key] = pod
		c.work.Go(func() { c.look(key, td) })
	}
}

// look looks into a Pod again and again, as long as that is the one.
func (c *closer) look(key types.NamespacedName, td *v1alpha1.TorrentDownload) {
	for {
		if line, err := c.client.Look(c.ctx, td); err == nil {
			for {
				d, err := line.Detail(c.ctx)
				if err != nil || !c.keep(key, td.Status.Worker.PodName, &d) || !pause(c.ctx, lookEvery) {
					break
				}
			}
			line.Close()
		}
		if !c.keep(key, td.Status.Worker.PodName, nil) || !pause(c.ctx, lookAgain) {
			return
		}
	}
}

// keep keeps what was seen, nil for nothing, and returns false if nobody wants
// to know any more.
func (c *closer) keep(key types.NamespacedName, pod string, d *download.Detail) bool {
	c.mu.Lock()
	if c.pods[key] != pod {
		c.mu.Unlock()
		return false
	}
	c.details[key] = d
	c.mu.Unlock()
	select {
	case c.tell <- struct{}{}:
	default:
	}
	return true
}

func (c *closer) detail(key types.NamespacedName) *download.Detail {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.details[key]
}

// wait waits for the end of its goroutines, which comes with that of its
// context.
func (c *closer) wait() { c.work.Wait() }

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// board is where downloads are shown.
type board struct {
	out    io.Writer
	screen *terminal.Screen // nil if there is none.
	lines  map[types.NamespacedName]*terminal.Lines
	watched
	now    func() time.Time
	redraw chan struct{} // Capacity 1.
	dirty  bool
}

func newBoard(out io.Writer, w watched, now func() time.Time) *board {
	return &board{
		out: out, screen: terminal.New(out), lines: map[types.NamespacedName]*terminal.Lines{}, watched: w, now: now,
		redraw: make(chan struct{}, 1),
	}
}

// show shows downloads, and says whether that was for the last time.
func (b *board) show(all []entry) (over bool) {
	b.dirty = b.screen != nil // Which follows the window.
	over = len(b.names) > 0 && !slices.ContainsFunc(all, func(e entry) bool { return !e.over() })
	if b.screen != nil {
		b.draw(all)
		return over
	}
	for i := range all {
		b.tell(&all[i])
	}
	return over
}

// tell writes plain lines.
func (b *board) tell(e *entry) {
	l := b.lines[e.key]
	if l == nil {
		l = &terminal.Lines{Out: b.out, Name: label(e.key, b.query.Namespace == "") + ": "}
		b.lines[e.key] = l
	}
	m := terminal.Moment{At: b.now(), State: e.view.State, Transfer: transfer(&e.view)}
	if e.view.Mood == client.MoodStuck {
		m.Cause = e.view.Message
	}
	l.Show(m)
}

// label is a download's name, with its namespace where several are shown.
func label(key types.NamespacedName, all bool) string {
	if all && key.Namespace != "" {
		return key.Namespace + "/" + key.Name
	}
	return key.Name
}

// transfer is a view as a line of figures.
func transfer(v *client.View) termui.Transfer {
	state := v.State
	if v.Reason != "" {
		state += " (" + v.Reason + ")"
	}
	return termui.Transfer{
		State: state, Done: v.Done, Total: v.Total, Down: v.Down, Up: v.Up, ETA: v.ETA,
		Peers: v.Connected, Seeds: v.Seeds, Pieces: v.Pieces.Total, Pieced: v.Pieces.Verified,
	}
}

// tall is how many rows a download takes at most where there is room.
const tall = 6

// draw draws downloads, each as large as there is room for.
func (b *board) draw(all []entry) {
	s := b.screen
	w, room := max(1, s.Width()-1), max(1, s.Height()-1) // The cursor stands below, and the last column makes some terminals wrap.
	var lines []string
	switch {
	case len(all) == 0:
		lines = append(lines, termui.Fit(s.Style, nothing(b.query.Namespace), w))
	case len(all)*tall <= room || len(all) == 1:
		for i := range all {
			lines = append(lines, b.whole(&all[i], w)...)
			if i < len(all)-1 {
				lines = append(lines, "")
			}
		}
		lines = lines[:min(len(lines), room)]
	default:
		lines = b.rows(all, w, room)
	}
	s.Draw(lines...)
}

// rows draws a row for each download, as far as there is room.
func (b *board) rows(all []entry, w, room int) (lines []string) {
	s, hidden := b.screen, 0
	if len(all) > room {
		hidden = len(all) - room + 1
	}
	for i := range all[:len(all)-hidden] {
		e := &all[i]
		lines = append(lines, termui.Row(s.Style, w, label(e.key, b.query.Namespace == ""), transfer(&e.view)))
	}
	if hidden > 0 {
		lines = append(lines, termui.Fit(s.Style, fmt.Sprintf("and %d more", hidden), w))
	}
	return lines
}

// whole draws a download on up to five lines.
func (b *board) whole(e *entry, w int) []string {
	style, v := b.screen.Style, &e.view
	name := label(e.key, b.query.Namespace == "")
	if v.Mood == client.MoodStuck { // The figures may have no room for it.
		name += ": " + transfer(v).State
	}
	lines := []string{
		termui.Fit(style, name, w),
		termui.Bar(style, w, v.Done, max(v.Total, 1)),
		termui.Line(style, w, transfer(v)),
	}
	if strip := termui.Strip(style, v.Pieces.Cells(w)); strip != "" {
		lines = append(lines, strip)
	}
	if v.Mood == client.MoodStuck {
		lines = append(lines, termui.Fit(style, v.Message, w))
	}
	return lines
}
