package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/controllers"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/executor/podexec"
	"github.com/torrent-operator/torrent-operator/internal/version"
)

// closeTimeout bounds how long the operator takes to stop its downloads. It is
// below the 30 seconds that Kubernetes gives a Pod.
const closeTimeout = 20 * time.Second

// managerFlags are the flags of the manager command, as its help describes
// them.
type managerFlags struct {
	kubeconfig        string
	executor          string
	metricsAddr       string
	metricsPlain      bool
	healthAddr        string
	leaderElect       bool
	namespace         string
	watch             []string
	writeQPS          float64
	progressInterval  time.Duration
	concurrent        int
	sharePrivate      bool
	udp               udpFlags
	logFormat, logLvl string
	inProcess         inProcessFlags
	pods              podFlags
}

// The executors that there are, by the names that --executor knows.
const (
	executorPods      = "pods"
	executorInProcess = "in-process"
)

func managerCommand() *cobra.Command {
	var f managerFlags
	cmd := &cobra.Command{
		Use:   "manager",
		Short: "Run the operator: serve TorrentDownloads of a Kubernetes cluster",
		Long: `Run the operator: serve TorrentDownloads of a Kubernetes cluster.

Each download runs in a Pod of its own, in the namespace of its object and with
its claim mounted. With --executor=in-process downloads run in this process and
are written to PersistentVolumes of type hostPath and local on this node, below
the folders given by --local-volume-root: there is no wall then between what
strangers send and the rights of this process, so use that where one team owns
the cluster. Flags that begin with "in-process:" or "pods:" are for that
executor alone.

HTTP trackers, web seeds and the URLs of .torrent files are reached through the
proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name, and so is the API
server: put its address into NO_PROXY unless that is meant.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runManager(cmd.Context(), f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file; default: the KUBECONFIG variable, the Pod's service account, then ~/.kube/config")
	fs.StringVar(&f.executor, "executor", executorPods, "where downloads run: pods or in-process")
	fs.StringVar(&f.metricsAddr, "metrics-bind-address", ":8443", `address of the metrics endpoint; "0" turns it off`)
	fs.BoolVar(&f.metricsPlain, "metrics-insecure", false, "serve metrics over plain HTTP to anybody, instead of over TLS to those who may get them")
	fs.StringVar(&f.healthAddr, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	fs.BoolVar(&f.leaderElect, "leader-elect", false, "take a Lease first, so that of several replicas one works at a time")
	fs.StringVar(&f.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace of the operator: of its Lease, and of the Secret and Service by which worker Pods reach it (env POD_NAMESPACE)")
	fs.StringSliceVar(&f.watch, "watch-namespaces", nil, "serve the TorrentDownloads of these namespaces alone; default: those of all")
	fs.Float64Var(&f.writeQPS, "status-write-qps", controllers.DefaultStatusWriteQPS, "status writes a second, for all downloads at once")
	fs.DurationVar(&f.progressInterval, "progress-min-interval", controllers.DefaultProgressMinInterval, "least time between two status writes of one download that only report progress")
	fs.IntVar(&f.concurrent, "max-concurrent-reconciles", controllers.DefaultMaxConcurrentReconciles, "how many downloads are worked on at once")
	fs.BoolVar(&f.sharePrivate, "share-private-torrents", false, "let downloads of one private torrent in one namespace know of each other, past the torrent's own trackers (BEP 27)")
	f.udp.register(fs)
	fs.StringVar(&f.logFormat, "log-format", "json", "json or text")
	fs.StringVar(&f.logLvl, "log-level", "info", "debug, info, warn or error")
	f.inProcess.register(fs)
	f.pods.register(fs)
	return cmd
}

// starter puts an executor together for a manager. What can be wrong with the
// flags has been looked at before.
type starter func(ctx context.Context, mgr ctrl.Manager) (*runner, error)

// runner is an executor, ready to be started with the manager.
type runner struct {
	download.Executor
	// close ends what runs in this process, after the manager or if it could
	// not be started. It may be called more than once.
	close func(ctx context.Context) error
	about []any // For the first line of the log, in pairs.
}

// runManager is the one place where the operator is put together.
func runManager(ctx context.Context, f managerFlags) error {
	log, err := newLogger(f.logFormat, f.logLvl)
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	klog.SetSlogLogger(log) // client-go logs there, leader election for one.
	if err := errors.Join(f.check(), f.udp.check()); err != nil {
		return err
	}
	prepare := f.inProcess.prepare
	if f.executor == executorPods {
		prepare = f.pods.prepare
	}
	start, err := prepare(f.namespace, f.udp, log)
	if err != nil {
		return err
	}
	kube, err := restConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	mgr, err := newManager(f, kube)
	if err != nil {
		return err
	}
	run, err := start(ctx, mgr)
	if err != nil {
		return err
	}
	err = (&controllers.TorrentDownloadReconciler{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Executor: run,
		Recorder:       mgr.GetEventRecorder("torrent-operator"),
		SharePrivate:   f.sharePrivate,
		StatusWriteQPS: f.writeQPS, ProgressMinInterval: f.progressInterval, MaxConcurrentReconciles: f.concurrent,
	}).SetupWithManager(mgr)
	if err == nil {
		log.Info("starting", append(run.about, "executor", f.executor, "version", version.Read().Version)...)
		err = mgr.Start(ctx)
	}
	return errors.Join(err, closeIn(ctx, run.close))
}

// closeIn gives something closeTimeout to close, though ctx has ended.
func closeIn(ctx context.Context, closes func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return closes(ctx)
}

func newManager(f managerFlags, kube *rest.Config) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	metrics := metricsserver.Options{BindAddress: f.metricsAddr}
	if !f.metricsPlain {
		metrics.SecureServing, metrics.FilterProvider = true, filters.WithAuthenticationAndAuthorization
	}
	held := podexec.CacheOptions()
	maps.Copy(held, controllers.CacheOptions())
	mgr, err := ctrl.NewManager(kube, ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 metrics,
		HealthProbeBindAddress:  f.healthAddr,
		LeaderElection:          f.leaderElect,
		LeaderElectionID:        "torrent-operator." + v1alpha1.GroupVersion.Group,
		LeaderElectionNamespace: f.namespace,
		// The downloads end before, and the process does right after.
		LeaderElectionReleaseOnCancel: true,
		// Volumes and nodes are read seldom: watching all of a cluster's is not worth it.
		Cache:  cache.Options{ByObject: held, DefaultNamespaces: watched(f.watch)},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.PersistentVolume{}, &corev1.Node{}}}},
	})
	if err != nil {
		return nil, err
	}
	return mgr, errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping))
}

// watched is what the cache holds: these namespaces, or all if there are none.
func watched(namespaces []string) map[string]cache.Config {
	if len(namespaces) == 0 {
		return nil
	}
	of := map[string]cache.Config{}
	for _, ns := range namespaces {
		of[ns] = cache.Config{}
	}
	return of
}

// check refuses settings of the controller that make no sense.
func (f managerFlags) check() error {
	switch {
	case f.executor != executorPods && f.executor != executorInProcess:
		return fmt.Errorf("--executor: %q is neither %s nor %s", f.executor, executorPods, executorInProcess)
	case !(f.writeQPS > 0): // NaN is not either.
		return fmt.Errorf("--status-write-qps: %v is not a number above 0", f.writeQPS)
	case f.progressInterval <= 0:
		return fmt.Errorf("--progress-min-interval: %v is not a time above 0, such as 10s", f.progressInterval)
	case f.concurrent < 1:
		return fmt.Errorf("--max-concurrent-reconciles: %d is not a number above 0", f.concurrent)
	}
	for _, ns := range f.watch { // An empty one would be all of them.
		if why := validation.IsDNS1123Label(ns); why != nil {
			return fmt.Errorf("--watch-namespaces: %q is not the name of a namespace: %s", ns, strings.Join(why, "; "))
		}
	}
	return nil
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		if _, err := os.Stat(kubeconfig); err != nil {
			return nil, fmt.Errorf("--kubeconfig: %w", err)
		}
		os.Setenv("KUBECONFIG", kubeconfig)
	}
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("no Kubernetes cluster to work for: %w; give --kubeconfig", err)
	}
	return cfg, nil
}

func newLogger(format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level: %q is not debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
	}
	return nil, fmt.Errorf("--log-format: %q is neither json nor text", format)
}
