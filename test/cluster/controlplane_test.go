package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childEnv makes the test binary play the parent that is killed.
const childEnv = "CLUSTER_TEST_PARENT"

func TestMain(m *testing.M) {
	if log := os.Getenv(childEnv); log != "" {
		p, err := Command{Args: []string{"sleep", "600"}, Log: log}.Start()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.PID())
		<-p.Done()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestStartServesAndStopLeavesNothing(t *testing.T) {
	cp, err := Start(t.Context(), Options{ControllerManager: true})
	if err != nil {
		t.Fatal(err)
	}
	defer cp.Stop()
	if _, err := cp.Kubectl(t.Context(), "create", "configmap", "it", "--from-literal=a=b"); err != nil {
		t.Fatal(err)
	}
	got, err := cp.Kubectl(t.Context(), "get", "configmap", "it", "-o", "jsonpath={.data.a}")
	if err != nil || got != "b" {
		t.Fatalf("read back %q, %v; want b", got, err)
	}
	version, err := cp.Kubectl(t.Context(), "version")
	if err != nil || !strings.Contains(version, "Server Version: v1.") {
		t.Errorf("kubectl version says %q, %v", version, err)
	}

	token, err := cp.Kubectl(t.Context(), "create", "token", "default")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cp.WriteKubeconfig(own, token); err != nil {
		t.Fatal(err)
	}
	// The last --kubeconfig holds.
	who, err := cp.Kubectl(t.Context(), "--kubeconfig", own, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
	if err != nil || who != "system:serviceaccount:default:default" {
		t.Errorf("with the token of a service account one is %q, %v", who, err)
	}

	var pids []int
	for _, p := range cp.processes {
		pids = append(pids, p.PID())
	}
	if len(pids) != 3 {
		t.Errorf("%d processes run, want etcd, kube-apiserver and kube-controller-manager", len(pids))
	}
	dir := cp.dir
	cp.Stop()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is left after Stop: %v", pid, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left after Stop: %v", dir, err)
	}
}

func TestStartThatFailsHalfWayLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	assets := t.TempDir()
	for name, script := range map[string]string{
		"etcd":           "exec sleep 600",
		"kube-apiserver": "echo the disk is on fire >&2; exit 7",
	} {
		if err := os.WriteFile(filepath.Join(assets, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Start(t.Context(), Options{Assets: assets})
	if err == nil {
		t.Fatal("Start succeeded without an API server")
	}
	for _, want := range []string{"kube-apiserver is gone", "exit status 7", "the disk is on fire"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestProcessDoesNotOutliveItsKilledParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), childEnv+"="+filepath.Join(t.TempDir(), "log"))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, _ := out.Read(line)
	child, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatalf("the parent said %q", line[:n])
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it says that it was killed
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := await(ctx, 10*time.Millisecond, func(context.Context) error { return gone(child) }); err != nil {
		t.Error(err)
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
}

// gone returns nil if no process with this id runs. One that has ended but
// that nobody has waited for does not count.
func gone(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	if _, state, _ := bytes.Cut(stat, []byte(") ")); bytes.HasPrefix(state, []byte("Z")) {
		return nil
	}
	return fmt.Errorf("process %d is alive", pid)
}

func TestStopEndsTheWholeGroupOfAProcessThatDoesNotListen(t *testing.T) {
	dir := t.TempDir()
	// The shell ignores SIGTERM and so does its child, whose id it prints.
	p, err := Command{
		Args: []string{"sh", "-c", "trap '' TERM; sleep 600 & echo $!; wait"},
		Log:  filepath.Join(dir, "log"),
	}.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(0)
	var child int
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := await(ctx, 5*time.Millisecond, func(context.Context) error {
		said, err := os.ReadFile(filepath.Join(dir, "log"))
		if err != nil {
			return err
		}
		child, err = strconv.Atoi(strings.TrimSpace(string(said)))
		return err
	}, p); err != nil {
		t.Fatal(err)
	}
	p.Stop(10 * time.Millisecond)
	if err := await(ctx, 5*time.Millisecond, func(context.Context) error { return gone(child) }); err != nil {
		t.Error(err)
	}
	if p.Err() == nil {
		t.Error("a killed process ended without an error")
	}
}

func TestReservedPortIsHeld(t *testing.T) {
	a, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	defer a.release()
	if a.number == 0 {
		t.Fatal("no number")
	}
	stranger, err := net.Listen("tcp", a.address())
	if err == nil {
		stranger.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a stranger could listen on the reserved port: %v", err)
	}
}

func TestLockIsHeldByOneAndGivesUpWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var said bytes.Buffer
	unlock, err := lock(t.Context(), path, &said)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, path, &said); !errors.Is(err, context.Canceled) {
		t.Errorf("a second lock: %v, want it to wait until its context ends", err)
	}
	if !strings.Contains(said.String(), "waiting for it") {
		t.Errorf("waiting was not told: %q", said.String())
	}
	unlock()
	again, err := lock(t.Context(), path, &said)
	if err != nil {
		t.Fatal(err)
	}
	again()
}
