// Package controllers connects TorrentDownload objects with an executor: it
// reads the cluster, has package lifecycle decide, carries the decision out,
// and writes the status once. It decides nothing itself, knows nothing of
// BitTorrent, and does not know what kind of executor main has handed in.
package controllers

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// The rights that the manager needs. Secrets are read one at a time, by name,
// so there is no right to list them. Claims are made and grown where a download
// has a template for one, if their StorageClass allows it. A download is
// deleted where its ttlSecondsAfterFinished says so. PersistentVolumes and nodes are what the
// in-process executor looks at. The EndpointSlice holds the API servers'
// addresses, which no download may connect to. Leader election tells its events in the old API.
//
// +kubebuilder:rbac:groups=torrent-operator.io,resources=torrentdownloads,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=torrent-operator.io,resources=torrentdownloads/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=storage.k8s.io,resources=storageclasses,verbs=get
// +kubebuilder:rbac:groups="",resources=persistentvolumes;nodes;namespaces;secrets,verbs=get
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,resourceNames=kubernetes,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=system,resources=leases,verbs=get;create;update
// +kubebuilder:rbac:groups="",namespace=system,resources=events,verbs=create

// Defaults of the settings of a [TorrentDownloadReconciler].
const (
	DefaultStatusWriteQPS          = 50
	DefaultProgressMinInterval     = 10 * time.Second
	DefaultMaxConcurrentReconciles = 8
)

// refresh is after how long any change of telemetry is written.
const refresh = 5 * time.Minute

// TorrentDownloadReconciler reconciles TorrentDownloads. Client, Reader,
// Executor and Recorder must be set; the rest has defaults.
type TorrentDownloadReconciler struct {
	// Client reads TorrentDownloads and claims from the manager's cache, and
	// writes.
	Client client.Client
	// Reader reads ConfigMaps, Secrets and namespaces from the API server, so
	// that none of their contents is held in a cache.
	Reader client.Reader
	// Executor runs the downloads. Its maker closes it, after the manager.
	Executor download.Executor
	// Recorder writes to the events.k8s.io API.
	Recorder events.EventRecorder

	// SharePrivate lets downloads of a private torrent in one namespace be told
	// each other's addresses, besides what their tracker tells them.
	SharePrivate bool
	// StatusWriteQPS bounds the status writes of all downloads together, per
	// second. 0 is DefaultStatusWriteQPS.
	StatusWriteQPS float64
	// ProgressMinInterval is the least time between two writes of one
	// download's telemetry. 0 is DefaultProgressMinInterval.
	ProgressMinInterval time.Duration
	// MaxConcurrentReconciles is how many downloads are worked on at once. 0
	// is DefaultMaxConcurrentReconciles.
	MaxConcurrentReconciles int

	writes *rate.Limiter
	known  *known
}

// SetupWithManager fills in the defaults, registers the controller with mgr
// and returns an error if something is missing. It is called once.
func (r *TorrentDownloadReconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Reader == nil || r.Executor == nil || r.Recorder == nil {
		return fmt.Errorf("a TorrentDownloadReconciler needs Client, Reader, Executor and Recorder")
	}
	if r.StatusWriteQPS == 0 {
		r.StatusWriteQPS = DefaultStatusWriteQPS
	}
	if r.ProgressMinInterval == 0 {
		r.ProgressMinInterval = DefaultProgressMinInterval
	}
	if r.MaxConcurrentReconciles == 0 {
		r.MaxConcurrentReconciles = DefaultMaxConcurrentReconciles
	}
	r.writes = rate.NewLimiter(rate.Limit(r.StatusWriteQPS), max(1, int(r.StatusWriteQPS)))
	r.known = &known{}
	if err := index(mgr.GetFieldIndexer()); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("torrentdownload").
		For(&v1alpha1.TorrentDownload{}).
		Watches(&v1alpha1.TorrentDownload{}, handler.Funcs{DeleteFunc: r.neighboursOf}).
		Watches(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(r.usersOfClaim)).
		WatchesMetadata(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.usersOfConfigMap)).
		WatchesRawSource(changes(r.Executor)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.MaxConcurrentReconciles,
			// The priority queue of controller-runtime 0.24 can hang while it
			// shuts down: it sends to a worker that has left, and holds the
			// lock that another worker needs to leave.
			UsePriorityQueue: ptr.To(false),
		}).
		Complete(r)
}
