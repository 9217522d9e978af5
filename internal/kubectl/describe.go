package kubectl

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/client"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

const (
	// lookTimeout bounds the close look at a download.
	lookTimeout = 10 * time.Second
	// width is that of bar and strip where the output is no terminal.
	width = 72
	// mostRows bounds lists of peers and files, unless --all is given.
	mostRows = 20
)

func newDescribe(p *person) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "describe NAME...",
		Short: "Show all there is to know of downloads",
		Long: `Show downloads closely: how far they are and why they wait, trackers, peers, files
with their progress, conditions and events. Peers and files come from their Pods, if
you may forward ports to them (create pods/portforward).`,
		Example: "  kubectl torrent describe imagenet",
		Args:    some, ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, namespace, err := p.client()
			if err != nil {
				return err
			}
			for i, name := range args {
				s, err := see(cmd.Context(), c, types.NamespacedName{Namespace: namespace, Name: name})
				if err != nil {
					return err
				}
				out := bufio.NewWriter(cmd.OutOrStdout())
				if i > 0 {
					fmt.Fprintln(out)
				}
				d := description{out: out, now: p.now(), width: width, most: mostRows}
				if screen := terminal.New(cmd.OutOrStdout()); screen != nil {
					d.style, d.width = screen.Style, max(1, screen.Width()-1)
				}
				if all {
					d.most = len(s.detail.Files) + len(s.detail.Peers)
				}
				d.write(s)
				if err := out.Flush(); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list all peers and files, however many they are")
	return cmd
}

// sight is all that is to be seen of a download.
type sight struct {
	td       *v1alpha1.TorrentDownload
	detail   download.Detail
	noDetail error // Why there is none.
	events   []client.Event
	noEvents error
}

func see(ctx context.Context, c *client.Client, key types.NamespacedName) (*sight, error) {
	td, err := c.Download(ctx, key)
	if err != nil {
		return nil, err
	}
	s := &sight{td: td}
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if s.detail, s.noDetail = c.Detail(looking, td); errors.Is(s.noDetail, context.DeadlineExceeded) {
		s.noDetail = errors.New("Its Pod does not answer.") //nolint:revive,staticcheck // It is a sentence that is shown.
	}
	s.events, s.noEvents = c.Events(ctx, td)
	return s, ctx.Err()
}

// description writes a download for a person.
type description struct {
	out         io.Writer
	now         time.Time
	style       termui.Style
	width, most int
}

// line writes a value behind its label, if there is one.
func (d *description) line(label, format string, args ...any) {
	if value := termui.Clean(fmt.Sprintf(format, args...)); value != "" {
		fmt.Fprintf(d.out, "%-11s %s\n", label, value)
	}
}

func (d *description) write(s *sight) {
	td, v := s.td, client.Describe(s.td)
	if s.noDetail == nil {
		v = v.Closer(&s.detail)
	}
	d.line("Name:", "%s", td.Name)
	d.line("Namespace:", "%s", td.Namespace)
	state := transfer(&v).State
	d.line("State:", "%s", state)
	d.line("", "%s", v.Message)
	d.line("Torrent:", "%s", td.Status.Name)
	d.line("Info hash:", "%s", td.Status.InfoHash.V1)
	d.line("Source:", "%s", source(&td.Spec.Source))
	d.line("Data:", "%s", place(td))
	d.line("Seeding:", "%s", seeding(td.Spec.Seeding))
	d.line("Limits:", "%s", limits(td.Spec.Limits))
	d.line("If deleted:", "%s", fate(td))
	d.line("Age:", "%s", age(td.CreationTimestamp.Time, d.now))
	if at := td.Status.CompletionTime; at != nil {
		d.line("Complete:", "since %s", age(at.Time, d.now))
	}
	d.worker(&td.Status.Worker)
	if v.Total > 0 {
		fmt.Fprintf(d.out, "\n%s\n%s\n%s\n", termui.Bar(d.style, d.width, v.Done, v.Total),
			termui.Line(d.style, d.width, transfer(&v)), termui.Strip(d.style, v.Pieces.Cells(d.width)))
	}
	d.closely(s)
	d.conditions(v.Conditions)
	d.events(s)
}

// source says where a torrent comes from. What of an address may be a secret is
// left out.
func source(s *v1alpha1.Source) string {
	switch {
	case s.Magnet != "":
		return "magnet link"
	case s.InfoHash != "":
		return "info hash"
	case s.URL != nil:
		return redact(s.URL.Address)
	case s.MetainfoFrom != nil && s.MetainfoFrom.SecretKeyRef != nil:
		return "Secret " + s.MetainfoFrom.SecretKeyRef.Name
	case s.MetainfoFrom != nil && s.MetainfoFrom.ConfigMapKeyRef != nil:
		return "ConfigMap " + s.MetainfoFrom.ConfigMapKeyRef.Name
	}
	return ""
}

// redact returns the scheme and host of a URL.
func redact(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	host, _, cut := strings.Cut(rest, "/")
	if cut {
		return scheme + "://" + host + "/…"
	}
	return scheme + "://" + host
}

func seeding(s v1alpha1.Seeding) string {
	switch s.Policy {
	case v1alpha1.SeedingRatio:
		return fmt.Sprintf("until %d%% of its size was sent", s.RatioPercent)
	case v1alpha1.SeedingDuration:
		return "for " + termui.Duration(time.Duration(s.DurationSeconds)*time.Second) + " after completion"
	case v1alpha1.SeedingForever:
		return "as long as it exists"
	}
	return ""
}

