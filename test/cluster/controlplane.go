// Package cluster runs a real Kubernetes control plane, for tests and for the
// demo: etcd, kube-apiserver and, if asked for, kube-controller-manager, built
// from their Go modules. It runs on the loopback of this machine, or where
// nodes can join it; by itself it has no node, so no Pod runs. It knows nothing
// of what is tested with it.
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
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	// Dir is the folder in which it makes one for its files; empty is that of
	// temporary files.
	Dir string
	// Network, if set, is where to run instead of on the loopback of this
	// machine. It makes a control plane for nodes, with a kube-scheduler.
	Network *Network
	// Users are known to the API server besides the administrator.
	Users []User
	// Flags are more flags for a component, by its name.
	Flags map[string][]string
}

// A Network is a place for a control plane in a namespace of its own.
type Network struct {
	// Namespace has its devices already, the loopback device too.
	Namespace *Namespace
	// Address is one of its own, at which nodes reach the API server.
	Address netip.Addr
}

// A User is somebody whom the API server knows by a token.
type User struct {
	Name   string
	Groups []string
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

	dir        string
	ports      []reservedPort
	processes  []*Process
	namespace  *Namespace // of the components; nil is that of this process
	server     string     // URL of the API server, there
	kubeconfig string     // file for the administrator, there
	tokens     map[string]string
	relay      *relay // leads there
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
	dir, err := os.MkdirTemp(o.Dir, "torrent-operator-cluster-")
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
	keys, err := cp.makeKeys(o.Users)
	if err != nil {
		return err
	}
	if err := cp.startServers(ctx, o, keys); err != nil {
		return err
	}
	if o.ControllerManager {
		if err := cp.startControllerManager(ctx, o, keys); err != nil {
			return err
		}
	}
	if o.Network != nil {
		return cp.startComponent(o, "kube-scheduler", "--kubeconfig="+cp.kubeconfig, "--secure-port=0", "--leader-elect=false")
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
	if cp.relay != nil {
		cp.relay.close()
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
	return cp.writeKubeconfig(path, clientcmdapi.Cluster{Server: cp.Config.Host, TLSServerName: cp.Config.ServerName}, token)
}

// WriteUserKubeconfig writes a kubeconfig file that stands alone, for a user
// who is in the network of the control plane.
func (cp *ControlPlane) WriteUserKubeconfig(path, user string) error {
	return cp.writeKubeconfig(path, clientcmdapi.Cluster{Server: cp.server}, cp.tokens[user])
}

func (cp *ControlPlane) writeKubeconfig(path string, at clientcmdapi.Cluster, token string) error {
	authority, err := os.ReadFile(cp.Config.CAFile)
	if err != nil {
		return err
	}
	at.CertificateAuthorityData = authority
	const name = "torrent-operator-test"
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: &at},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)
}

// startServers starts etcd and kube-apiserver, and fills in how to reach them.
func (cp *ControlPlane) startServers(ctx context.Context, o Options, k keys) error {
	etcd, peer, api, err := cp.settle(o.Network)
	if err != nil {
		return err
	}
	// kube-apiserver waits for etcd by itself.
	client := "http://" + etcd.String()
	if err := cp.startComponent(o, "etcd", "--name=test", "--data-dir="+filepath.Join(cp.dir, "etcd"),
		"--unsafe-no-fsync", "--socket-reuse-port", "--log-level=warn",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls=http://"+peer.String(), "--initial-advertise-peer-urls=http://"+peer.String(),
		"--initial-cluster=test=http://"+peer.String()); err != nil {
		return err
	}
	certs := filepath.Join(cp.dir, "certs") // kube-apiserver makes its own certificate there
	if err := cp.startComponent(o, "kube-apiserver", "--etcd-servers="+client,
		"--bind-address="+api.Addr().String(), fmt.Sprintf("--secure-port=%d", api.Port()), "--permit-port-sharing",
		"--cert-dir="+certs, "--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged",
		"--authorization-mode=Node,RBAC", "--token-auth-file="+k.tokens,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+k.accounts, "--service-account-signing-key-file="+k.accounts,
		"--profiling=false"); err != nil {
		return err
	}
	cp.Config = &rest.Config{
		Host:            cp.server,
		BearerToken:     cp.tokens[administrator],
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(certs, "apiserver.crt")},
		QPS:             -1,
	}
	if cp.namespace != nil {
		if cp.relay, err = newRelay(cp.namespace, api); err != nil {
			return err
		}
		cp.Config.Host, cp.Config.ServerName = "https://"+cp.relay.address(), api.Addr().String()
	}
	if err := cp.await(ctx, "/readyz"); err != nil {
		return err
	}
	cp.Kubeconfig, cp.kubeconfig = filepath.Join(cp.dir, "kubeconfig"), filepath.Join(cp.dir, "inner.kubeconfig")
	if err := cp.WriteUserKubeconfig(cp.kubeconfig, administrator); err != nil {
		return err
	}
	return cp.WriteKubeconfig(cp.Kubeconfig, cp.tokens[administrator])
}

