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
	return kubernetes.provide(ctx, out)
}

// RuntimeAssets is [Assets] for what runs containers on a node: containerd,
// its shim and its client ctr, runc, and plugins for networks. It needs a C
// compiler and libseccomp.
func RuntimeAssets(ctx context.Context, out io.Writer) (string, error) {
	return runtimes.provide(ctx, out)
}

func (b bundle) provide(ctx context.Context, out io.Writer) (string, error) {
	build, err := newAssetBuild(ctx, b)
	if err != nil {
		return "", fmt.Errorf("preparing to build %s: %w", b.title, err)
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

// assetBuild is one way to build a bundle and the place for the result.
type assetBuild struct {
	bundle
	source   string            // folder of the bundle's module
	dir      string            // where the result stands when it is whole
	versions map[string]string // of the modules that go.mod names
}

// required finds what go.mod asks for.
var required = regexp.MustCompile(`(?m)^\s*(\S+/\S+) (v\d\S+)(?: // indirect)?$`)

func newAssetBuild(ctx context.Context, what bundle) (*assetBuild, error) {
	gomod, err := goOutput(ctx, "", "env", "GOMOD")
	if err != nil {
		return nil, err
	}
	if gomod == "" || gomod == os.DevNull {
		return nil, errors.New("the working directory lies in no Go module")
	}
	b := &assetBuild{bundle: what, source: filepath.Join(filepath.Dir(gomod), "test", "cluster", what.folder), versions: map[string]string{}}
	toolchain, err := goOutput(ctx, b.source, "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return nil, err
	}
	key := sha256.New()
	fmt.Fprintln(key, toolchain)
	files, err := os.ReadDir(b.source)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(b.source, file.Name()))
		if err != nil {
			return nil, err
		}
		key.Write(content)
		if file.Name() == "go.mod" {
			for _, m := range required.FindAllSubmatch(content, -1) {
				b.versions[string(m[1])] = string(m[2])
			}
		}
	}
	version, ok := b.versions[b.module]
	if !ok {
		return nil, fmt.Errorf("%s/go.mod names no version of %s", b.source, b.module)
	}
	for _, p := range b.programs {
		fmt.Fprintln(key, p.packages, p.output, p.links, p.cgo, p.tags, p.flags(b.versions))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("no folder for caches: %w", err)
	}
	cache = filepath.Join(cache, "torrent-operator")
	b.dir = filepath.Join(cache, fmt.Sprintf("%s-%s-%x", b.folder, version, key.Sum(nil)[:6]))
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
	fmt.Fprintf(out, "Building %s from their Go modules, once for this machine.\n"+
		"The first time this takes about %s on two cores, plus the download of the modules.\n", b.title, b.cost)
	start := time.Now()
	tmp := b.dir + ".tmp" // ours alone: the lock is held
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	stop := every(heartbeat, func() {
		fmt.Fprintf(out, "  … still building, %s\n", time.Since(start).Round(time.Second))
	})
	defer stop()
	for _, p := range b.programs {
		if err := b.build(ctx, p, tmp); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, b.dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "Built in %s: %s\n", time.Since(start).Round(time.Second), b.dir)
	return nil
}

// build builds one set of programs into a folder.
func (b *assetBuild) build(ctx context.Context, p program, into string) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-tags", p.tags,
		"-ldflags", p.flags(b.versions), "-o", filepath.Join(into, p.output)}
	if p.output == "" {
		args[len(args)-1] += string(filepath.Separator) // one file for each
	}
	cgo := "CGO_ENABLED=0"
	if p.cgo {
		cgo = "CGO_ENABLED=1"
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append(args, p.packages...)...)
	cmd.Dir, cmd.Env = b.source, append(os.Environ(), cgo, "GOWORK=off")
	cmd.Stdout, cmd.Stderr = &complaints, &complaints
	// An interrupted go command removes its own scratch files.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s in %s: %w\n%s", strings.Join(p.packages, " "), b.source, err, tail(complaints.Bytes(), 2000))
	}
	for _, name := range p.links {
		if err := os.Symlink(p.output, filepath.Join(into, name)); err != nil {
			return err
		}
	}
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
			fmt.Fprintf(out, "Another process is building here, waiting for it (lock %s).\n", path)
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
