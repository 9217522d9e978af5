// Package nodes runs a whole Kubernetes on this machine, for tests: the control
// plane of package cluster, and nodes with kubelet, containerd and kube-proxy
// on which Pods run. Each node is a set of namespaces of its own (PIDs, mounts,
// network, host name, control groups), and all are joined by a network from
// which no route leads out. It takes root on Linux. It knows nothing of what is
// tested with it.
package nodes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/torrent-operator/torrent-operator/test/cluster"
)

const (
	// root is where clusters keep their files: on a disk, because containers
	// lie there and memory is scarce.
	root = "/var/tmp"
	// prefix begins the names of all that is not gone by itself when a
	// cluster's process is killed. The id of that process follows.
	prefix = "torrent-operator-"
	// startTimeout bounds the start of a node, on a busy machine.
	startTimeout = 3 * time.Minute
)

// Options say what to start. The zero value is enough.
type Options struct {
	// Nodes is how many; 0 means two.
	Nodes int
	// Images are archives that every node has from the start.
	Images []string
}

// A Cluster is a running Kubernetes. Whoever started it has to call Stop. If
// the process dies before, all processes of the cluster die too, and the next
// Start on this machine removes what is left on the disk.
//
// There is a StorageClass of the name [StorageClass], Services have names, and
// NetworkPolicies hold.
type Cluster struct {
	*cluster.ControlPlane
	Nodes []*Node
	// Dir holds all that the cluster writes. Stop removes it.
	Dir string

	network  *cluster.Namespace
	tools    tools
	images   []string
	client   kubernetes.Interface
	policies policies
	end      context.CancelFunc // of what runs in this process
	running  sync.WaitGroup
	stop     func() // once
}

// tools are folders and files of programs.
type tools struct {
	kubernetes, runtimes string // folders
	init                 string // file
}

// Start starts a cluster and returns when its nodes are ready. If they cannot
// be, nothing of it is left.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if err := needed(ctx); err != nil {
		return nil, err
	}
	if err := sweep(); err != nil {
		return nil, err
	}
	if o.Nodes == 0 {
		o.Nodes = 2
	}
	dir, err := os.MkdirTemp(root, fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil {
		return nil, err
	}
	alive, end := context.WithCancel(context.Background())
	c := &Cluster{Dir: dir, end: end}
	c.stop = sync.OnceFunc(c.stopAll)
	if err := c.start(ctx, alive, o); err != nil {
		err = errors.Join(err, c.explain())
		c.Stop()
		return nil, err
	}
	return c, nil
}

// start takes a context for starting, and one for as long as the cluster runs.
func (c *Cluster) start(ctx, alive context.Context, o Options) (err error) {
	if err := os.Chmod(c.Dir, 0o755); err != nil { // Pods of any user see their volumes
		return err
	}
	if c.tools.kubernetes, err = cluster.Assets(ctx, os.Stderr); err != nil {
		return err
	}
	if c.tools.runtimes, err = cluster.RuntimeAssets(ctx, os.Stderr); err != nil {
		return err
	}
	pause, err := c.buildInit(ctx)
	if err != nil {
		return err
	}
	c.images = append([]string{pause}, o.Images...)
	if c.network, err = newNetwork(); err != nil {
		return err
	}
	for i := range o.Nodes {
		c.Nodes = append(c.Nodes, newNode(c, i+1))
	}
	if err := c.startControlPlane(ctx); err != nil {
		return err
	}
	if c.client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	if err := c.startStorage(ctx, alive); err != nil {
		return err
	}
	if err := c.startNames(ctx, alive); err != nil {
		return err
	}
	if err := c.startPolicies(ctx, alive); err != nil {
		return err
	}
	results := make(chan error, len(c.Nodes))
	for _, n := range c.Nodes {
		go func() { results <- n.Start(ctx) }()
	}
	for range c.Nodes {
		err = errors.Join(err, <-results)
	}
	return err
}

// Stop ends all processes, removes what they have written and made, and
// returns when that is done. It may be called twice, and at once.
func (c *Cluster) Stop() { c.stop() }

func (c *Cluster) stopAll() {
	c.end()
	c.running.Wait()
	for _, n := range c.Nodes {
		n.Kill()
	}
	if c.ControlPlane != nil {
		c.ControlPlane.Stop()
	}
	if c.network != nil {
		c.network.Close()
	}
	os.RemoveAll(c.Dir)
}

// Load makes an image, in an archive, known to all nodes that run, and to the
// others when they start, so the archive has to stay.
func (c *Cluster) Load(ctx context.Context, archive string) error {
	c.images = append(c.images, archive)
	for _, n := range c.Nodes {
		if n.Running() {
			if err := n.load(ctx, archive); err != nil {
				return err
			}
		}
	}
	return nil
}

// startControlPlane starts what is not on nodes. Times are shorter than usual,
// so that tests need not wait for minutes until a node counts as lost.
func (c *Cluster) startControlPlane(ctx context.Context) (err error) {
	users := []cluster.User{{Name: proxyUser}}
	for _, n := range c.Nodes {
		users = append(users, cluster.User{Name: n.user(), Groups: []string{"system:nodes"}})
	}
	policy := filepath.Join(c.Dir, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o644); err != nil {
		return err
	}
	c.ControlPlane, err = cluster.Start(ctx, cluster.Options{
		Assets:            c.tools.kubernetes,
		Dir:               c.Dir,
		ControllerManager: true,
		Network:           &cluster.Network{Namespace: c.network, Address: planeAddr},
		Users:             users,
		Flags: map[string][]string{
			"kube-apiserver": {
				"--enable-admission-plugins=NodeRestriction",
				"--endpoint-reconciler-type=master-count", "--service-cluster-ip-range=" + serviceNet.String(),
				"--kubelet-preferred-address-types=InternalIP",
				"--default-not-ready-toleration-seconds=10", "--default-unreachable-toleration-seconds=10",
				"--audit-policy-file=" + policy, "--audit-log-path=" + c.AuditLog(),
			},
			"kube-controller-manager": {"--node-monitor-period=1s", "--node-monitor-grace-period=20s"},
		},
	})
	return err
}

// auditPolicy has the API server write down who asked for what.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

// AuditLog is a file with one line of JSON for each request to the API server.
func (c *Cluster) AuditLog() string { return filepath.Join(c.Dir, "audit.log") }

// buildInit builds the first process of nodes and Pods, and returns the archive
// of an image for the latter.
func (c *Cluster) buildInit(ctx context.Context) (pause string, err error) {
	c.tools.init = filepath.Join(c.Dir, "init")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
		"-o", c.tools.init, "github.com/torrent-operator/torrent-operator/test/cluster/machine/init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the first process of nodes: %w: %s", err, out)
	}
	pause = filepath.Join(c.Dir, "pause.tar")
	return pause, writePause(pause, c.tools.init)
}

// explain says what the first processes of the nodes had to say.
func (c *Cluster) explain() error {
	var said error
	for _, n := range c.Nodes {
		log, err := os.ReadFile(n.log("init"))
		if err == nil && len(log) > 0 {
			said = errors.Join(said, fmt.Errorf("node %s said: %s", n.Name, log))
		}
	}
	return said
}
