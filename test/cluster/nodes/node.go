package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/torrent-operator/torrent-operator/test/cluster"
	"github.com/torrent-operator/torrent-operator/test/cluster/machine"
)

// A Node is a machine of a [Cluster]. It is started with it.
type Node struct {
	Name string

	cluster *Cluster
	number  int // from 1
	addr    netip.Addr
	dir     string // all that it writes lies below
	disks   []machine.Mount
	starts  int // how often it was started

	process *cluster.Process // nil while it does not run
	groups  groups
}

func newNode(c *Cluster, number int) *Node {
	name := "n" + strconv.Itoa(number)
	return &Node{Name: name, cluster: c, number: number, addr: nodeAddr(number), dir: filepath.Join(c.Dir, name)}
}

func (n *Node) user() string              { return "system:node:" + n.Name }
func (n *Node) file(name string) string   { return filepath.Join(n.dir, name) }
func (n *Node) log(name string) string    { return n.file(name + ".log") }
func (n *Node) socket() string            { return n.file(socketName) }
func (n *Node) config(name string) string { return filepath.Join(n.dir, "etc", name) }

// Running reports whether the node was started and not killed.
func (n *Node) Running() bool { return n.process != nil }

// Start starts a node that does not run, and returns when the API server knows
// it as ready. What it had written before is still there.
func (n *Node) Start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			n.Kill()
			err = fmt.Errorf("starting node %s: %w", n.Name, err)
		}
	}()
	for _, dir := range []string{"etc/cni", "lib", "var-log"} {
		if err := os.MkdirAll(filepath.Join(n.dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := n.writeConfig(); err != nil {
		return err
	}
	if err := os.Remove(n.socket()); err != nil && !errors.Is(err, fs.ErrNotExist) { // of the last time
		return err
	}
	since := time.Now()
	if err := n.boot(); err != nil {
		return err
	}
	for _, archive := range n.cluster.images {
		if err := n.load(ctx, archive); err != nil {
			return err
		}
	}
	return n.awaitReady(ctx, since)
}

// boot starts the node's first process in namespaces of its own, connects it,
// and hands it what it has to do.
func (n *Node) boot() (err error) {
	if n.groups, err = makeGroups(filepath.Base(n.cluster.Dir) + "-" + n.Name); err != nil {
		return err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	defer out.Close()
	n.process, err = cluster.Command{
		Args:    append([]string{n.cluster.tools.init, "enter"}, n.groups.dirs...),
		Log:     n.log("init"),
		Stdin:   in,
		Unshare: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS,
	}.Start()
	if err != nil {
		return err
	}
	namespace, err := cluster.NamespaceOf(n.process.PID())
	if err != nil {
		return err
	}
	if err := n.cluster.policies.join(n, namespace); err != nil {
		return err
	}
	n.starts++
	// The old device goes some time after the node does.
	if err := n.join(namespace, fmt.Sprintf("%s-%d", n.Name, n.starts)); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(n.machine())
}

// Kill ends the node as a power cut does: all of its processes at once, without
// a word to anybody. It may be called for a node that does not run.
func (n *Node) Kill() {
	if n.process == nil {
		return
	}
	n.process.Stop(0) // it returns when the whole PID namespace is empty
	n.cluster.policies.leave(n)
	n.process = nil
	n.groups.remove()
}

// KillKubelet kills the kubelet and keeps it from coming back. Containers go on.
func (n *Node) KillKubelet() error { return unix.Kill(n.process.PID(), unix.SIGUSR1) }

// LetKubelet ends what KillKubelet began.
func (n *Node) LetKubelet() error { return unix.Kill(n.process.PID(), unix.SIGUSR2) }

// AddDisk gives a running node a file system of its own, of a size in bytes,
// and returns where it is mounted, now and after each start.
func (n *Node) AddDisk(ctx context.Context, name string, size int64) (string, error) {
	image, target := n.file(name+".disk"), filepath.Join(n.dir, "disks", name)
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return "", err
	}
	if err := os.Truncate(image, size); err != nil {
		return "", err
	}
	mount := machine.Mount{Image: true, Source: image, Target: target}
	for _, args := range [][]string{
		{"mkfs.ext4", "-q", "-m", "0", image},
		{"mkdir", "-p", target},
		append(n.inside(), "mount", "-o", "loop", image, target),
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("making a disk of %d bytes for %s: %v: %w: %s", size, n.Name, args, err, out)
		}
	}
	n.disks = append(n.disks, mount)
	return target, nil
}

// inside begins a command that runs among the mounts of the node.
func (n *Node) inside() []string {
	return []string{"nsenter", "--mount", "--target", strconv.Itoa(n.process.PID()), "--"}
}

// load imports an archive of an image, as soon as containerd is there.
func (n *Node) load(ctx context.Context, archive string) error {
	for {
		err := importImage(ctx, n.cluster.tools.runtimes, n.socket(), archive)
		if !errors.Is(err, errNotThere) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for containerd: %w", errors.Join(ctx.Err(), err))
		case <-n.process.Done():
			return n.gone()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// gone is the error of a node that has ended by itself.
func (n *Node) gone() error {
	return errors.Join(errors.New("the node's first process is gone"), n.process.Err())
}

// awaitReady waits until the kubelet has said after a time that it is ready.
func (n *Node) awaitReady(ctx context.Context, since time.Time) error {
	nodes := n.cluster.client.CoreV1().Nodes()
	only := fields.OneTermEqualSelector("metadata.name", n.Name).String()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-n.process.Done():
			cancel(n.gone())
		case <-ctx.Done():
		}
	}()
	_, err := watchtools.UntilWithSync(ctx, &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return nodes.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return nodes.Watch(ctx, o)
		},
	}, &corev1.Node{}, nil, func(e watch.Event) (bool, error) {
		node, ok := e.Object.(*corev1.Node)
		if !ok || e.Type == watch.Deleted {
			return false, nil
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				// Times of the API are in whole seconds.
				return condition.Status == corev1.ConditionTrue && !condition.LastHeartbeatTime.Time.Before(since.Truncate(time.Second)), nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the kubelet to be ready: %w; its log is %s", errors.Join(context.Cause(ctx), err), n.log("kubelet"))
	}
	return nil
}
