// Package e2e tests the operator as its users run it: the real binary, as a
// process of its own with the rights of its service account, works for a real
// API server, and everything is asked for and told through the API. Only what
// is on the other side of the wire, trackers and peers, may be made for a test.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/test/cluster"
)

const (
	// patience is how long a test waits for something that must happen. It is
	// no measure of speed.
	patience = 90 * time.Second
	// node is the name of the Node object, and that by which the operator goes.
	node = "e2e-node"
	// account is the name of the operator's Deployment and service account in
	// config/, and system is where they are.
	account = "torrent-operator"
	system  = "torrent-operator-system"
)

// What all tests share.
var (
	plane      *cluster.ControlPlane
	scheme     = runtime.NewScheme()
	program    string // The operator and the command line.
	kubeconfig string // Of the operator's service account.
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "torrent-operator-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		os.Setenv("TORRENT_OPERATOR_DHT", "false") // Tests keep to themselves.
		plane, err = cluster.Start(context.Background(), cluster.Options{ControllerManager: true})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer plane.Stop()
		if err := prepare(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// prepare builds the binary and installs all of config/in-process. There is no
// node to run a Pod, so the tests start the operator themselves.
func prepare(ctx context.Context, dir string) error {
	program = filepath.Join(dir, "torrent-operator")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "../..").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	for _, args := range [][]string{
		{"apply", "-k", "../../config/in-process"},
		{"scale", "deployment", account, "--namespace=" + system, "--replicas=0"},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"},
	} {
		if _, err := plane.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	token, err := plane.Kubectl(ctx, "create", "token", account, "--namespace="+system)
	if err != nil {
		return err
	}
	kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := plane.WriteKubeconfig(kubeconfig, strings.TrimSpace(token)); err != nil {
		return err
	}
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	c, err := client.New(plane.Config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	return c.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: map[string]string{corev1.LabelHostname: node}}})
}
