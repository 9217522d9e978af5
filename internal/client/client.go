// Package client is what a person's client does with downloads: it adds,
// changes, watches and removes TorrentDownloads through the API server, with
// that person's rights and no others, and tells how they stand. The kubectl
// plugin and the dashboard share it. It shows nothing and decides nothing.
package client

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// Scheme knows all types that a [Client] reads and writes. It is not changed.
var Scheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(s))
	utilruntime.Must(eventsv1.AddToScheme(s))
	utilruntime.Must(storagev1.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// kinds maps the types that are used to their resources, so that nobody has to
// ask the API server for a list of all it has.
func kinds() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind), meta.RESTScopeNamespace)
	for _, kind := range []string{"ConfigMap", "Secret", "Pod", "PersistentVolumeClaim"} {
		m.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	m.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	m.Add(eventsv1.SchemeGroupVersion.WithKind("Event"), meta.RESTScopeNamespace)
	m.Add(storagev1.SchemeGroupVersion.WithKind("StorageClass"), meta.RESTScopeRoot)
	return m
}

// Client acts on downloads for one person. It may be used by many goroutines
// at once. What it embeds reads, lists and watches the types of [Scheme].
type Client struct {
	client.WithWatch
	config *rest.Config
}

// New returns a client that acts as whoever the configuration belongs to. It
// asks the API server nothing yet.
func New(config *rest.Config) (*Client, error) {
	c, err := client.NewWithWatch(config, client.Options{Scheme: Scheme, Mapper: kinds()})
	if err != nil {
		return nil, fmt.Errorf("can't make a client for %s: %w", config.Host, err)
	}
	return &Client{c, config}, nil
}

// Download reads a TorrentDownload.
func (c *Client) Download(ctx context.Context, key types.NamespacedName) (*v1alpha1.TorrentDownload, error) {
	td := &v1alpha1.TorrentDownload{}
	if err := c.Get(ctx, key, td); err != nil {
		return nil, Explain(err)
	}
	return td, nil
}