func limits(l v1alpha1.Limits) string {
	var all []string
	if q := l.DownloadBytesPerSecond; q != nil {
		all = append(all, "down "+q.String()+"/s")
	}
	if q := l.UploadBytesPerSecond; q != nil {
		all = append(all, "up "+q.String()+"/s")
	}
	if l.MaxPeers > 0 {
		all = append(all, fmt.Sprintf("%d peers", l.MaxPeers))
	}
	return strings.Join(all, ", ")
}

func (d *description) worker(w *v1alpha1.WorkerStatus) {
	d.line("Pod:", "%s", w.PodName)
	d.line("Node:", "%s", w.NodeName)
	if f := w.LastFailure; f != nil {
		when := ""
		if f.Time != nil {
			when = ", " + age(f.Time.Time, d.now) + " ago"
		}
		d.line("Last failed:", "%s%s: %s", f.Reason, when, f.Message)
	}
}

// table writes a heading and rows of cells.
func (d *description) table(title string, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(d.out, "\n%s:\n", title)
	w := printers.GetNewTabWriter(d.out)
	for _, row := range slices.Insert(slices.Clone(rows), 0, head) {
		for i := range row {
			row[i] = termui.Clean(row[i])
		}
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	w.Flush()
}

// closely writes what only the worker knows, or why that can't be shown.
func (d *description) closely(s *sight) {
	if s.noDetail != nil {
		fmt.Fprintf(d.out, "\nPeers, trackers and files are not shown. %s\n", termui.Clean(s.noDetail.Error()))
		return
	}
	p := &s.detail.Progress
	var rows [][]string
	for _, t := range p.Trackers {
		state := "works"
		if t.LastError != "" {
			state = t.LastError
		}
		next := "-"
		if !t.NextAnnounce.IsZero() {
			next = "in " + termui.Duration(max(0, t.NextAnnounce.Sub(d.now)))
		}
		rows = append(rows, []string{t.URL, number(t.Seeds), number(t.Peers), next, state})
	}
	for _, w := range p.WebSeeds {
		rows = append(rows, []string{w.URL + " (web seed)", "-", "-", "-", cmp.Or(w.LastError, "works")})
	}
	d.table("Trackers and web seeds", []string{"URL", "SEEDS", "PEERS", "NEXT", "STATE"}, rows)
	d.peers(&s.detail)
	d.files(&s.detail)
}

func number(n int) string { return known(n >= 0, fmt.Sprint(n)) }

func (d *description) peers(detail *download.Detail) {
	var rows [][]string
	for _, p := range detail.Peers[:min(len(detail.Peers), d.most)] {
		has := "-"
		if total := detail.Progress.Pieces.Total; total > 0 {
			has = fmt.Sprintf("%d%%", termui.Percent(int64(p.Pieces), int64(total)))
		}
		rows = append(rows, []string{
			p.Address, or(p.Client), p.Source, has, termui.Rate(p.DownloadBytesPerSecond), termui.Rate(p.UploadBytesPerSecond),
			termui.Bytes(p.Downloaded), termui.Bytes(p.Uploaded), relation(&p), age(p.Since, d.now),
		})
	}
	d.table("Peers", []string{"ADDRESS", "CLIENT", "FROM", "HAS", "DOWN", "UP", "RECEIVED", "SENT", "STATE", "SINCE"}, rows)
	d.more(len(detail.Peers))
}

// relation says in words what a peer and we are to each other (BEP 3).
func relation(p *download.Peer) string {
	var words []string
	switch {
	case p.Snubbed:
		words = append(words, "lets us wait")
	case p.Wanted && p.Choking:
		words = append(words, "chokes us")
	case p.Wanted:
		words = append(words, "serves us")
	}
	switch {
	case p.Interested && p.Choked:
		words = append(words, "choked")
	case p.Interested:
		words = append(words, "is served")
	}
	return or(strings.Join(words, ", "))
}

func (d *description) files(detail *download.Detail) {
	var rows [][]string
	for _, f := range detail.Files[:min(len(detail.Files), d.most)] {
		done := "not wanted"
		if f.Selected {
			done = fmt.Sprintf("%d%%", termui.Percent(f.Verified, f.Size))
		}
		rows = append(rows, []string{done, termui.Bytes(f.Size), f.Path})
	}
	d.table("Files", []string{"DONE", "SIZE", "PATH"}, rows)
	d.more(detail.FileCount)
}

// more says how many of all are not listed.
func (d *description) more(all int) {
	if all > d.most {
		fmt.Fprintf(d.out, "  and %d more; --all lists them\n", all-d.most)
	}
}

func (d *description) conditions(conditions []metav1.Condition) {
	var rows [][]string
	for _, c := range conditions {
		rows = append(rows, []string{c.Type, string(c.Status), c.Reason, age(c.LastTransitionTime.Time, d.now), c.Message})
	}
	d.table("Conditions", []string{"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"}, rows)
}

func (d *description) events(s *sight) {
	if s.noEvents != nil {
		fmt.Fprintf(d.out, "\nEvents are not shown: %s\n", termui.Clean(s.noEvents.Error()))
		return
	}
	var rows [][]string
	for _, e := range s.events {
		kind := "Normal"
		if e.Warning {
			kind = "Warning"
		}
		when := age(e.At, d.now)
		if e.Count > 1 {
			when += fmt.Sprintf(" (%d times)", e.Count)
		}
		rows = append(rows, []string{when, kind, e.Reason, e.Note})
	}
	d.table("Events", []string{"AGE", "TYPE", "REASON", "NOTE"}, rows)
}
