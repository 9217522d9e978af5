package dashboard

import (
	"bytes"
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/client"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// looking follows one download for one person: its object, and what its worker
// shows of it to those who may look.
type looking struct {
	readers *readers // Its lock guards last.
	person  *person
	key     types.NamespacedName

	last event

	// Of the goroutine that runs it alone:
	line    *client.Look
	pod     string // Whose line it is.
	retry   time.Time
	why     string // There is no line, for a person.
	events  []client.Event
	eventAt time.Time
}

// look is what a browser is told of one download.
type look struct {
	View       row             `json:"view"`
	Suspended  bool            `json:"suspended"`
	Pieces     piecesLook      `json:"pieces"`
	Close      string          `json:"close"` // What stands in the place of peers.
	Peers      []peerLook      `json:"peers"`
	Files      []fileLook      `json:"files"`
	Trackers   []trackerLook   `json:"trackers"`
	Conditions []conditionLook `json:"conditions"`
	Events     []eventLook     `json:"events"`
	YAML       string          `json:"yaml"`
}

type piecesLook struct {
	Cells    string `json:"c"`
	Total    int    `json:"total"`
	Verified int    `json:"verified"`
	Busy     int    `json:"busy"`
	Length   int64  `json:"length"`
}

type peerLook struct {
	Address    string `json:"address"`
	Client     string `json:"client"`
	Source     string `json:"source"`
	Down       int64  `json:"down"`
	Up         int64  `json:"up"`
	Pieces     int    `json:"pieces"`
	Choking    bool   `json:"choking"`
	Interested bool   `json:"interested"`
	Choked     bool   `json:"choked"`
	Wanted     bool   `json:"wanted"`
	Snubbed    bool   `json:"snubbed"`
}

type fileLook struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Verified int64  `json:"verified"`
	Selected bool   `json:"selected"`
}

// trackerLook is a tracker as the worker last heard of it. Seeds and Peers are
// -1 where it did not say.
type trackerLook struct {
	URL   string    `json:"url"`
	Error string    `json:"error"` // "" while it works.
	Next  time.Time `json:"next"`
	Seeds int       `json:"seeds"`
	Peers int       `json:"peers"`
}

type conditionLook struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

type eventLook struct {
	At      time.Time `json:"at"`
	Warning bool      `json:"warning"`
	Reason  string    `json:"reason"`
	Note    string    `json:"note"`
	Count   int       `json:"count"`
}

// run implements feed.
func (l *looking) run(ctx context.Context) *over {
	defer func() {
		if l.line != nil {
			l.line.Close()
		}
	}()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if why := l.once(ctx); why != nil {
			return why
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// once reads everything and tells what has changed. It returns why there will
// be nothing to tell any more.
func (l *looking) once(ctx context.Context) *over {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	td, err := l.person.Download(ctx, l.key)
	switch {
	case apierrors.IsNotFound(err):
		return &over{Text: "This download has been deleted."}
	case apierrors.IsForbidden(err), unknown(err):
		return &over{Text: explain(err, "see this download").Text, Login: true}
	case err != nil:
		return nil // The page goes on showing what it has.
	}
	if now := time.Now(); now.Sub(l.eventAt) >= eventsEvery {
		if events, err := l.person.Events(ctx, td); err == nil {
			l.events = events
		}
		l.eventAt = now
	}
	e := newEvent("look", newLook(td, l.detail(ctx, td), l.why, l.events))
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	if !bytes.Equal(e, l.last) {
		l.last = e
		l.readers.tell(e)
	}
	return nil
}

// whole implements feed.
func (l *looking) whole() []event {
	if l.last == nil {
		return nil
	}
	return []event{l.last}
}

// detail asks the worker, nil if it does not answer; why says the reason then.
// A line that can't be had is not tried again at once.
func (l *looking) detail(ctx context.Context, td *v1alpha1.TorrentDownload) *download.Detail {
	pod := td.Status.Worker.PodName
	if l.line != nil && l.pod != pod {
		l.line.Close()
		l.line = nil
	}
	if l.line == nil {
		if pod != "" && pod == l.pod && time.Now().Before(l.retry) {
			return nil
		}
		line, err := l.person.Look(ctx, td)
		l.pod, l.retry = pod, time.Now().Add(eventsEvery)
		if err != nil {
			l.because(err)
			return nil
		}
		l.line = line
	}
	d, err := l.line.Detail(ctx)
	if err != nil {
		l.line.Close()
		l.line = nil
		l.because(err)
		return nil
	}
	l.why = ""
	return &d
}

func (l *looking) because(err error) {
	if errors.Is(err, client.ErrNoDetail) {
		l.why = sentence(err.Error())
	}
}

// newLook puts together what is told. d is nil if the worker can't be asked.
func newLook(td *v1alpha1.TorrentDownload, d *download.Detail, why string, events []client.Event) look {
	view := client.Describe(td)
	out := look{Suspended: td.Spec.Suspend != nil && *td.Spec.Suspend, Close: why, YAML: asYAML(td)}
	if d != nil {
		view = view.Closer(d)
		out.Close = "No peer is connected."
		for i := range d.Peers[:min(len(d.Peers), maxPeers)] {
			p := &d.Peers[i]
			out.Peers = append(out.Peers, peerLook{
				Address: termui.Clean(p.Address), Client: termui.Clean(p.Client), Source: p.Source,
				Down: p.DownloadBytesPerSecond, Up: p.UploadBytesPerSecond, Pieces: p.Pieces,
				Choking: p.Choking, Interested: p.Interested, Choked: p.Choked, Wanted: p.Wanted, Snubbed: p.Snubbed,
			})
		}
		for _, t := range d.Progress.Trackers[:min(len(d.Progress.Trackers), maxTrackers)] {
			out.Trackers = append(out.Trackers, trackerLook{termui.Clean(t.URL), termui.Clean(t.LastError), t.NextAnnounce, t.Seeds, t.Peers})
		}
		for _, f := range d.Files[:min(len(d.Files), maxFiles)] {
			out.Files = append(out.Files, fileLook{termui.Clean(f.Path), f.Size, f.Verified, f.Selected})
		}
		if more := len(d.Files) - maxFiles; more > 0 {
			out.Files = append(out.Files, fileLook{Path: "and " + itoa(int64(more)) + " more files"})
		}
	}
	out.View = rowOfView(td, view)
	out.View.Message = termui.Clean(view.Message)
	p := view.Pieces
	out.Pieces = piecesLook{cells(p, maxCells), p.Total, p.Verified, p.InProgress, p.Length}
	for _, c := range view.Conditions {
		out.Conditions = append(out.Conditions, conditionLook{c.Type, string(c.Status), c.Reason, termui.Clean(c.Message), c.LastTransitionTime.Time})
	}
	for i := len(events) - 1; i >= 0; i-- { // The latest first.
		e := events[i]
		out.Events = append(out.Events, eventLook{e.At, e.Warning, e.Reason, termui.Clean(e.Note), e.Count})
	}
	return out
}

// asYAML is an object as people write it, without what the API server keeps
// for itself.
func asYAML(td *v1alpha1.TorrentDownload) string {
	td = td.DeepCopy()
	td.ManagedFields = nil
	td.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
	b, err := yaml.Marshal(td)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
