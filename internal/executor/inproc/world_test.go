package inproc

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	node      = "this-node"
	namespace = "conformance"
	claim     = "datasets"

	// patience is how long a test waits for something that must happen. It is
	// no measure of speed.
	patience = time.Minute
)

// world is a node with a volume, an executor, and a seeder of everything.
type world struct {
	*testing.T
	*Executor
	api    client.Client
	root   string // Below it lie volumes that may be written to.
	volume string // The folder of the claim's volume.
	guard  *transport.Guard
	seed   *engine.Engine

	mu       sync.Mutex
	torrents map[string]*torrent
}

// torrent is one that the seeder has.
type torrent struct {
	meta    *metainfo.Metainfo
	file    []byte // The .torrent file.
	content string // The folder that it was made of.
}

// newWorld starts engines and an executor; they end with the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		T: t, root: root, volume: filepath.Join(root, "volume"), guard: new(transport.Guard), torrents: map[string]*torrent{},
		api: fake.NewClientBuilder().Build(),
	}
	if err := os.Mkdir(w.volume, 0o755); err != nil {
		t.Fatal(err)
	}
	w.seed = w.engine(nil)
	eng := w.engine(w.guard)
	w.Executor = New(Config{Engine: eng, Volumes: Claims{Reader: w.api, NodeName: node, Roots: []string{root}}, NodeName: node})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Errorf("closing the executor: %v", err)
		}
	})
	w.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: map[string]string{corev1.LabelHostname: node}}})
	w.bind(claim, hostPath(w.volume))
	return w
}

// engine starts an engine on loopback that ends with the test.
func (w *world) engine(guard *transport.Guard) *engine.Engine {
	w.Helper()
	e, err := engine.New(engine.Config{
		PortFirst: 21000, PortLast: 29999, Listen: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		ProgressInterval: 20 * time.Millisecond, Guard: guard,
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

func (w *world) create(o client.Object) {
	w.Helper()
	if err := w.api.Create(w.Context(), o); err != nil {
		w.Fatal(err)
	}
}

// hostPath is a volume that any node might have.
func hostPath(path string) corev1.PersistentVolumeSpec {
	return corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{
		HostPath: &corev1.HostPathVolumeSource{Path: path},
	}}
}

// bind makes a claim that is bound to a volume.
func (w *world) bind(name string, spec corev1.PersistentVolumeSpec) {
	w.Helper()
	uid := types.UID("uid-of-" + name)
	spec.ClaimRef = &corev1.ObjectReference{Namespace: namespace, Name: name, UID: uid}
	w.create(&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-" + name}, Spec: spec})
	w.create(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pv-" + name},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	})
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
func (w *world) data(name string, r download.Request) (there, intact bool) {
	w.Helper()
	place := filepath.Join(w.volume, r.Volume.Path)
	there = len(filesBelow(w.T, place)) > 0
	content := w.torrent(name).content
	for _, file := range filesBelow(w.T, content) {
		want, err := os.ReadFile(filepath.Join(content, file))
		if err != nil {
			w.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(place, filepath.Base(content), file))
		if err != nil || !bytes.Equal(want, got) {
			return there, false
		}
	}
	return there, true
}

// id names a download.
func id(name string) download.ID {
	return download.ID{Namespace: namespace, Name: name, UID: "uid-of-" + name}
}

func (w *world) ensure(name string, r download.Request) {
	w.Helper()
	if err := w.Ensure(w.Context(), id(name), r); err != nil {
		w.Fatal(err)
	}
}

func (w *world) observe(name string) download.Progress {
	w.Helper()
	p, err := w.Observe(w.Context(), id(name))
	if err != nil {
		w.Fatal(err)
	}
	return p
}

// await observes a download until it is as wanted.
func (w *world) await(name, what string, wanted func(download.Progress) bool) download.Progress {
	w.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	late := time.After(patience)
	for {
		p := w.observe(name)
		if wanted(p) {
			return p
		}
		select {
		case <-look.C:
		case <-late:
			w.Fatalf("%s was not %s after %v: %+v, failure %+v", name, what, patience, p, p.Err)
		}
	}
}

func (w *world) awaitState(name string, s download.State) download.Progress {
	w.Helper()
	return w.await(name, string(s), func(p download.Progress) bool { return p.State == s })
}

// fails runs a download until it waits or has failed, and checks why.
func (w *world) fails(name string, r download.Request, reason string, permanent bool, says ...string) {
	w.Helper()
	w.ensure(name, r)
	p := w.await(name, "failed", func(p download.Progress) bool { return p.Err != nil })
	checkFailure(w.T, p.Err, reason, permanent, says...)
	if state := p.State; (state == download.StateWaiting) != waiting(p.Err) {
		w.Errorf("%s for %s", state, reason)
	}
}

func checkFailure(t *testing.T, f *download.Failure, reason string, permanent bool, says ...string) {
	t.Helper()
	if f.Reason != reason || f.Permanent != permanent {
		t.Errorf("failed with %+v, want %s, permanent: %t", f, reason, permanent)
	}
	for _, word := range says {
		if !strings.Contains(f.Message, word) {
			t.Errorf("the message does not mention %q: %s", word, f.Message)
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

// filesBelow returns the names of all files below dir, relative to it; none if
// it does not exist.
func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		names = append(names, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
