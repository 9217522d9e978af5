// Command up keeps a cluster of package nodes running in the background: "make
// cluster-up" and "make cluster-down" run it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/torrent-operator/torrent-operator/test/cluster"
	"github.com/torrent-operator/torrent-operator/test/cluster/nodes"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "up:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	p := place(filepath.Join(cache, "torrent-operator", "cluster"))
	switch {
	case len(args) == 0:
		return p.up(ctx)
	case len(args) == 1 && args[0] == "hold":
		return p.hold(ctx)
	case len(args) == 1 && args[0] == "down":
		return p.down(ctx)
	case len(args) == 2 && args[0] == "load":
		return p.load(ctx, args[1])
	}
	return fmt.Errorf("unknown arguments %q: none starts the cluster, \"down\" stops it, \"load FILE\" makes an image known to it", args)
}

// place is the folder in which the running cluster tells of itself: where its
// files are, how to connect, which process holds it, and what that said.
type place string

func (p place) file(name string) string { return filepath.Join(string(p), name) }
func (p place) kubeconfig() string      { return p.file("kubeconfig") }
func (p place) link() string            { return p.file("files") }
func (p place) log() string             { return p.file("log") }

// interval is how often it is looked whether something has happened.
const interval = 50 * time.Millisecond

// up starts the cluster, if it does not run, and tells how to use it.
func (p place) up(ctx context.Context) error {
	if _, running := p.holder(); !running {
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	files, err := os.Readlink(p.link())
	if err != nil {
		return err
	}
	assets, err := cluster.Assets(ctx, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Printf(`The cluster runs. To use it:

  export KUBECONFIG=%s
  %s get nodes

  make image && go run ./test/cluster/up load dist/torrent-operator.tar
  kubectl apply -k config/default

Its logs are in %s, a folder for each node.
"make cluster-down" ends it.
`, p.kubeconfig(), filepath.Join(assets, "kubectl"), files)
	return nil
}

// start starts the process that holds the cluster and waits until it does.
func (p place) start(ctx context.Context) error {
	// What takes minutes is done here, where it can be seen and interrupted.
	if _, err := cluster.Assets(ctx, os.Stderr); err != nil {
		return err
	}
	if _, err := cluster.RuntimeAssets(ctx, os.Stderr); err != nil {
		return err
	}
	if err := os.RemoveAll(string(p)); err != nil {
		return err
	}
	if err := os.MkdirAll(string(p), 0o700); err != nil {
		return err
	}
	log, err := os.Create(p.log())
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "hold") //nolint:noctx // it outlives this process
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		if _, running := p.holder(); running {
			return nil
		}
		select {
		case err := <-ended:
			said, _ := os.ReadFile(p.log())
			return fmt.Errorf("the cluster did not start: %w\n%s", errors.Join(err, errors.New("its process ended")), said)
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			<-ended
			return ctx.Err()
		case <-time.After(interval):
		}
	}
}

// hold runs a cluster until it is told to stop.
func (p place) hold(ctx context.Context) error {
	c, err := nodes.Start(ctx, nodes.Options{})
	if err != nil {
		return err
	}
	defer c.Stop()
	defer os.Remove(p.file("pid"))
	kubeconfig, err := os.ReadFile(c.Kubeconfig)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.kubeconfig(), kubeconfig, 0o600); err != nil {
		return err
	}
	if err := os.Symlink(c.Dir, p.link()); err != nil {
		return err
	}
	// The last thing: it says that all is ready.
	if err := os.WriteFile(p.file("pid.new"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return err
	}
	if err := os.Rename(p.file("pid.new"), p.file("pid")); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// holder is the process that holds a cluster that is ready.
func (p place) holder() (pid int, running bool) {
	said, err := os.ReadFile(p.file("pid"))
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(string(said))
	if err != nil {
		return 0, false
	}
	// The number may be another process' by now.
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return pid, err == nil && strings.HasSuffix(string(args), "\x00hold\x00")
}

// down ends the cluster and waits until nothing is left of it.
func (p place) down(ctx context.Context) error {
	pid, running := p.holder()
	if !running {
		fmt.Println("No cluster runs.")
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); errors.Is(err, fs.ErrNotExist) {
			return os.RemoveAll(string(p))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the end of process %d, which holds the cluster: %w", pid, ctx.Err())
		case <-time.After(interval):
		}
	}
}

// load makes an image known to all nodes.
func (p place) load(ctx context.Context, archive string) error {
	files, err := os.Readlink(p.link())
	if err != nil {
		return fmt.Errorf("no cluster runs; make cluster-up starts one: %w", err)
	}
	return nodes.Load(ctx, files, archive)
}
