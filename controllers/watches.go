package controllers

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

// The indices of the cache: downloads by what they name in their namespace.
// Only those that may run are found by their info hash.
const (
	byClaim     = "claim"
	byConfigMap = "configmap"
	byInfoHash  = "infohash"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// index tells the cache to keep the indices.
func index(indexer client.FieldIndexer) error {
	for field, names := range map[string]func(*v1alpha1.TorrentDownload) []string{
		byClaim:     func(td *v1alpha1.TorrentDownload) []string { return []string{lifecycle.ClaimName(td)} },
		byConfigMap: configMaps,
		byInfoHash:  neighbourhood,
	} {
		err := indexer.IndexField(context.Background(), &v1alpha1.TorrentDownload{}, field, func(o client.Object) []string {
			return names(o.(*v1alpha1.TorrentDownload))
		})
		if err != nil {
			return fmt.Errorf("indexing TorrentDownloads by %s: %w", field, err)
		}
	}
	return nil
}

// neighbourhood is the info hash of a download that may run. Those at rest are
// nobody's neighbours, and there may be thousands of one torrent.
func neighbourhood(td *v1alpha1.TorrentDownload) []string {
	if h := lifecycle.InfoHash(td); h != "" && lifecycle.NeedsSource(td, nil) {
		return []string{h}
	}
	return nil
}

// configMaps are the names of the ConfigMaps that a download names.
func configMaps(td *v1alpha1.TorrentDownload) []string {
	var names []string
	if u := td.Spec.Source.URL; u != nil && u.CABundleRef != nil {
		names = append(names, u.CABundleRef.Name)
	}
	for _, c := range td.Spec.Discovery.Credentials {
		if c.CABundleRef != nil {
			names = append(names, c.CABundleRef.Name)
		}
	}
	if m := td.Spec.Source.MetainfoFrom; m != nil && m.ConfigMapKeyRef != nil {
		names = append(names, m.ConfigMapKeyRef.Name)
	}
	return names
}

// changes is a source of requests: the downloads whose progress has changed.
func changes(x download.Executor) source.Source {
	return source.Func(func(ctx context.Context, q queue) error {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case id := <-x.Changes():
					q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: id.Namespace, Name: id.Name}})
				}
			}
		}()
		return nil
	})
}

// neighboursOf wakes the downloads of the same claim when one goes: its path
// is free for the next.
func (r *TorrentDownloadReconciler) neighboursOf(ctx context.Context, e event.DeleteEvent, q queue) {
	td, ok := e.Object.(*v1alpha1.TorrentDownload)
	if !ok {
		return
	}
	for _, request := range r.users(ctx, td.Namespace, byClaim, lifecycle.ClaimName(td)) {
		q.Add(request)
	}
}

func (r *TorrentDownloadReconciler) usersOfClaim(ctx context.Context, claim client.Object) []reconcile.Request {
	return r.users(ctx, claim.GetNamespace(), byClaim, claim.GetName())
}

// usersOfConfigMap wakes those who read a ConfigMap that has changed. One that
// is needed again is read again.
func (r *TorrentDownloadReconciler) usersOfConfigMap(ctx context.Context, cm client.Object) []reconcile.Request {
	return r.users(ctx, cm.GetNamespace(), byConfigMap, cm.GetName())
}

// users are the downloads that name something of their namespace.
func (r *TorrentDownloadReconciler) users(ctx context.Context, namespace, field, name string) []reconcile.Request {
	var list v1alpha1.TorrentDownloadList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace),
		client.MatchingFields{field: name}, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "Listing the downloads to wake", "namespace", namespace, field, name)
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return requests
}
