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

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/torrent-operator/torrent-operator/internal/cgroup"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
	"github.com/torrent-operator/torrent-operator/internal/executor/inproc"
)

// leastAssembly is the least memory, in bytes, in which pieces can be put
// together.
const leastAssembly = 1 << 20

// inProcessFlags are the flags of the in-process executor.
type inProcessFlags struct {
	nodeName    string
	roots       []string
	deny, allow []string
	ports       string
	assembly    string
}

func (f *inProcessFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.nodeName, "node-name", os.Getenv("NODE_NAME"), "in-process: name of the Node on which this process runs (env NODE_NAME)")
	fs.StringSliceVar(&f.roots, "local-volume-root", nil, "in-process: folder of this node below which volumes may be written to; may be repeated; none: no volume is written to")
	fs.StringSliceVar(&f.deny, "deny-cidrs", []string{"127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10"}, "in-process: networks that downloads may not connect to (trackers, peers, metainfo URLs); the API server's addresses are always added")
	fs.StringSliceVar(&f.allow, "allow-cidrs", nil, "in-process: networks that downloads may connect to although they are denied")
	fs.StringVar(&f.ports, "listen-ports", "6881-6889", "in-process: TCP port for peers, or a range of which the first free one is taken")
	fs.StringVar(&f.assembly, "assembly-memory", "64Mi", "in-process: memory for pieces that are being put together, for all downloads at once")
}

// prepare has downloads run in this process.
func (f *inProcessFlags) prepare(_ string, udp udpFlags, log *slog.Logger) (starter, error) {
	roots, err := volumeRoots(f.roots)
	if err != nil {
		return nil, err
	}
	settings, err := engineConfig(f, log)
	if err != nil {
		return nil, err
	}
	settings.DHT, settings.UTP = udp.node(), udp.utp
	limitHeap(heapLimit(cgroup.MemoryLimit(), settings.AssemblyBytes))
	return func(ctx context.Context, mgr ctrl.Manager) (*runner, error) {
		endpoints, err := apiServerEndpoints(ctx, mgr.GetConfig())
		if err != nil {
			return nil, err
		}
		settings.Guard.Deny = slices.Concat(settings.Guard.Deny, apiServer(ctx, mgr.GetConfig()), endpoints)
		eng, err := engine.New(settings)
		if err != nil {
			return nil, err
		}
		exec := inproc.New(inproc.Config{
			Engine: eng, NodeName: f.nodeName,
			Volumes: inproc.Claims{Reader: mgr.GetClient(), NodeName: f.nodeName, Roots: roots},
		})
		err = mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
			<-ctx.Done() // Nothing is written any more when the Lease is given up.
			return closeIn(ctx, exec.Close)
		}))
		if err != nil {
			return nil, errors.Join(err, eng.Close(ctx))
		}
		return &runner{
			Executor: exec,
			close:    func(ctx context.Context) error { return errors.Join(exec.Close(ctx), eng.Close(ctx)) },
			about:    []any{"peerPort", eng.Port(), "node", f.nodeName, "localVolumeRoots", roots},
		}, nil
	}, nil
}

// engineConfig reads the settings of the engine from the flags.
func engineConfig(f *inProcessFlags, log *slog.Logger) (engine.Config, error) {
	var none engine.Config
	first, last, err := portRange(f.ports)
	if err != nil {
		return none, err
	}
	memory, err := assemblyMemory(f.assembly)
	if err != nil {
		return none, err
	}
	guard, err := newGuard(f.deny, f.allow)
	if err != nil {
		return none, err
	}
	return engine.Config{PortFirst: first, PortLast: last, AssemblyBytes: memory, Guard: guard, Logger: log}, nil
}

// assemblyMemory reads --assembly-memory, in bytes.
func assemblyMemory(s string) (int64, error) {
	memory, err := resource.ParseQuantity(s)
	if err != nil || memory.Value() < leastAssembly {
		return 0, fmt.Errorf("--assembly-memory: %q is not an amount of memory of at least 1Mi, such as 64Mi", s)
	}
	return memory.Value(), nil
}

// newGuard reads --deny-cidrs and --allow-cidrs.
func newGuard(deny, allow []string) (guard *transport.Guard, err error) {
	guard = new(transport.Guard)
	if guard.Deny, err = prefixes("--deny-cidrs", deny); err != nil {
		return nil, err
	}
	if guard.Allow, err = prefixes("--allow-cidrs", allow); err != nil {
		return nil, err
	}
	return guard, nil
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
