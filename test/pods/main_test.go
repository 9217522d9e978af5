//go:build e2e

package pods

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/image"
	"github.com/torrent-operator/torrent-operator/internal/version"
	"github.com/torrent-operator/torrent-operator/test/cluster"
	"github.com/torrent-operator/torrent-operator/test/cluster/nodes"
)

const (
	// operatorImage and toolImage are what Pods run.
	operatorImage = "localhost/torrent-operator:e2e"
	toolImage     = "localhost/torrent-operator-tool:e2e"
	// account is the name of the operator's Deployment in config/, and system
	// is where it is.
	account = "torrent-operator"
	system  = "torrent-operator-system"
	// patience is how long a test waits for something that must happen. It is
	// no measure of speed.
	patience = 4 * time.Minute
)

const (
	// kubeconfigEnv names a kubeconfig file of the cluster to test on, instead
	// of one that is made.
	kubeconfigEnv = "E2E_KUBECONFIG"
	// loadEnv is a command that makes an image, in the archive that is its last
	// argument, known to that cluster.
	loadEnv = "E2E_LOAD"
	// fromEnv is a commit, such as a release: its operator and its manifests are
	// what is upgraded. Without it they are those of this source.
	fromEnv = "E2E_FROM"
)

// What all tests share.
var (
	own        *nodes.Cluster // nil if the cluster is somebody else's
	config     *rest.Config
	kubeconfig string
	kubectl    string               // program
	tool       string               // program, of this machine
	overlay    string               // folder, for kustomize: all that is installed
	direct     kubernetes.Interface // for logs
	scheme     = clientgoscheme.Scheme
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard()) // watches tell of each end that they are asked for
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	_ = stop // for as long as this process
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "torrent-operator-pods-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = prepare(ctx, dir)
		}
		if own != nil {
			defer own.Stop()
			// A test that is interrupted does not return.
			context.AfterFunc(ctx, func() {
				own.Stop()
				os.RemoveAll(dir)
				os.Exit(130)
			})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if own == nil || code != 0 {
			return code
		}
		unused, err := checkRights()
		if err != nil {
			fmt.Fprintln(os.Stderr, "FAIL: the operator's rights,", err)
			return 1
		}
		if flag.Lookup("test.run").Value.String() == "" && len(unused) > 0 {
			fmt.Fprintln(os.Stderr, "FAIL: the operator has rights that nobody uses:", strings.Join(unused, ", "))
			return 1
		}
		return code
	}())
}

// prepare brings up a cluster with the operator in it.
func prepare(ctx context.Context, dir string) error {
	assets, err := cluster.Assets(ctx, os.Stderr)
	if err != nil {
		return err
	}
	kubectl = filepath.Join(assets, "kubectl")
	images, err := writeImages(ctx, dir)
	if err != nil {
		return err
	}
	if kubeconfig = os.Getenv(kubeconfigEnv); kubeconfig == "" {
		if own, err = nodes.Start(ctx, nodes.Options{Images: images}); err != nil {
			return err
		}
		kubeconfig = own.Kubeconfig
	} else if err := load(ctx, images); err != nil {
		return err
	}
	if config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return err
	}
	config.QPS = -1
	if direct, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	overlay = dir
	return install(ctx, "../..", operatorImage)
}

// writeImages writes the archives of the images that Pods run.
func writeImages(ctx context.Context, dir string) ([]string, error) {
	tool = filepath.Join(dir, "tool")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", tool, "./tool")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	content, err := os.ReadFile(tool)
	if err != nil {
		return nil, err
	}
	archives := []string{filepath.Join(dir, "operator.tar"), filepath.Join(dir, "tool.tar")}
	return archives, errors.Join(writeOperator(ctx, archives[0], operatorImage), writeFile(archives[1], func(f *os.File) error {
		return image.Write(f, toolImage, image.Image{
			Platform: image.Platform{OS: "linux", Architecture: runtime.GOARCH},
			Config:   image.Config{Entrypoint: []string{"/tool"}},
			Files:    []image.File{{Path: "tool", Executable: true, Content: content}},
		})
	}))
}

// writeOperator writes an archive of the operator's image, under a name.
func writeOperator(ctx context.Context, archive, name string) error {
	return writeFile(archive, func(f *os.File) error {
		return image.WriteOperator(ctx, f, name, version.Info{Version: "e2e"}, "linux/"+runtime.GOARCH)
	})
}

func writeFile(path string, write func(*os.File) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// load hands archives to a cluster that is not ours.
func load(ctx context.Context, archives []string) error {
	command := strings.Fields(os.Getenv(loadEnv))
	if len(command) == 0 {
		fmt.Println("No command to load images is given, so the cluster must have", operatorImage, "and", toolImage)
		return nil
	}
	for _, archive := range archives {
		if out, err := exec.CommandContext(ctx, command[0], append(command[1:], archive)...).CombinedOutput(); err != nil {
			return fmt.Errorf("loading images: %v: %w: %s", command, err, out)
		}
	}
	return nil
}

// install installs all of config/default of a source, with an image, and returns
// when it works.
func install(ctx context.Context, source, image string) error {
	repository, err := filepath.Abs(source)
	if err != nil {
		return err
	}
	base, err := filepath.Rel(overlay, filepath.Join(repository, "config", "default"))
	if err != nil {
		return err
	}
	name, tag, _ := strings.Cut(image, ":")
	content := fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [%q]
images: [{name: ghcr.io/torrent-operator/torrent-operator, newName: %q, newTag: %q}]
`, base, name, tag)
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(content), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"apply", "-k", overlay},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd/torrentdownloads.torrent-operator.io"},
	} {
		if _, err := control(ctx, args...); err != nil {
			return err
		}
	}
	return rolledOut(ctx)
}

// rolledOut waits until the operator runs as its Deployment says, and no other
// does.
func rolledOut(ctx context.Context) error {
	_, err := control(ctx, "rollout", "status", "deployment/"+account, "--namespace="+system, fmt.Sprintf("--timeout=%s", patience))
	return err
}

// control runs kubectl as administrator.
func control(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, kubectl, append([]string{"--kubeconfig", kubeconfig}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return string(out), err
}
