package podexec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/executor/podexec"
	"github.com/torrent-operator/torrent-operator/test/cluster"
)

const (
	namespace = "conformance"
	claim     = "datasets"
	// patience is how long a test waits for something that must happen. It is
	// no measure of speed.
	patience = time.Minute
)

var (
	kube   *rest.Config
	scheme = runtime.NewScheme()
)

// TestMain runs the tests against a real kube-apiserver, which takes no Pod
// that is not restricted.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		log.SetLogger(funcr.New(func(prefix, args string) { fmt.Fprintln(os.Stderr, prefix, args) }, funcr.Options{}))
		if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		plane, err := cluster.Start(context.Background(), cluster.Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer plane.Stop()
		kube = plane.Config
		_, err = envtest.InstallCRDs(kube, envtest.CRDInstallOptions{
			Paths: []string{"../../../config/crd/bases"}, ErrorIfPathMissing: true, Scheme: scheme,
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "Installing the CRD:", err)
			return 1
		}
		if err := furnish(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// furnish makes the namespace and what a Pod and a download need in it.
func furnish(ctx context.Context) error {
	c, err := client.New(kube, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	in := metav1.ObjectMeta{Namespace: namespace}
	account, pvc := in, in
	account.Name, pvc.Name = "default", claim
	return errors.Join(
		c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		}}),
		c.Create(ctx, &corev1.ServiceAccount{ObjectMeta: account}),
		c.Create(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: pvc, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		}}),
	)
}

// world is a cluster with one node, an executor, and a seeder of everything.
type world struct {
	*testing.T
	client.Client // Straight to the API server, as an administrator.
	executor      *podexec.Executor
	nodes         *kubelet
	root          string // Below it lies the claim's volume.
	volume        string
	seed          *engine.Engine
	workers       *engine.Engine // Of all workers.
	stop          func()         // Ends the operator's process; what it has begun runs on.
	asked         atomic.Int64   // How often the executor has read from the API server.

	mu       sync.Mutex
	torrents map[string]*torrent
}

// torrent is one that the seeder has.
type torrent struct {
	meta    *metainfo.Metainfo
	file    []byte // The .torrent file.
	content string // The folder that it was made of.
}

// newWorld starts everything; it ends with the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, root: root, volume: filepath.Join(root, "volume"), torrents: map[string]*torrent{}}
	if err := os.Mkdir(w.volume, 0o755); err != nil {
		t.Fatal(err)
	}
	if w.Client, err = client.New(kube, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.seed, w.workers = w.engine(), w.engine()
	w.startOperator()
	w.nodes = startKubelet(w)
	t.Cleanup(func() {
		w.stop()
		w.nodes.empty()
	})
	return w
}

// startOperator starts an executor as main does, which knows nothing of the
// ones before it.
func (w *world) startOperator() {
	w.Helper()
	mgr, err := ctrl.NewManager(kube, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{ByObject: podexec.CacheOptions(), DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		w.Fatal(err)
	}
	x := podexec.New(podexec.Config{
		Client: mgr.GetClient(), Live: counted{mgr.GetAPIReader(), &w.asked}, Image: "example.org/torrent-operator:test",
		Endpoint: "operator.example:8444", CA: func() []byte { return []byte("certificate") }, Port: 6881,
	})
	if err := x.SetupWithManager(mgr); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("the manager ended with %v", err)
		}
	})
	if !mgr.GetCache().WaitForCacheSync(w.Context()) {
		w.Fatal("the cache was not filled")
	}
	w.awaitThat("the executor works", x.Leads)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.executor = x
}

// counted counts what is read.
type counted struct {
	client.Reader
	n *atomic.Int64
}

func (c counted) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	c.n.Add(1)
	return c.Reader.Get(ctx, key, o, opts...)
}

func (c counted) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	c.n.Add(1)
	return c.Reader.List(ctx, list, opts...)
}

// operator is the executor that works now.
func (w *world) operator() *podexec.Executor {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.executor
}

// engine starts an engine on loopback that ends with the test.
func (w *world) engine() *engine.Engine {
	w.Helper()
	e, err := engine.New(engine.Config{
		PortFirst: 21000, PortLast: 29999, Listen: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		ProgressInterval: 20 * time.Millisecond,
	})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			w.Errorf("closing an engine: %v", err)
		}
	})
	return e
}

// torrent returns the torrent of a name; the seeder serves it.
func (w *world) torrent(name string) *torrent {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.torrents[name]; t != nil {
		return t
	}
	dir := w.TempDir()
	t := &torrent{content: filepath.Join(dir, "of-"+name)}
	for file, size := range map[string]int{"one": 300_001, "empty": 0, "below/two": 700_000} {
		write(w.T, filepath.Join(t.content, file), random(name+file, size))
	}
	var err error
	if t.meta, err = metainfo.Create(w.Context(), t.content, metainfo.CreateOptions{PieceLength: 32 << 10}); err != nil {
		w.Fatal(err)
	}
	if t.file, err = t.meta.Marshal(); err != nil {
		w.Fatal(err)
	}
	seeding, err := w.seed.Add(engine.Spec{Metainfo: t.meta, Dir: dir, Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		w.Fatal(err)
	}
	for seeding.Progress().State != download.StateSeeding {
		select {
		case <-seeding.Changed():
		case <-seeding.Done():
			w.Fatalf("the seeder ended with %v", seeding.Progress().Err)
		}
	}
	w.torrents[name] = t
	return t
}

// request asks for the torrent of a name, in a folder of that name.
func (w *world) request(name string) download.Request {
	w.Helper()
	return download.Request{
		Source: download.Source{Metainfo: w.torrent(name).file},
		Peers:  []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(w.seed.Port()))},
		Volume: download.Volume{ClaimName: claim, Path: name},
	}
}

// data says whether there is anything in the folder of a request, and whether
// it is all there and right.
func (w *world) data(r download.Request) (there, intact bool) {
	w.Helper()
	place := filepath.Join(w.volume, r.Volume.Path)
	intact = true
	err := filepath.WalkDir(place, func(_ string, e os.DirEntry, err error) error {
		there = there || err == nil && !e.IsDir()
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		w.Fatal(err)
	}
	content := w.torrent(r.Volume.Path).content
	for _, file := range []string{"one", "empty", "below/two"} {
		want, err := os.ReadFile(filepath.Join(content, file))
		if err != nil {
			w.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(place, filepath.Base(content), file))
		intact = intact && err == nil && bytes.Equal(want, got)
	}
	return there, intact
}

func (w *world) path(r download.Request, file string) string {
	return filepath.Join(w.volume, r.Volume.Path, "of-"+r.Volume.Path, file)
}

// damage changes a byte in the middle of a file.
func (w *world) damage(r download.Request) {
	w.Helper()
	path := w.path(r, "below/two")
	b, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		w.Fatal(err)
	}
}

// awaitThat waits until ok says so.
func (w *world) awaitThat(what string, ok func() bool) {
	w.Helper()
	late := time.After(patience)
	for tick := time.NewTicker(10 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			w.Fatalf("waited in vain until %s", what)
		}
	}
}

// random returns the same bytes for the same name.
func random(name string, size int) []byte {
	var seed [32]byte
	copy(seed[:], name)
	b := make([]byte, size)
	rand.NewChaCha8(seed).Read(b)
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
