package client

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// followAgain is how long Follow waits before it lists again what it has lost
// sight of.
const followAgain = time.Second

// Query says which downloads are meant.
type Query struct {
	Namespace string // "" is all.
	Name      string // "" is all.
	Labels    string // A selector as in kubectl; "" is all.
}

// options is the query for a list and a watch.
func (q Query) options() (*client.ListOptions, error) {
	o := &client.ListOptions{Namespace: q.Namespace}
	if q.Name != "" {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, q.Name)
	}
	if q.Labels != "" {
		var err error
		if o.LabelSelector, err = labels.Parse(q.Labels); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Downloads are TorrentDownloads by their names.
type Downloads map[types.NamespacedName]*v1alpha1.TorrentDownload

// Downloads lists what a query means.
func (c *Client) Downloads(ctx context.Context, q Query) (*v1alpha1.TorrentDownloadList, error) {
	o, err := q.options()
	if err != nil {
		return nil, err
	}
	var list v1alpha1.TorrentDownloadList
	if err := c.List(ctx, &list, o); err != nil {
		return nil, Explain(err)
	}
	return &list, nil
}

// Follow shows all downloads that a query means, at first and after each
// change, until show returns false or ctx ends; neither is an error. The map is
// show's only while it is called; what is in it is not changed. A connection
// that is lost is made again, but for what was never seen at all.
func (c *Client) Follow(ctx context.Context, q Query, show func(Downloads) bool) error {
	seen := false
	for {
		on, err := c.followOnce(ctx, q, func(all Downloads) bool {
			seen = true
			return show(all)
		})
		switch {
		case ctx.Err() != nil || !on:
			return nil //nolint:nilerr // Whoever ends it wants to know no more.
		case err != nil && (!seen || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)):
			return Explain(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followAgain):
		}
	}
}

// followOnce lists and then watches, until the watch ends. on says that it is
// to go on.
func (c *Client) followOnce(ctx context.Context, q Query, show func(Downloads) bool) (on bool, err error) {
	list, err := c.Downloads(ctx, q)
	if err != nil {
		return true, err
	}
	all := Downloads{}
	for i := range list.Items {
		all[client.ObjectKeyFromObject(&list.Items[i])] = &list.Items[i]
	}
	if !show(all) {
		return false, nil
	}
	o, err := q.options()
	if err != nil {
		return true, err
	}
	o.Raw = &metav1.ListOptions{ResourceVersion: list.ResourceVersion}
	w, err := c.Watch(ctx, &v1alpha1.TorrentDownloadList{}, o)
	if err != nil {
		return true, err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		td, ok := e.Object.(*v1alpha1.TorrentDownload)
		if !ok {
			return true, apierrors.FromObject(e.Object)
		}
		if key := client.ObjectKeyFromObject(td); e.Type == watch.Deleted {
			delete(all, key)
		} else {
			all[key] = td
		}
		if !show(all) {
			return false, nil
		}
	}
	return true, nil
}
