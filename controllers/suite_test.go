package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/controllers"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/download/downloadtest"
	"github.com/torrent-operator/torrent-operator/test/cluster"
)

// patience is how long a test waits for something that must happen. It is no
// measure of speed.
const patience = time.Minute

const hash = "0123456789abcdef0123456789abcdef01234567"

var (
	kube   *rest.Config
	scheme = runtime.NewScheme()
)

// TestMain runs the tests against a real kube-apiserver.
func TestMain(m *testing.M) {
	os.Exit(func() int {
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
			Paths: []string{"../config/crd/bases"}, ErrorIfPathMissing: true, Scheme: scheme,
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "Installing the CRD:", err)
			return 1
		}
		return m.Run()
	}())
}

// bench is one namespace of the cluster with an operator of its own, whose
// executor is a fake.
type bench struct {
	*testing.T
	client.Client // Straight to the API server, as an administrator.
	ns            string
	fake          *downloadtest.Fake
	settings      controllers.TorrentDownloadReconciler

	mu     sync.Mutex
	writes int             // Status writes of the operator that succeeded.
	logs   strings.Builder // Everything that the operator logged.
	stop   func()          // Stops the operator and waits for its end.
}

// newBench makes a namespace with the claim "datasets" and starts an operator
// in it. Telemetry is written at once unless the test wants it otherwise.
func newBench(t *testing.T, settings ...func(*controllers.TorrentDownloadReconciler)) *bench {
	t.Helper()
	c, err := client.New(kube, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, Client: c, ns: ns.Name, fake: downloadtest.NewFake(downloadtest.Pending)}
	b.settings.ProgressMinInterval = time.Nanosecond
	for _, set := range settings {
		set(&b.settings)
	}
	b.claim("datasets")
	b.startOperator()
	t.Cleanup(func() { b.stop() })
	return b
}

// startOperator starts a manager as main does. The tests of one process have
// several, so its controller's name need not be unique.
func (b *bench) startOperator() {
	b.Helper()
	ctrl.SetLogger(funcr.New(b.log, funcr.Options{}))
	mgr, err := ctrl.NewManager(kube, ctrl.Options{
		Scheme:     scheme,
		Logger:     funcr.New(b.log, funcr.Options{}),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{ByObject: controllers.CacheOptions(), DefaultNamespaces: map[string]cache.Config{b.ns: {}}},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
		NewClient: func(c *rest.Config, o client.Options) (client.Client, error) {
			inner, err := client.NewWithWatch(c, o)
			if err != nil {
				return nil, err
			}
			return interceptor.NewClient(inner, interceptor.Funcs{SubResourcePatch: b.countWrite}), nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	r := b.settings
	r.Client, r.Reader, r.Executor, r.Recorder = mgr.GetClient(), mgr.GetAPIReader(), b.fake, mgr.GetEventRecorder("torrent-operator")
	if err := r.SetupWithManager(mgr); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("the manager ended with %v", err)
		}
	})
}

// countWrite counts before anybody can see the write, and takes back one that
// failed.
func (b *bench) countWrite(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
	count := func(n int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.writes += n
	}
	count(1)
	err := c.SubResource(sub).Patch(ctx, o, p, opts...)
	if err != nil {
		count(-1)
	}
	return err
}

func (b *bench) log(prefix, args string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logs.WriteString(prefix + " " + args + "\n")
}

func (b *bench) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logs.String()
}

// written is the number of status writes so far.
func (b *bench) written() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writes
}

// wrote checks how many status writes came since the last time, and returns
// how many there are in all. One that is about to fail may still be counted.
func (b *bench) wrote(since, want int) int {
	b.Helper()
	b.await(fmt.Sprintf("%d status writes are made after the first %d, and no more", want, since), func() bool {
		return b.written() == since+want
	})
	return since + want
}

// claim makes a claim.
func (b *bench) claim(name string) {
	b.Helper()
	b.create(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	})
}

// create creates an object in the namespace of the bench.
func (b *bench) create(o client.Object) {
	b.Helper()
	o.SetNamespace(b.ns)
	if err := b.Create(b.Context(), o); err != nil {
		b.Fatal(err)
	}
}

// download creates a TorrentDownload: from a URL, into the claim "datasets",
// below a path of its own name, and with what the test changes.
func (b *bench) download(name string, changes ...func(*v1alpha1.TorrentDownload)) download.ID {
	b.Helper()
	td := &v1alpha1.TorrentDownload{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.TorrentDownloadSpec{
			Source: v1alpha1.Source{URL: &v1alpha1.URLSource{Address: "https://example.org/a.torrent"}},
			Volume: v1alpha1.Volume{ClaimName: "datasets", Path: name},
		},
	}
	for _, change := range changes {
		change(td)
	}
	b.create(td)
	return download.ID{Namespace: b.ns, Name: name, UID: string(td.UID)}
}

