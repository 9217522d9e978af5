package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/download/downloadtest"
	"github.com/torrent-operator/torrent-operator/internal/report"
	"github.com/torrent-operator/torrent-operator/internal/worker"
)

const (
	// dry is how long one in four has no peers for.
	dry = 12 * time.Second
	// stopTimeout is how long a worker may take to stop.
	stopTimeout = 5 * time.Second
)

// node stands in for the controller of Jobs, the scheduler and all nodes: each
// Job gets a Pod at once, and the Pod a worker.
type node struct {
	*world
	clock  *clock
	failed chan error // Capacity 1.

	mu      sync.Mutex
	stops   map[types.UID]context.CancelFunc // By the Job.
	running sync.WaitGroup
}

// serve runs workers until ctx ends, and returns when they have.
func (n *node) serve(ctx context.Context) error {
	jobs, err := n.Watch(ctx, &batchv1.JobList{})
	if err != nil {
		return err
	}
	defer n.running.Wait()
	defer jobs.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.failed:
			return err
		case e, ok := <-jobs.ResultChan():
			if !ok {
				return fmt.Errorf("the watch of Jobs has ended")
			}
			if job, isJob := e.Object.(*batchv1.Job); isJob {
				n.see(ctx, e.Type, job)
			}
		}
	}
}

func (n *node) see(ctx context.Context, what watch.EventType, job *batchv1.Job) {
	n.mu.Lock()
	defer n.mu.Unlock()
	stop := n.stops[job.UID]
	switch {
	case what == watch.Deleted && stop != nil:
		stop()
		delete(n.stops, job.UID)
	case what == watch.Added && stop == nil:
		told, cancel := context.WithCancel(ctx)
		n.stops[job.UID] = cancel
		n.running.Go(func() {
			if err := n.work(ctx, told, job); err != nil && ctx.Err() == nil {
				select {
				case n.failed <- err:
				default:
				}
			}
		})
	}
}

// work does for one Job what a Pod does. told ends when the Job is deleted.
func (n *node) work(ctx, told context.Context, job *batchv1.Job) error {
	pod, err := n.makePod(ctx, job)
	if err != nil {
		return fmt.Errorf("making a Pod: %w", err)
	}
	order, dir, err := n.furnish(ctx, pod)
	if err != nil {
		return fmt.Errorf("giving a Pod what it mounts: %w", err)
	}
	defer os.RemoveAll(dir)
	fake := downloadtest.NewFake(downloadtest.Pending)
	over, end := context.WithCancel(told)
	var playing sync.WaitGroup
	playing.Go(func() { n.play(over, fake, order.ID) })
	result := filepath.Join(dir, "result")
	pusher := &report.Client{
		Endpoint: order.Endpoint, CAFile: filepath.Join(dir, report.CAKey), TokenFile: filepath.Join(dir, report.TokenKey),
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
		},
	}
	code, _ := worker.Run(told, worker.Config{
		Order: order, Executor: fake, Reporter: pusher, Result: worker.ResultFile(result),
		Logger: slog.New(slog.DiscardHandler), StopTimeout: stopTimeout,
	})
	pusher.Close()
	end()
	playing.Wait()
	message, err := os.ReadFile(result)
	if err != nil {
		return err
	}
	return n.bury(ctx, pod, code, string(message), told.Err() != nil)
}

func (n *node) makePod(ctx context.Context, job *batchv1.Job) (*corev1.Pod, error) {
	t := job.Spec.Template
	pod := &corev1.Pod{ObjectMeta: *t.ObjectMeta.DeepCopy(), Spec: *t.Spec.DeepCopy()}
	pod.Namespace, pod.Name, pod.Spec.NodeName = job.Namespace, job.Name+"-abcde", "node"
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID, Controller: ptr.To(true)}}
	if err := n.Create(ctx, pod); err != nil {
		return nil, err
	}
	pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, "127.0.0.1", []corev1.PodIP{{IP: "127.0.0.1"}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "worker", Image: t.Spec.Containers[0].Image, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	}}
	return pod, n.Status().Update(ctx, pod)
}

// furnish gives a Pod what is mounted into it: its order, the certificates, and
// a token of its own. The caller removes the folder.
func (n *node) furnish(ctx context.Context, pod *corev1.Pod) (report.Order, string, error) {
	var none report.Order
	var secret corev1.Secret
	base := ""
	for _, v := range pod.Spec.Volumes {
		if v.Secret != nil {
			base = v.Secret.SecretName
		}
	}
	if err := n.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: base}, &secret); err != nil {
		return none, "", err
	}
	order, err := report.DecodeOrder(secret.Data[report.OrderKey])
	if err != nil {
		return none, "", err
	}
	token, err := n.core.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, "default", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			Audiences: []string{report.Audience}, ExpirationSeconds: ptr.To[int64](3600),
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return none, "", err
	}
	dir, err := os.MkdirTemp(n.dir, "pod-")
	if err != nil {
		return none, "", err
	}
	return order, dir, errors.Join(
		os.WriteFile(filepath.Join(dir, report.CAKey), secret.Data[report.CAKey], 0o600),
		os.WriteFile(filepath.Join(dir, report.TokenKey), []byte(token.Status.Token), 0o600))
}

// bury tells how a Pod has ended, and removes it if its Job is gone.
func (n *node) bury(ctx context.Context, pod *corev1.Pod, code int, message string, unwanted bool) error {
	pod.Status.Phase = corev1.PodSucceeded
	if code != 0 {
		pod.Status.Phase = corev1.PodFailed
	}
	pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: int32(code), Reason: "Completed", Message: message, FinishedAt: metav1.Now(), //nolint:gosec // An exit code.
	}}
	err := n.Status().Update(ctx, pod)
	if unwanted {
		err = n.Delete(ctx, pod, client.GracePeriodSeconds(0))
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// play has a download get on until it is complete or ctx ends.
func (n *node) play(ctx context.Context, fake *downloadtest.Fake, id download.ID) {
	i := number(id.Name)
	lasts := n.shortest + rand.N(n.longest-n.shortest)
	thirsty, began := i%4 == 0, time.Now()
	from := 0.01
	if i >= n.active {
		from = 0.42 // As it was suspended.
	}
	parched := false
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		gone := time.Since(began)
		share := min(1, from+(1-from)*float64(gone)/float64(lasts))
		isDry := thirsty && gone > lasts/2 && gone < lasts/2+dry
		switch {
		case isDry && !parched:
			n.clock.begin(id.Name, stalled)
			fake.Set(id, snapshot(i, download.StateStalled, share))
		case isDry:
		case share == 1:
			n.clock.begin(id.Name, completed)
			fake.Set(id, snapshot(i, download.StateComplete, 1))
			return
		default:
			fake.Set(id, snapshot(i, download.StateDownloading, share))
		}
		parched = isDry
	}
}
