package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/certs"
	"github.com/torrent-operator/torrent-operator/internal/cgroup"
	"github.com/torrent-operator/torrent-operator/internal/executor/podexec"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

const (
	// certificates is the Secret with the certificates of the endpoint.
	certificates = "torrent-operator-report"
	// managerContainer is the container of the operator's Pod that runs this.
	managerContainer = "manager"
	// leastPeerPort is the lowest port that a process without rights may
	// listen at.
	leastPeerPort = 1024
)

// podFlags are the flags of the executor that runs Pods.
type podFlags struct {
	podName    string
	image      string
	reportAddr string
	endpoint   string
	defaults   string
	peerPort   int
	// What workers are told besides their own networks, as CIDRs.
	deny, allow []string
}

func (f *podFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.podName, "pod-name", os.Getenv("POD_NAME"), "pods: name of the Pod in which this process runs (env POD_NAME)")
	fs.StringVar(&f.image, "worker-image", "", "pods: image of worker Pods, whose entrypoint is this binary; default: that of the Pod in which this process runs")
	fs.StringVar(&f.reportAddr, "report-bind-address", ":9443", "pods: address at which worker Pods report, over TLS with a certificate that is made and renewed here")
	fs.StringVar(&f.endpoint, "report-endpoint", "", "pods: host:port at which workers find all replicas; default: torrent-operator-report.<namespace>.svc:9443, a headless Service")
	fs.StringVar(&f.defaults, "worker-defaults", "", "pods: YAML file with what holds where a spec.worker says nothing")
	fs.IntVar(&f.peerPort, "worker-peer-port", defaultPeerPort, "pods: TCP port at which a worker takes peers where spec.network.listenPort says nothing")
	fs.StringSliceVar(&f.deny, "worker-deny-cidrs", nil, "pods: networks that downloads may not connect to, besides loopback, link-local and metadata services")
	fs.StringSliceVar(&f.allow, "worker-allow-cidrs", nil, "pods: networks that downloads may connect to although they are denied")
}

// check refuses what makes no sense, fills in what follows from the rest, and
// returns the host by which workers find the operator.
func (f *podFlags) check(namespace string) (host string, err error) {
	if namespace == "" {
		return "", errors.New("--namespace: it has to be known in which namespace the operator runs, outside of a Pod too")
	}
	if f.image == "" && f.podName == "" {
		return "", errors.New("--worker-image: name the image of the worker Pods, or --pod-name, the Pod whose image it is")
	}
	f.endpoint = cmp.Or(f.endpoint, "torrent-operator-report."+namespace+".svc:9443")
	host, port, err := net.SplitHostPort(f.endpoint)
	if err != nil || host == "" || port == "" {
		return "", fmt.Errorf("--report-endpoint: %q is not host:port", f.endpoint)
	}
	if f.peerPort < leastPeerPort || f.peerPort > 65535 {
		return "", fmt.Errorf("--worker-peer-port: %d is not a port from %d to 65535", f.peerPort, leastPeerPort)
	}
	_, denyErr := prefixes("--worker-deny-cidrs", f.deny)
	_, allowErr := prefixes("--worker-allow-cidrs", f.allow)
	return host, errors.Join(denyErr, allowErr)
}

// args hands the networks on to a worker.
func (f *podFlags) args() (args []string) {
	if len(f.deny) > 0 {
		args = append(args, "--deny-cidrs="+strings.Join(slices.Concat(workerDenies, f.deny), ","))
	}
	if len(f.allow) > 0 {
		args = append(args, "--allow-cidrs="+strings.Join(f.allow, ","))
	}
	return args
}

// prepare has each download run in a Pod of its own.
func (f *podFlags) prepare(namespace string, udp udpFlags, log *slog.Logger) (starter, error) {
	host, err := f.check(namespace)
	if err != nil {
		return nil, err
	}
	defaults, err := workerDefaults(f.defaults)
	if err != nil {
		return nil, err
	}
	limitHeap(heapLimit(cgroup.MemoryLimit(), 0))
	return func(ctx context.Context, mgr ctrl.Manager) (*runner, error) {
		image, pull, err := f.workerImage(ctx, namespace, mgr.GetAPIReader())
		if err != nil {
			return nil, err
		}
		core, err := corev1client.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
		if err != nil {
			return nil, err
		}
		keeper := certs.New(core.Secrets(namespace), certificates, []string{host}, log)
		exec := podexec.New(podexec.Config{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(),
			Image: image, PullPolicy: pull, Endpoint: f.endpoint, CA: keeper.Bundle,
			Port: f.peerPort, Defaults: defaults, WorkerArgs: slices.Concat(udp.args(), f.args()),
		})
		server := &reportServer{
			address: f.reportAddr, keeper: keeper,
			Server: &report.Server{Authenticator: podexec.NewAuthenticator(mgr.GetClient()), Taker: exec, Logger: log},
		}
		if err := errors.Join(exec.SetupWithManager(mgr), mgr.Add(keeper), mgr.Add(server)); err != nil {
			return nil, err
		}
		return &runner{
			Executor: exec,
			close:    func(context.Context) error { return nil }, // The Pods go on without us.
			about:    []any{"workerImage", image, "reportEndpoint", f.endpoint},
		}, nil
	}, nil
}

// reportServer is where workers report. Every replica runs one; those that do
// not lead say so.
type reportServer struct {
	*report.Server
	address string
	keeper  *certs.Keeper
}

// Start serves until ctx ends.
func (s *reportServer) Start(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("--report-bind-address: %w", err)
	}
	return s.Serve(ctx, l, s.keeper.Certificate)
}

// NeedLeaderElection says that every replica serves.
func (*reportServer) NeedLeaderElection() bool { return false }

// workerImage is the image of worker Pods: what --worker-image says, or that of
// this Pod, and how that is pulled.
func (f *podFlags) workerImage(ctx context.Context, namespace string, live client.Reader) (string, corev1.PullPolicy, error) {
	if f.image != "" {
		return f.image, "", nil // By what Kubernetes takes a tag for.
	}
	var pod corev1.Pod
	if err := live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: f.podName}, &pod); err != nil {
		return "", "", fmt.Errorf("asking for the image of this Pod, which worker Pods are to have as well (--worker-image names another): %w", err)
	}
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == managerContainer {
			return c.Image, c.ImagePullPolicy, nil
		}
	}
	return "", "", fmt.Errorf("the operator's Pod %s/%s has no container %q whose image worker Pods could have: give --worker-image", namespace, f.podName, managerContainer)
}

// workerDefaults reads the file of --worker-defaults.
func workerDefaults(path string) (w v1alpha1.WorkerSpec, err error) {
	if path == "" {
		return w, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return w, fmt.Errorf("--worker-defaults: %w", err)
	}
	if err := yaml.UnmarshalStrict(b, &w); err != nil {
		return w, fmt.Errorf("--worker-defaults: %s does not have the form of a spec.worker: %w", path, err)
	}
	return w, nil
}
