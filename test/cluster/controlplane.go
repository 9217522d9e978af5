// Package cluster runs a real Kubernetes control plane on the loopback of this
// machine, for tests and for the demo: etcd, kube-apiserver and, if asked for,
// kube-controller-manager, built from their Go modules. There is no node, so
// no Pod runs. It knows nothing of what is tested with it.
package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// startTimeout bounds the start of each component, on a busy machine.
const startTimeout = 2 * time.Minute

// Options say what kind of control plane to start. The zero value is enough
// for tests of a controller.
type Options struct {
	// Assets is the folder of the components; empty asks [Assets], with what
	// it says going to the standard error.
	Assets string
	// ControllerManager starts kube-controller-manager too, which binds
	// claims to volumes, runs Jobs, collects garbage and empties namespaces.
	ControllerManager bool
}

// A ControlPlane is running Kubernetes. Whoever started it has to call Stop;
// if the process dies before, the kernel ends the components.
type ControlPlane struct {
	// Config connects as an administrator, without a limit on the client's
	// rate of requests. Copy it before changing it.
	Config *rest.Config
	// Kubeconfig is a file for kubectl that does the same.
	Kubeconfig string
	// KubectlPath is kubectl of the same version.
	KubectlPath string
	// LogDir holds one log file for each component. Stop removes it.
	LogDir string

	dir       string
	ports     []reservedPort
	processes []*Process
}

// Start starts a control plane and returns when it is ready to be used. If it
// cannot be, nothing of it is left.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	if o.Assets == "" {
		assets, err := Assets(ctx, os.Stderr)
		if err != nil {
			return nil, err
		}
		o.Assets = assets
	}
	dir, err := os.MkdirTemp("", "torrent-operator-cluster-")
	if err != nil {
		return nil, err
	}
	cp := &ControlPlane{dir: dir, LogDir: dir, KubectlPath: filepath.Join(o.Assets, "kubectl")}
	if err := cp.start(ctx, o); err != nil {
		cp.Stop()
		return nil, err
	}
	return cp, nil
}

func (cp *ControlPlane) start(ctx context.Context, o Options) error {
	keys, err := makeKeys(cp.dir)
	if err != nil {
		return err
	}
	if err := cp.startServers(ctx, o.Assets, keys); err != nil {
		return err
	}
	if o.ControllerManager {
		return cp.startControllerManager(ctx, o.Assets, keys)
	}
	return nil
}

// Stop ends all components, removes what they have written and returns when
// both is done. It may be called twice.
func (cp *ControlPlane) Stop() {
	for len(cp.processes) > 0 { // the last one first: each needs those before it
		last := len(cp.processes) - 1
		cp.processes[last].Stop(0) // the data goes too, so there is nothing to end in good order
		cp.processes = cp.processes[:last]
	}
	for _, port := range cp.ports {
		port.release()
	}
	cp.ports = nil
	os.RemoveAll(cp.dir)
}

// Kubectl runs kubectl as administrator and returns its standard output. The
// error holds what it said.
func (cp *ControlPlane) Kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, cp.KubectlPath, append([]string{"--kubeconfig", cp.Kubeconfig}, args...)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// WriteKubeconfig writes a kubeconfig file that stands alone, and connects as
// whoever the token belongs to: "kubectl create token" makes one for a service
// account.
func (cp *ControlPlane) WriteKubeconfig(path, token string) error {
	authority, err := os.ReadFile(cp.Config.CAFile)
	if err != nil {
		return err
	}
	const name = "torrent-operator-test"
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: cp.Config.Host, CertificateAuthorityData: authority}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)
}

// startServers starts etcd and kube-apiserver, and fills in how to reach them.
func (cp *ControlPlane) startServers(ctx context.Context, assets string, k keys) error {
	for range 3 {
		port, err := reservePort()
		if err != nil {
			return err
		}
		cp.ports = append(cp.ports, port)
	}
	client, peer, api := "http://"+cp.ports[0].address(), "http://"+cp.ports[1].address(), cp.ports[2]
	// kube-apiserver waits for etcd by itself.
	if err := cp.startComponent(assets, "etcd", "--name=test", "--data-dir="+filepath.Join(cp.dir, "etcd"),
		"--unsafe-no-fsync", "--socket-reuse-port", "--log-level=warn",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=test="+peer); err != nil {
		return err
	}
	certs := filepath.Join(cp.dir, "certs") // kube-apiserver makes its own certificate there
	if err := cp.startComponent(assets, "kube-apiserver", "--etcd-servers="+client,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", api.number), "--permit-port-sharing",
		"--cert-dir="+certs, "--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged",
		"--authorization-mode=RBAC", "--token-auth-file="+k.tokens,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+k.accounts, "--service-account-signing-key-file="+k.accounts,
		"--profiling=false"); err != nil {
		return err
	}
	authority := filepath.Join(certs, "apiserver.crt")
	cp.Config = &rest.Config{
		Host:            "https://" + api.address(),
		BearerToken:     k.token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: authority},
		QPS:             -1,
	}
	if err := cp.await(ctx, "/readyz"); err != nil {
		return err
	}
	cp.Kubeconfig = filepath.Join(cp.dir, "kubeconfig")
	return cp.WriteKubeconfig(cp.Kubeconfig, k.token)
}

// startControllerManager starts kube-controller-manager once the API server
// has made the roles without which it would give up, and waits for the first
// thing that it makes.
func (cp *ControlPlane) startControllerManager(ctx context.Context, assets string, k keys) error {
	if err := cp.startComponent(assets, "kube-controller-manager", "--kubeconfig="+cp.Kubeconfig,
		"--secure-port=0", "--leader-elect=false",
		// The default rate makes it take seconds longer to get going.
		"--kube-api-qps=500", "--kube-api-burst=1000", "--pvclaimbinder-sync-period=1s",
		"--use-service-account-credentials", "--service-account-private-key-file="+k.accounts,
		"--root-ca-file="+cp.Config.CAFile, "--profiling=false"); err != nil {
		return err
	}
	return cp.await(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
}

func (cp *ControlPlane) startComponent(assets, name string, args ...string) error {
	p, err := Command{
		Args: append([]string{filepath.Join(assets, name)}, args...),
		Log:  filepath.Join(cp.LogDir, name+".log"),
	}.Start()
	if err == nil {
		cp.processes = append(cp.processes, p)
	}
	return err
}

// await returns when the API server answers a GET of path with 200 OK.
func (cp *ControlPlane) await(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := await(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		client, err := rest.HTTPClientFor(cp.Config) // fails until the certificate is there
		if err != nil {
			return err
		}
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, cp.Config.Host+path, http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", path, response.Status)
		}
		return nil
	}, cp.processes...)
	if err != nil {
		return fmt.Errorf("the control plane did not get ready: %w", err)
	}
	return nil
}

// keys are the secrets of one control plane.
type keys struct {
	token    string // of the administrator
	tokens   string // file that says so to kube-apiserver
	accounts string // file of the key that signs tokens of service accounts
}

func makeKeys(dir string) (keys, error) {
	k := keys{token: rand.Text(), tokens: filepath.Join(dir, "tokens.csv"), accounts: filepath.Join(dir, "accounts.key")}
	line := k.token + ",admin,admin,system:masters\n"
	if err := os.WriteFile(k.tokens, []byte(line), 0o600); err != nil {
		return k, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return k, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return k, err
	}
	return k, os.WriteFile(k.accounts, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
