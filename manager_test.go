package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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
	t.Setenv("POD_NAMESPACE", "here")
	t.Setenv("POD_NAME", "me")
	for _, flag := range []string{
		"--executor=both", "--namespace=", "--watch-namespaces=here,", "--watch-namespaces=No Namespace", "--worker-defaults=/nonexistent", "--worker-defaults=manager_test.go",
		"--report-endpoint=here", "--worker-peer-port=80", "--worker-peer-port=65536",
		"--worker-deny-cidrs=10.0.0.0", "--worker-allow-cidrs=10.0.0.0/8,here",
		"--status-write-qps=0", "--status-write-qps=-1", "--status-write-qps=NaN",
		"--progress-min-interval=0s", "--progress-min-interval=-5s",
		"--max-concurrent-reconciles=0", "--max-concurrent-reconciles=-3",
		"--assembly-memory=1", "--assembly-memory=much",
		"--local-volume-root=/,", "--local-volume-root=./here", "--local-volume-root=/nonexistent",
		"--deny-cidrs=10.0.0.0", "--allow-cidrs=here", "--listen-ports=9-1",
		"--dht-bootstrap=here",
		"--log-level=loud", "--log-format=xml", "--kubeconfig=/nonexistent",
	} {
		cmd := managerCommand()
		name, _, _ := strings.Cut(flag, "=")
		executor := "--executor=" + executorPods
		if strings.HasPrefix(cmd.Flag(name[2:]).Usage, executorInProcess+":") {
			executor = "--executor=" + executorInProcess
		}
		cmd.SetArgs([]string{executor, flag})
		cmd.SetErr(io.Discard)
		cmd.SilenceUsage = true
		err := cmd.ExecuteContext(t.Context())
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

// What stands behind the Service of the API server is denied too: somebody
// who knows those addresses needs no Service.
func TestTheEndpointsOfTheAPIServerAreDenied(t *testing.T) {
	answer := func(code int, body string) *rest.Config {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return &rest.Config{Host: s.URL}
	}
	got, err := apiServerEndpoints(t.Context(), answer(http.StatusOK, `{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.7"]}, {"addresses": ["2001:db8::7"]}]}`))
	want := []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::7/128")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	got, err = apiServerEndpoints(t.Context(), answer(http.StatusNotFound, `{"apiVersion": "v1", "kind": "Status", "reason": "NotFound", "code": 404}`))
	if err != nil || len(got) > 0 {
		t.Errorf("without any: %v, %v", got, err)
	}
	_, err = apiServerEndpoints(t.Context(), answer(http.StatusForbidden, `{"apiVersion": "v1", "kind": "Status", "reason": "Forbidden", "message": "no", "code": 403}`))
	if err == nil {
		t.Error("no error although nobody knows which addresses to deny")
	}
}