// get reads a TorrentDownload, nil if it is gone.
func (b *bench) get(name string) *v1alpha1.TorrentDownload {
	b.Helper()
	td := &v1alpha1.TorrentDownload{}
	err := b.Get(b.Context(), client.ObjectKey{Namespace: b.ns, Name: name}, td)
	if client.IgnoreNotFound(err) != nil {
		b.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return td
}

// change changes an object until nobody else did at the same time.
func (b *bench) change(name string, f func(*v1alpha1.TorrentDownload)) {
	b.Helper()
	td := b.get(name)
	before := td.DeepCopy()
	f(td)
	if err := b.Patch(b.Context(), td, client.MergeFrom(before)); err != nil {
		b.Fatal(err)
	}
}

// annotate sets an annotation of the download "a".
func (b *bench) annotate(key, value string) {
	b.Helper()
	b.change("a", func(td *v1alpha1.TorrentDownload) { metav1.SetMetaDataAnnotation(&td.ObjectMeta, key, value) })
}

// remove deletes an object.
func (b *bench) remove(o client.Object) {
	b.Helper()
	if err := b.Delete(b.Context(), o); err != nil {
		b.Fatal(err)
	}
}

// await waits until ok says so; what names it for whoever reads the failure.
func (b *bench) await(what string, ok func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.Fatalf("waited in vain until %s; log of the operator:\n%s", what, b.logged())
		}
	}
}

// stands waits until Ready has a reason, checks what kstatus makes of the
// object then, and returns it.
func (b *bench) stands(name string, want status.Status, reason string) *v1alpha1.TorrentDownload {
	b.Helper()
	var td *v1alpha1.TorrentDownload
	b.await(name+" is "+reason, func() bool {
		td = b.get(name)
		if td == nil || td.Status.ObservedGeneration != td.Generation {
			return false
		}
		c := meta.FindStatusCondition(td.Status.Conditions, v1alpha1.ConditionReady)
		return c != nil && c.Reason == reason
	})
	if got := b.kstatus(td); got != want {
		b.Errorf("%s: kstatus is %s, want %s: %+v", reason, got, want, td.Status.Conditions)
	}
	return td
}

// kstatus is what kubectl wait, Argo CD, Flux and kpt make of an object.
func (b *bench) kstatus(td *v1alpha1.TorrentDownload) status.Status {
	b.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(td)
	if err != nil {
		b.Fatal(err)
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: content})
	if err != nil {
		b.Fatal(err)
	}
	return result.Status
}

// condition checks one condition, given as "True Reason" or "" for absent.
func (b *bench) condition(td *v1alpha1.TorrentDownload, kind, want string) {
	b.Helper()
	got := ""
	if c := meta.FindStatusCondition(td.Status.Conditions, kind); c != nil {
		got = string(c.Status) + " " + c.Reason
	}
	if got != want {
		b.Errorf("%s is %q, want %q", kind, got, want)
	}
}

// says checks that Ready's message mentions something.
func (b *bench) says(td *v1alpha1.TorrentDownload, want ...string) {
	b.Helper()
	message := meta.FindStatusCondition(td.Status.Conditions, v1alpha1.ConditionReady).Message
	for _, w := range want {
		if !strings.Contains(message, w) {
			b.Errorf("message %q does not mention %q", message, w)
		}
	}
}

// events are the reasons of the events about an object, each with how often it
// was told.
func (b *bench) events(name string) map[string]int {
	b.Helper()
	var list eventsv1.EventList
	if err := b.List(b.Context(), &list, client.InNamespace(b.ns)); err != nil {
		b.Fatal(err)
	}
	out := map[string]int{}
	for i := range list.Items {
		if e := &list.Items[i]; e.Regarding.Name == name {
			out[e.Reason]++
			if e.Series != nil {
				out[e.Reason] += int(e.Series.Count) - 1
			}
		}
	}
	return out
}

// runs waits until the executor was asked to run a download as ok wants it.
func (b *bench) runs(id download.ID, what string, ok func(download.Request) bool) {
	b.Helper()
	b.await(id.Name+" runs "+what, func() bool {
		r, running := b.fake.Request(id)
		return running && ok(r)
	})
}

func anyhow(download.Request) bool { return true }

// stops waits until the executor does not run a download any more.
func (b *bench) stops(id download.ID) {
	b.Helper()
	b.await(id.Name+" does not run", func() bool { _, running := b.fake.Request(id); return !running })
}

// snapshot is a Progress of a torrent of 1,000 pieces of 1 MiB.
func snapshot(state download.State, verified int) download.Progress {
	have := make([]byte, 125)
	for i := range verified {
		have[i/8] |= 0x80 >> (i % 8)
	}
	return download.Progress{
		State: state, InfoHash: hash, Name: "imagenet", NodeName: "node-1",
		BytesTotal: 1000 << 20, BytesVerified: int64(verified) << 20,
		Pieces: download.Pieces{Length: 1 << 20, Total: 1000, Verified: verified, Have: have},
	}
}

// failed is a snapshot of a download that has failed.
func failed(reason, message string, permanent bool) download.Progress {
	return download.Progress{State: download.StateFailed, Err: &download.Failure{Reason: reason, Message: message, Permanent: permanent}}
}
