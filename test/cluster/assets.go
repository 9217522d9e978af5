package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// components are the names under which the one binary is started.
var components = []string{
	"etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy",
	"kube-scheduler", "kubectl", "kubelet",
}

// heartbeat is how often a build that takes minutes says that it is alive.
const heartbeat = 20 * time.Second

// Assets returns the folder that holds etcd, kube-apiserver, kubectl and the
// other components, and builds them from their Go modules if this machine has
// not built these versions before. It tells out what it is doing and for how
// long. The folder lies in the user's cache, outside of the checkout, under a
// key of everything that decides what is built; of several processes that ask
// at once, one builds and the others wait for it. The working directory must
// lie within the module.
func Assets(ctx context.Context, out io.Writer) (string, error) {
	build, err := newAssetBuild(ctx)
	if err != nil {
		return "", fmt.Errorf("preparing to build Kubernetes: %w", err)
	}
	if build.done() {
		return build.dir, nil
	}
	unlock, err := lock(ctx, build.dir+".lock", out)
	if err != nil {
		return "", err
	}
	defer unlock()
	if build.done() { // by whoever held the lock
		return build.dir, nil
	}
	return build.dir, build.run(ctx, out)
}

// assetBuild is one way to build the components and the place for the result.
type assetBuild struct {
	source  string // folder of the module test/cluster/kube
	dir     string // where the result stands when it is whole
	version string // of Kubernetes, such as v1.36.3
	flags   string // for the linker
}

// kubernetesVersion finds what go.mod asks for.
var kubernetesVersion = regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)$`)

// linkerFlags make a small binary that knows its version, which kube-apiserver
// tells to clients. They take version, major and minor.
const linkerFlags = "-s -w -X k8s.io/component-base/version.gitVersion=%s" +
	" -X k8s.io/component-base/version.gitMajor=%s -X k8s.io/component-base/version.gitMinor=%s" +
	" -X k8s.io/component-base/version.gitTreeState=clean"

func newAssetBuild(ctx context.Context) (*assetBuild, error) {
	gomod, err := goOutput(ctx, "", "env", "GOMOD")
	if err != nil {
		return nil, err
	}
	if gomod == "" || gomod == os.DevNull {
		return nil, errors.New("the working directory lies in no Go module")
	}
	b := &assetBuild{source: filepath.Join(filepath.Dir(gomod), "test", "cluster", "kube")}
	toolchain, err := goOutput(ctx, b.source, "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return nil, err
	}
	key := sha256.New()
	fmt.Fprintln(key, toolchain, components, linkerFlags)
	for _, name := range []string{"main.go", "go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(b.source, name))
		if err != nil {
			return nil, err
		}
		key.Write(content)
		if name != "go.mod" {
			continue
		}
		version := kubernetesVersion.FindStringSubmatch(string(content))
		if version == nil {
			return nil, fmt.Errorf("%s/go.mod names no version of k8s.io/kubernetes", b.source)
		}
		b.version = version[1]
		b.flags = fmt.Sprintf(linkerFlags, version[1], version[2], version[3])
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("no folder for caches: %w", err)
	}
	cache = filepath.Join(cache, "torrent-operator")
	b.dir = filepath.Join(cache, fmt.Sprintf("kube-%s-%x", b.version, key.Sum(nil)[:6]))
	return b, os.MkdirAll(cache, 0o755)
}

// done reports whether the result stands in its place. It gets there by one
// rename, so it is whole if it is there.
func (b *assetBuild) done() bool {
	_, err := os.Stat(b.dir)
	return err == nil
}

// run builds into a folder beside the final one and renames it into place.
func (b *assetBuild) run(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "Building etcd and Kubernetes %s from their Go modules, once for this machine.\n"+
		"The first time this takes about six minutes on two cores, plus the download of the modules.\n", b.version)
	start := time.Now()
	tmp := b.dir + ".tmp" // ours alone: the lock is held
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", b.flags,
		"-o", filepath.Join(tmp, "kube"), ".")
	cmd.Dir, cmd.Env = b.source, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = &complaints, &complaints
	// An interrupted go command removes its own scratch files.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	stop := every(heartbeat, func() {
		fmt.Fprintf(out, "  … still building Kubernetes, %s\n", time.Since(start).Round(time.Second))
	})
	err := cmd.Run()
	stop()
	if err != nil {
		return fmt.Errorf("building Kubernetes %s in %s: %w\n%s", b.version, b.source, err, tail(complaints.Bytes(), 2000))
	}
	for _, name := range components {
		if err := os.Symlink("kube", filepath.Join(tmp, name)); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, b.dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "Kubernetes %s built in %s: %s\n", b.version, time.Since(start).Round(time.Second), b.dir)
	return nil
}

// lock takes the lock file at path, which its process loses at the latest when
// it ends. It waits for another holder until ctx ends.
func lock(ctx context.Context, path string, out io.Writer) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	unlock = func() { f.Close() }
	for waiting := false; ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return unlock, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			unlock()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if !waiting {
			fmt.Fprintf(out, "Another process is building Kubernetes, waiting for it (lock %s).\n", path)
			waiting = true
		}
		select {
		case <-ctx.Done():
			unlock()
			return nil, fmt.Errorf("waiting for the lock %s: %w", path, ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// every calls f each interval until the function it returns is called.
func every(interval time.Duration, f func()) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				f()
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// goOutput runs the go command in dir and returns what it prints, trimmed.
func goOutput(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// tail returns the last n bytes of b, or all of it.
func tail(b []byte, n int) []byte {
	return b[max(0, len(b)-n):]
}
