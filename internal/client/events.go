package client

import (
	"context"
	"slices"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// maxEvents bounds how many events of a download are read.
const maxEvents = 200

// Event is something that happened to a download.
type Event struct {
	At           time.Time // When it happened last.
	Warning      bool
	Reason, Note string
	Count        int // How often in a row, 1 or more.
}

// Events returns what the API server remembers to have happened to a download,
// mostly for an hour, the latest last.
func (c *Client) Events(ctx context.Context, td *v1alpha1.TorrentDownload) ([]Event, error) {
	var list eventsv1.EventList
	selector := fields.Set{"regarding.kind": v1alpha1.Kind, "regarding.name": td.Name, "regarding.uid": string(td.UID)}
	if err := c.List(ctx, &list, client.InNamespace(td.Namespace), client.MatchingFieldsSelector{Selector: selector.AsSelector()}, client.Limit(maxEvents)); err != nil {
		return nil, Explain(err)
	}
	out := make([]Event, 0, len(list.Items))
	for i := range list.Items {
		e := &list.Items[i]
		event := Event{At: e.EventTime.Time, Warning: e.Type == "Warning", Reason: e.Reason, Note: e.Note, Count: 1}
		if s := e.Series; s != nil {
			event.At, event.Count = s.LastObservedTime.Time, max(1, int(s.Count))
		}
		if event.At.IsZero() {
			event.At = e.CreationTimestamp.Time
		}
		out = append(out, event)
	}
	slices.SortStableFunc(out, func(a, b Event) int { return a.At.Compare(b.At) })
	return out, nil
}
