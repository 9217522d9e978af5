//go:build browser

package dashboard

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	personclient "github.com/torrent-operator/torrent-operator/internal/client"
	"github.com/torrent-operator/torrent-operator/test/cluster"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

const (
	// patience is how long a test waits for something that must happen. It is
	// no measure of speed.
	patience = 60 * time.Second
	node     = "dashboard-node"
	account  = "torrent-operator"
	system   = "torrent-operator-system"
)

// The people of the tests, by their service accounts.
const (
	editor   = "ada"   // May do everything with downloads.
	viewer   = "grace" // May look.
	stranger = "mallory"
)

var (
	write   = flag.Bool("write", false, "write the screenshots of docs/images")
	measure = flag.Bool("measure", false, "measure long tasks of a long list, and what a hundred open dashboards cost; takes a quiet machine")
)

// What all tests share.
var (
	plane      *cluster.ControlPlane
	admin      client.Client
	program    string            // The operator, the dashboard and the command line.
	kubeconfig string            // Of the operator's service account.
	tokens     map[string]string // By the names of people.
	shared     string            // Folder for what lasts as long as the tests.
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		var err error
		if shared, err = os.MkdirTemp("", "torrent-operator-dashboard-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(shared)
		if plane, err = cluster.Start(context.Background(), cluster.Options{ControllerManager: true}); err == nil {
			defer plane.Stop()
			err = prepare(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// prepare builds the binary, installs the operator's objects, and makes the
// people.
func prepare(ctx context.Context) error {
	program = filepath.Join(shared, "torrent-operator")
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
	kubeconfig = filepath.Join(shared, "kubeconfig")
	if err := plane.WriteKubeconfig(kubeconfig, strings.TrimSpace(token)); err != nil {
		return err
	}
	if admin, err = client.New(plane.Config, client.Options{Scheme: personclient.Scheme}); err != nil {
		return err
	}
	return errors.Join(
		admin.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: map[string]string{corev1.LabelHostname: node}}}),
		people(ctx),
	)
}

// people makes a service account for each person, and its token. The roles
// view and edit gather these rights as well, some time after the operator was
// installed; here nobody waits for that.
func people(ctx context.Context) error {
	tokens = map[string]string{}
	for _, name := range []string{editor, viewer, stranger} {
		who := metav1.ObjectMeta{Namespace: "default", Name: name}
		if err := admin.Create(ctx, &corev1.ServiceAccount{ObjectMeta: who}); err != nil {
			return err
		}
		token, err := plane.Kubectl(ctx, "create", "token", name)
		if err != nil {
			return err
		}
		tokens[name] = strings.TrimSpace(token)
	}
	for _, args := range [][]string{
		{"clusterrole", "files", "--verb=create,patch,delete,list", "--resource=configmaps,secrets,persistentvolumeclaims,events.events.k8s.io"},
		{"clusterrolebinding", "editor", "--clusterrole=torrent-operator-editor", "--serviceaccount=default:" + editor},
		{"clusterrolebinding", "files", "--clusterrole=files", "--serviceaccount=default:" + editor},
		{"clusterrolebinding", "viewer", "--clusterrole=torrent-operator-viewer", "--serviceaccount=default:" + viewer},
	} {
		if _, err := plane.Kubectl(ctx, append([]string{"create"}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// startDashboard runs the dashboard as it runs in a cluster, until the end of
// the test, and returns its address.
func startDashboard(t *testing.T) string {
	t.Helper()
	api, err := url.Parse(plane.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	line := launchWith(t, []string{"KUBERNETES_SERVICE_HOST=" + api.Hostname(), "KUBERNETES_SERVICE_PORT=" + api.Port()},
		"dashboard", "--listen=127.0.0.1:0", "--certificate-authority="+plane.Config.CAFile)
	return strings.TrimSuffix(line, "/")
}

// startOperator runs the operator until the end of the test.
func startOperator(t *testing.T, volumes string) {
	t.Helper()
	p, err := cluster.Command{
		Args: []string{
			program, "manager", "--executor=in-process", "--kubeconfig=" + kubeconfig, "--node-name=" + node,
			"--local-volume-root=" + volumes, "--progress-min-interval=500ms", "--allow-cidrs=127.0.0.0/8",
			"--listen-ports=" + strconv.Itoa(freeport.For(t)), "--dht=false",
			"--metrics-bind-address=0", "--health-probe-bind-address=127.0.0.1:0", "--log-format=text",
		},
		Log: filepath.Join(t.TempDir(), "operator.log"),
	}.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(20 * time.Second) })
}

// launch runs a command until the end of the test, and returns the first line
// that it prints.
func launch(t *testing.T, args ...string) string {
	t.Helper()
	return launchWith(t, nil, args...)
}

func launchWith(t *testing.T, env []string, args ...string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := cluster.Command{Args: append([]string{program}, args...), Env: env, Stdout: w, Log: filepath.Join(t.TempDir(), "log")}.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop(10 * time.Second)
		r.Close()
	})
	buffer := make([]byte, 4096)
	n, err := r.Read(buffer)
	if err != nil {
		t.Fatalf("%s says nothing: %v", args[0], err)
	}
	line, _, _ := strings.Cut(string(buffer[:n]), "\n")
	return line
}

// await waits until ok says so; what names it for whoever reads the failure.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if err := awaitIn(t.Context(), what, ok); err != nil {
		t.Fatal(err)
	}
}

func awaitIn(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain until %s", what)
		}
	}
	return nil
}
