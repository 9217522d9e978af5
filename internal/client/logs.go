package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// uidLabel is on all that is made for a download, and says which.
const uidLabel = "torrent-operator.io/uid"

// errNoLog is why there is no log of a download to read.
var errNoLog = errors.New("it has no Pod of its own: it has not begun yet, its last Pod was removed, or it runs in the operator itself, whose log has what it says")

// Logs reads what the worker of a download says: the one that runs, or the last
// one. It is named. The caller closes what is read.
func (c *Client) Logs(ctx context.Context, td *v1alpha1.TorrentDownload, o corev1.PodLogOptions) (pod string, log io.ReadCloser, err error) {
	if pod, err = c.worker(ctx, td); err != nil {
		return "", nil, err
	}
	core, err := c.core()
	if err != nil {
		return "", nil, err
	}
	log, err = core.Get().Resource("pods").Namespace(td.Namespace).Name(pod).SubResource("log").
		VersionedParams(&o, scheme.ParameterCodec).Stream(ctx)
	return pod, log, Explain(err)
}

// worker names the Pod of a download that runs, or that was made last.
func (c *Client) worker(ctx context.Context, td *v1alpha1.TorrentDownload) (string, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(td.Namespace), client.MatchingLabels{uidLabel: string(td.UID)}); err != nil {
		return "", Explain(err)
	}
	if len(pods.Items) == 0 {
		return "", errNoLog
	}
	return slices.MaxFunc(pods.Items, func(a, b corev1.Pod) int {
		if a, b := a.Name == td.Status.Worker.PodName, b.Name == td.Status.Worker.PodName; a != b {
			if a {
				return 1
			}
			return -1
		}
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	}).Name, nil
}

// core is a client of the resources that have no type of their own.
func (c *Client) core() (*rest.RESTClient, error) {
	config := rest.CopyConfig(c.config)
	config.GroupVersion, config.APIPath, config.Timeout = &corev1.SchemeGroupVersion, "/api", 0
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	return rest.RESTClientFor(config)
}

// CheckClaim says what is wrong with the name of a claim, as far as whoever
// asks may know, and which others there are.
func (c *Client) CheckClaim(ctx context.Context, key types.NamespacedName) error {
	if err := c.Get(ctx, key, &corev1.PersistentVolumeClaim{}); !apierrors.IsNotFound(err) {
		return nil // Who may not read claims may use them.
	}
	var list corev1.PersistentVolumeClaimList
	if err := c.List(ctx, &list, client.InNamespace(key.Namespace)); err != nil || len(list.Items) == 0 {
		return fmt.Errorf("there is no claim %q in namespace %s; without a claim one is made for the download", key.Name, key.Namespace)
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return fmt.Errorf("there is no claim %q in namespace %s; there are: %s", key.Name, key.Namespace, strings.Join(names, ", "))
}
