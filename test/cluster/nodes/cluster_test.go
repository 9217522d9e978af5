//go:build e2e

package nodes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv makes the test binary hold a cluster until SIGINT.
const childEnv = "NODES_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	if err := hold(ctx); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	stop()
}

// hold runs a cluster with a Pod and a disk, prints where its files are, and
// stops it when ctx ends.
func hold(ctx context.Context) error {
	c, err := Start(ctx, Options{Nodes: 1})
	if err != nil {
		return err
	}
	defer c.Stop()
	if _, err := c.Nodes[0].AddDisk(ctx, "small", 8<<20); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"run", "it", "--image=" + pauseImage},
		{"wait", "--for=condition=Ready", "--timeout=90s", "pod/it"},
	} {
		if _, err := c.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	fmt.Println(c.Dir)
	<-ctx.Done()
	return nil
}

// remains tells what there is of a cluster whose files were in dir, in the
// order in which it has to go: processes, mounts, loop devices, then control
// groups and files.
func remains(t *testing.T, dir string) (alive, stored []string) {
	t.Helper()
	name := filepath.Base(dir)
	mentions := func(path string) bool {
		content, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(content), name)
	}
	for _, pattern := range []string{"/proc/[0-9]*/cgroup", "/proc/[0-9]*/cmdline", "/proc/[0-9]*/mounts", "/sys/block/loop*/loop/backing_file"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if mentions(path) {
				alive = append(alive, path)
			}
		}
	}
	if err := filepath.WalkDir(groupRoot, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(filepath.Base(path), name) {
			stored = append(stored, path)
		}
		return nil // groups come and go meanwhile
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		stored = append(stored, dir)
	}
	return alive, stored
}

// startHolder starts a process that holds a cluster, and returns where its
// files are.
func startHolder(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if it is still there
	line, err := bufio.NewReader(out).ReadString('\n')
	dir := strings.TrimSpace(line)
	if err != nil || !strings.HasPrefix(dir, root) {
		t.Fatalf("the cluster did not start: %q, %v", line, err)
	}
	if alive, stored := remains(t, dir); len(alive) == 0 || len(stored) == 0 {
		t.Fatalf("a running cluster could not be seen: %v, %v", alive, stored)
	}
	return cmd, dir
}

func TestNothingIsLeftAfterCtrlC(t *testing.T) {
	cmd, dir := startHolder(t)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process ended: %v", err)
	}
	if alive, stored := remains(t, dir); len(alive)+len(stored) > 0 {
		t.Errorf("left: %v, %v", alive, stored)
	}
}

func TestAKilledClusterTakesAllProcessesAlongAndTheNextOneTheRest(t *testing.T) {
	cmd, dir := startHolder(t)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it says that it was killed
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(10 * time.Millisecond) {
		alive, _ := remains(t, dir)
		if len(alive) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the kernel has left %v", alive)
		}
	}
	if err := sweep(); err != nil {
		t.Fatal(err)
	}
	if alive, stored := remains(t, dir); len(alive)+len(stored) > 0 {
		t.Errorf("left: %v, %v", alive, stored)
	}
}

func TestNothingIsLeftOfAClusterThatDoesNotStart(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.tar")
	if err := os.WriteFile(bad, []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := filepath.Glob(filepath.Join(root, prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Start(t.Context(), Options{Nodes: 1, Images: []string{bad}})
	if err == nil {
		c.Stop()
		t.Fatal("a cluster started without an image")
	}
	if !strings.Contains(err.Error(), bad) {
		t.Errorf("the error does not name %s: %v", bad, err)
	}
	after, err := filepath.Glob(filepath.Join(root, prefix+"*"))
	if err != nil || len(after) != len(before) {
		t.Errorf("files before %v, after %v, %v", before, after, err)
	}
	if alive, stored := remains(t, fmt.Sprintf("%s/%s%d-", root, prefix, os.Getpid())); len(alive) > 0 || len(stored) > 0 {
		t.Errorf("left: %v, %v", alive, stored)
	}
}

func TestANodeStartsAgainAfterItsEnd(t *testing.T) {
	c, err := Start(t.Context(), Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	node := c.Nodes[0]
	first := node.process.PID()
	node.Kill()
	if err := unix.Kill(first, 0); !errors.Is(err, syscall.ESRCH) || node.Running() {
		t.Errorf("the node's first process: %v, running %v", err, node.Running())
	}
	node.Kill() // nothing happens
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}
