package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/controllers"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
	"github.com/torrent-operator/torrent-operator/internal/executor/inproc"
)

// closeTimeout bounds how long the operator takes to stop its downloads. It is
// below the 30 seconds that Kubernetes gives a Pod.
const closeTimeout = 20 * time.Second

// leastAssembly is the least memory, in bytes, in which pieces can be put
// together.
const leastAssembly = 1 << 20

// managerFlags are the flags of the manager command, as its help describes
// them.
type managerFlags struct {
	kubeconfig        string
	metricsAddr       string
	metricsPlain      bool
	healthAddr        string
	leaderElect       bool
	leaderElectNS     string
	nodeName          string
	roots             []string
	deny, allow       []string
	ports             string
	assembly          string
	writeQPS          float64
	progressInterval  time.Duration
	concurrent        int
	logFormat, logLvl string
}

func managerCommand() *cobra.Command {
	var f managerFlags
	cmd := &cobra.Command{
		Use:   "manager",
		Short: "Run the operator: serve TorrentDownloads of a Kubernetes cluster",
		Long: `Run the operator: serve TorrentDownloads of a Kubernetes cluster.

Downloads run in this process and are written to PersistentVolumes of type
hostPath and local on this node, below the folders given by
--local-volume-root. There is no wall between what strangers send and the
rights of this process: use it where one team owns the cluster.

HTTP trackers, web seeds and the URLs of .torrent files are reached through the
proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name, and so is the API
server: put its address into NO_PROXY unless that is meant.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runManager(cmd.Context(), f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file; default: the KUBECONFIG variable, the Pod's service account, then ~/.kube/config")
	fs.StringVar(&f.metricsAddr, "metrics-bind-address", ":8443", `address of the metrics endpoint; "0" turns it off`)
	fs.BoolVar(&f.metricsPlain, "metrics-insecure", false, "serve metrics over plain HTTP to anybody, instead of over TLS to those who may get them")
	fs.StringVar(&f.healthAddr, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	fs.BoolVar(&f.leaderElect, "leader-elect", false, "take a Lease first, so that of several replicas one works at a time")
	fs.StringVar(&f.leaderElectNS, "leader-election-namespace", "", "namespace of the Lease; default: that of the Pod")
	fs.StringVar(&f.nodeName, "node-name", os.Getenv("NODE_NAME"), "name of the Node on which this process runs (env NODE_NAME)")
	fs.StringSliceVar(&f.roots, "local-volume-root", nil, "folder of this node below which volumes may be written to; may be repeated; none: no volume is written to")
	fs.StringSliceVar(&f.deny, "deny-cidrs", []string{"127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10"}, "networks that downloads may not connect to (trackers, peers, metainfo URLs); the API server's addresses are always added")
	fs.StringSliceVar(&f.allow, "allow-cidrs", nil, "networks that downloads may connect to although they are denied")
	fs.StringVar(&f.ports, "listen-ports", "6881-6889", "TCP port for peers, or a range of which the first free one is taken")
	fs.StringVar(&f.assembly, "assembly-memory", "64Mi", "memory for pieces that are being put together, for all downloads at once")
	fs.Float64Var(&f.writeQPS, "status-write-qps", controllers.DefaultStatusWriteQPS, "status writes a second, for all downloads at once")
	fs.DurationVar(&f.progressInterval, "progress-min-interval", controllers.DefaultProgressMinInterval, "least time between two status writes of one download that only report progress")
	fs.IntVar(&f.concurrent, "max-concurrent-reconciles", controllers.DefaultMaxConcurrentReconciles, "how many downloads are worked on at once")
	fs.StringVar(&f.logFormat, "log-format", "json", "json or text")
	fs.StringVar(&f.logLvl, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// runManager is the one place where the operator is put together.
func runManager(ctx context.Context, f managerFlags) error {
	log, err := newLogger(f.logFormat, f.logLvl)
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	klog.SetSlogLogger(log) // client-go logs there, leader election for one.
	if err := f.check(); err != nil {
		return err
	}
	roots, err := volumeRoots(f.roots)
	if err != nil {
		return err
	}
	settings, err := engineConfig(f, log)
	if err != nil {
		return err
	}
	kube, err := restConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	endpoints, err := apiServerEndpoints(ctx, kube)
	if err != nil {
		return err
	}
	settings.Guard.Deny = slices.Concat(settings.Guard.Deny, apiServer(ctx, kube), endpoints)
	eng, err := engine.New(settings)
	if err != nil {
		return err
	}
	mgr, err := newManager(f, kube)
	if err != nil {
		return errors.Join(err, eng.Close(ctx))
	}
	exec := inproc.New(inproc.Config{
		Engine: eng, NodeName: f.nodeName,
		Volumes: inproc.Claims{Reader: mgr.GetClient(), NodeName: f.nodeName, Roots: roots},
	})
	err = (&controllers.TorrentDownloadReconciler{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Executor: exec,
		Recorder:       mgr.GetEventRecorder("torrent-operator"),
		StatusWriteQPS: f.writeQPS, ProgressMinInterval: f.progressInterval, MaxConcurrentReconciles: f.concurrent,
	}).SetupWithManager(mgr)
	if err == nil {
		// Nothing is written any more when the Lease is given up.
		err = mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
			<-ctx.Done()
			return closeIn(ctx, exec.Close)
		}))
	}
	if err == nil {
		log.Info("starting", "peerPort", eng.Port(), "node", f.nodeName, "localVolumeRoots", roots)
		err = mgr.Start(ctx)
	}
	return errors.Join(err, closeIn(ctx, func(ctx context.Context) error {
		return errors.Join(exec.Close(ctx), eng.Close(ctx))
	}))
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
	mgr, err := ctrl.NewManager(kube, ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 metrics,
		HealthProbeBindAddress:  f.healthAddr,
		LeaderElection:          f.leaderElect,
		LeaderElectionID:        "torrent-operator." + v1alpha1.GroupVersion.Group,
		LeaderElectionNamespace: f.leaderElectNS,
		// The downloads end before, and the process does right after.
		LeaderElectionReleaseOnCancel: true,
		// Volumes and nodes are read seldom: watching all of a cluster's is not worth it.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.PersistentVolume{}, &corev1.Node{}}}},
	})
	if err != nil {
		return nil, err
	}
	return mgr, errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping))
}

// check refuses settings of the controller that make no sense.
func (f managerFlags) check() error {
	switch {
	case !(f.writeQPS > 0): // NaN is not either.
		return fmt.Errorf("--status-write-qps: %v is not a number above 0", f.writeQPS)
	case f.progressInterval <= 0:
		return fmt.Errorf("--progress-min-interval: %v is not a time above 0, such as 10s", f.progressInterval)
	case f.concurrent < 1:
		return fmt.Errorf("--max-concurrent-reconciles: %d is not a number above 0", f.concurrent)
	}
	return nil
}

// engineConfig reads the settings of the engine from the flags.
func engineConfig(f managerFlags, log *slog.Logger) (engine.Config, error) {
	var none engine.Config
	first, last, err := portRange(f.ports)
	if err != nil {
		return none, err
	}
	memory, err := resource.ParseQuantity(f.assembly)
	if err != nil || memory.Value() < leastAssembly {
		return none, fmt.Errorf("--assembly-memory: %q is not an amount of memory of at least 1Mi, such as 64Mi", f.assembly)
	}
	guard := new(transport.Guard)
	if guard.Deny, err = prefixes("--deny-cidrs", f.deny); err != nil {
		return none, err
	}
	if guard.Allow, err = prefixes("--allow-cidrs", f.allow); err != nil {
		return none, err
	}
	return engine.Config{PortFirst: first, PortLast: last, AssemblyBytes: memory.Value(), Guard: guard, Logger: log}, nil
}

// apiServer returns the addresses of the API server, both as this process
// reaches it and as Pods do.
func apiServer(ctx context.Context, kube *rest.Config) []netip.Prefix {
	hosts := []string{os.Getenv("KUBERNETES_SERVICE_HOST")}
	if u, _, err := rest.DefaultServerUrlFor(kube); err == nil {
		hosts = append(hosts, u.Hostname())
	}
	var out []netip.Prefix
	for _, host := range hosts {
		if host == "" {
			continue
		}
		addrs, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host) // What does not resolve can't be dialed either.
		for _, a := range addrs {
			a = a.Unmap()
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

// apiServerEndpoints returns the addresses of the API servers behind that of
// their Service.
func apiServerEndpoints(ctx context.Context, kube *rest.Config) ([]netip.Prefix, error) {
	c, err := discoveryv1client.NewForConfig(kube)
	if err != nil {
		return nil, err
	}
	slice, err := c.EndpointSlices(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // It has none that Pods could reach.
	} else if err != nil {
		return nil, fmt.Errorf("asking for the API servers' addresses, which no download may connect to: %w", err)
	}
	var out []netip.Prefix
	for i := range slice.Endpoints {
		for _, address := range slice.Endpoints[i].Addresses {
			if a, err := netip.ParseAddr(address); err == nil {
				out = append(out, netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	return out, nil
}

// portRange reads "6881" or "6881-6889".
func portRange(s string) (first, last int, err error) {
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	lo, errLo := strconv.ParseUint(a, 10, 16)
	hi, errHi := strconv.ParseUint(b, 10, 16)
	if errLo != nil || errHi != nil || lo == 0 || hi < lo {
		return 0, 0, fmt.Errorf("--listen-ports: %q is not a port such as 6881 or a range such as 6881-6889", s)
	}
	return int(lo), int(hi), nil
}

func prefixes(flag string, cidrs []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, c := range cidrs {
		p, err := netip.ParsePrefix(c)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a network such as 10.0.0.0/8", flag, c)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// volumeRoots checks that the allowed folders exist: a misspelt one would
// refuse every volume later.
func volumeRoots(roots []string) ([]string, error) {
	out := make([]string, len(roots))
	for i, root := range roots {
		if !filepath.IsAbs(root) { // An empty one would be the folder that this process was started in.
			return nil, fmt.Errorf("--local-volume-root: %q is not the whole path of a folder, such as /var/lib/torrent-operator", root)
		}
		out[i] = filepath.Clean(root)
		if info, err := os.Stat(out[i]); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("--local-volume-root: %s is not a folder on this node; create it or correct the flag", out[i])
		}
	}
	return out, nil
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
