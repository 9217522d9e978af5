package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/test/cluster"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

const (
	// account is the operator's service account, and system its namespace, as
	// in config/.
	account = "torrent-operator"
	system  = "torrent-operator-system"
	// definition names the CRD.
	definition = "torrentdownloads.torrent-operator.io"
	// namespaces is over how many the downloads are spread.
	namespaces = 20
	// heap is what the operator gives Go's heap in the container of
	// config/manager: three quarters of its memory.
	heap = "384MiB"
	// makers is how many objects are made at once.
	makers = 16
)

// world is the control plane, what is in it, and the operator.
type world struct {
	settings
	client.WithWatch // As an administrator.
	core             kubernetes.Interface
	plane            *cluster.ControlPlane
	dir              string
	kubeconfig       string // Of the operator.
	operator         *cluster.Process
	metrics, report  string // Addresses.

	downloads []*v1alpha1.TorrentDownload
}

// newWorld starts a control plane and installs the operator's objects.
func newWorld(ctx context.Context, s settings) (*world, error) {
	w := &world{settings: s}
	err := w.start(ctx)
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) start(ctx context.Context) (err error) {
	if w.dir, err = os.MkdirTemp("", "torrent-operator-scale-"); err != nil {
		return err
	}
	flags, err := audited(w.dir)
	if err != nil {
		return err
	}
	if w.plane, err = cluster.Start(ctx, cluster.Options{Flags: map[string][]string{"kube-apiserver": flags}}); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"apply", "-k", "config/default"},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"},
		// Until all are made: so each takes one request with its status, not two.
		{"patch", "crd", definition, "--type=json", `-p=[{"op":"remove","path":"/spec/versions/0/subresources"}]`},
	} {
		if _, err := w.plane.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	token, err := w.plane.Kubectl(ctx, "create", "token", account, "--namespace="+system)
	if err != nil {
		return err
	}
	w.kubeconfig = filepath.Join(w.dir, "kubeconfig")
	if err := w.plane.WriteKubeconfig(w.kubeconfig, strings.TrimSpace(token)); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if w.WithWatch, err = client.NewWithWatch(w.plane.Config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	w.core, err = kubernetes.NewForConfig(w.plane.Config)
	return err
}

// close ends everything.
func (w *world) close() {
	if w.operator != nil {
		w.operator.Stop(10 * time.Second)
	}
	if w.plane != nil {
		w.plane.Stop()
	}
	os.RemoveAll(w.dir)
}

func namespace(i int) string { return fmt.Sprintf("team-%02d", i%namespaces) }

// claim is the claim of a download. Neighbours in number are in different
// namespaces.
func (w *world) claim(i int) string { return fmt.Sprintf("datasets-%d", i/namespaces/w.claims) }

// populate makes the namespaces, what downloads need there, and the downloads.
func (w *world) populate(ctx context.Context) error {
	for n := range namespaces {
		in := metav1.ObjectMeta{Namespace: namespace(n)}
		user, torrent := in, in
		user.Name, torrent.Name = "default", "torrents"
		objects := []client.Object{
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace(n), Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}},
			&corev1.ServiceAccount{ObjectMeta: user},
			&corev1.ConfigMap{ObjectMeta: torrent, BinaryData: map[string][]byte{torrentKey: aTorrent(n)}},
		}
		for i := n; i < w.objects; i += namespaces * w.claims {
			pvc := in
			pvc.Name = w.claim(i)
			objects = append(objects, &corev1.PersistentVolumeClaim{ObjectMeta: pvc, Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, VolumeName: "nfs",
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Ti")}},
			}})
		}
		for _, o := range objects {
			if err := w.Create(ctx, o); err != nil {
				return err
			}
			if pvc, is := o.(*corev1.PersistentVolumeClaim); is { // There is no controller that would.
				pvc.Status.Phase = corev1.ClaimBound
				if err := w.Status().Update(ctx, pvc); err != nil {
					return err
				}
			}
		}
	}
	w.downloads = make([]*v1alpha1.TorrentDownload, w.objects)
	if err := all(makers, w.objects, func(i int) error { return w.make(ctx, i) }); err != nil {
		return err
	}
	return w.separateStatus(ctx)
}

// separateStatus has the status of downloads be written by itself from now on,
// as it is for everybody else.
func (w *world) separateStatus(ctx context.Context) error {
	if _, err := w.plane.Kubectl(ctx, "apply", "-k", "config/crd"); err != nil {
		return err
	}
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if _, err := w.plane.Kubectl(ctx, "get", "td", w.downloads[0].Name, "--namespace="+w.downloads[0].Namespace, "--subresource=status"); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// all calls f for each number below n, some at once, until one fails.
func all(workers, n int, f func(i int) error) error {
	next, failed := make(chan int), make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	var err error
	for i := 0; i < n && err == nil; i++ {
		select {
		case next <- i:
		case err = <-failed:
		}
	}
	close(next)
	wg.Wait()
	select {
	case also := <-failed:
		err = errors.Join(err, also)
	default:
	}
	return err
}

// startOperator starts the manager as its Deployment does.
func (w *world) startOperator(ctx context.Context) (err error) {
	if w.metrics, err = freeAddress(ctx); err != nil {
		return err
	}
	if w.report, err = freeAddress(ctx); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(w.report)
	c := cluster.Command{
		Args: []string{
			w.binary, "manager", "--kubeconfig=" + w.kubeconfig, "--namespace=" + system, "--leader-elect",
			"--worker-image=example.org/torrent-operator:scale",
			"--report-bind-address=" + w.report, "--report-endpoint=localhost:" + port,
			"--metrics-bind-address=" + w.metrics, "--metrics-insecure", "--health-probe-bind-address=0",
		},
		Env: []string{"GOMEMLIMIT=" + heap},
		Log: filepath.Join(w.dir, "operator.log"),
	}
	w.operator, err = c.Start()
	return err
}

// freeAddress returns a loopback address at which nobody listens.
func freeAddress(ctx context.Context) (string, error) {
	port, err := freeport.Find(ctx)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}
