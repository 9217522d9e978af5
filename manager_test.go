package main

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// A flag that makes no sense is refused in one line that names it, before
// anything is listened on or connected to.
func TestFlagsOfTheManagerThatMakeNoSense(t *testing.T) {
	t.Setenv("KUBECONFIG", "/nonexistent")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, flag := range []string{
		"--status-write-qps=0", "--status-write-qps=-1", "--status-write-qps=NaN",
		"--progress-min-interval=0s", "--progress-min-interval=-5s",
		"--max-concurrent-reconciles=0", "--max-concurrent-reconciles=-3",
		"--assembly-memory=1", "--assembly-memory=much",
		"--local-volume-root=/,", "--local-volume-root=./here", "--local-volume-root=/nonexistent",
		"--deny-cidrs=10.0.0.0", "--allow-cidrs=here", "--listen-ports=9-1",
		"--log-level=loud", "--log-format=xml",
	} {
		cmd := managerCommand()
		cmd.SetArgs([]string{flag})
		cmd.SetErr(io.Discard)
		cmd.SilenceUsage = true
		err := cmd.ExecuteContext(t.Context())
		name, _, _ := strings.Cut(flag, "=")
		if err == nil || !strings.HasPrefix(err.Error(), name+":") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// The API server is denied in whatever way the kubeconfig names it.
func TestTheAPIServerIsDenied(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
	for _, host := range []string{"192.0.2.7:6443", "192.0.2.7", "https://192.0.2.7:6443", "http://192.0.2.7/path"} {
		got := apiServer(context.Background(), &rest.Config{Host: host})
		for _, want := range []string{"192.0.2.7/32", "10.96.0.1/32"} {
			if !slices.Contains(got, netip.MustParsePrefix(want)) {
				t.Errorf("%s: %v lacks %s", host, got, want)
			}
		}
	}
}