// settle decides where etcd, for clients and for peers, and the API server
// listen.
func (cp *ControlPlane) settle(n *Network) (etcd, peer, api netip.AddrPort, err error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if n != nil {
		cp.namespace = n.Namespace
		etcd, peer = netip.AddrPortFrom(loopback, 2379), netip.AddrPortFrom(loopback, 2380)
		api = netip.AddrPortFrom(n.Address, 6443)
	} else {
		for _, at := range []*netip.AddrPort{&etcd, &peer, &api} {
			port, err := reservePort()
			if err != nil {
				return etcd, peer, api, err
			}
			cp.ports = append(cp.ports, port)
			*at = netip.AddrPortFrom(loopback, uint16(port.number))
		}
	}
	cp.server = "https://" + api.String()
	return etcd, peer, api, nil
}

// startControllerManager starts kube-controller-manager once the API server
// has made the roles without which it would give up, and waits for the first
// thing that it makes.
func (cp *ControlPlane) startControllerManager(ctx context.Context, o Options, k keys) error {
	if err := cp.startComponent(o, "kube-controller-manager", "--kubeconfig="+cp.kubeconfig,
		"--secure-port=0", "--leader-elect=false",
		// The default rate makes it take seconds longer to get going.
		"--kube-api-qps=500", "--kube-api-burst=1000", "--pvclaimbinder-sync-period=1s",
		"--use-service-account-credentials", "--service-account-private-key-file="+k.accounts,
		"--root-ca-file="+cp.Config.CAFile, "--profiling=false"); err != nil {
		return err
	}
	return cp.await(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
}

func (cp *ControlPlane) startComponent(o Options, name string, args ...string) error {
	p, err := Command{
		Args:      slices.Concat([]string{filepath.Join(o.Assets, name)}, args, o.Flags[name]),
		Log:       filepath.Join(cp.LogDir, name+".log"),
		Namespace: cp.namespace,
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

// administrator is the name of the user that may do everything.
const administrator = "admin"

// keys are the files of the secrets of one control plane.
type keys struct {
	tokens   string // which token is whose, for kube-apiserver
	accounts string // key that signs tokens of service accounts
}

func (cp *ControlPlane) makeKeys(users []User) (keys, error) {
	k := keys{tokens: filepath.Join(cp.dir, "tokens.csv"), accounts: filepath.Join(cp.dir, "accounts.key")}
	cp.tokens = map[string]string{}
	var lines strings.Builder
	for _, u := range append(slices.Clone(users), User{Name: administrator, Groups: []string{"system:masters"}}) {
		cp.tokens[u.Name] = rand.Text()
		fmt.Fprintf(&lines, "%s,%s,%s,\"%s\"\n", cp.tokens[u.Name], u.Name, u.Name, strings.Join(u.Groups, ","))
	}
	if err := os.WriteFile(k.tokens, []byte(lines.String()), 0o600); err != nil {
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
