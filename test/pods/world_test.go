//go:build e2e

package pods

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"
)

// world is one namespace of the cluster. It goes with the test; if that fails,
// all there is to know about it is told before.
type world struct {
	*testing.T
	client.WithWatch // As an administrator.
	ns               string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, WithWatch: c, ns: ns.Name}
	t.Cleanup(func() {
		if t.Failed() {
			w.tell(context.Background())
		}
		if err := client.IgnoreNotFound(c.Delete(context.Background(), ns)); err != nil {
			t.Error(err)
		}
	})
	return w
}

// needOwn ends a test that does to nodes what nobody may do to nodes of others.
func needOwn(t *testing.T) {
	t.Helper()
	if own == nil {
		t.Skip("it kills nodes, or gives them disks, and this cluster is not ours")
	}
}

func (w *world) create(objects ...client.Object) {
	w.Helper()
	for _, o := range objects {
		o.SetNamespace(w.ns)
		if err := w.Create(w.Context(), o); err != nil {
			w.Fatal(err)
		}
	}
}

// await watches an object, given by its name, until ok says that it is as
// wanted, and returns it then.
func await[T client.Object](w *world, object T, what string, ok func(T) bool) T {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	last := object
	event, err := watchtools.UntilWithSync(ctx, w.lister(object), object, nil, func(e watch.Event) (bool, error) {
		now, is := e.Object.(T)
		if !is || e.Type == watch.Deleted {
			return false, nil
		}
		last = now
		return ok(now), nil
	})
	if err != nil {
		state, _ := yaml.Marshal(last)
		w.Fatalf("%T %s is not %s: %v; it is\n%s", object, object.GetName(), what, err, state)
	}
	return event.Object.(T)
}

// awaitGone waits until an object is not there.
func (w *world) awaitGone(object client.Object) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	_, err := watchtools.UntilWithSync(ctx, w.lister(object), object, func(store cache.Store) (bool, error) {
		return len(store.List()) == 0, nil
	}, func(e watch.Event) (bool, error) { return e.Type == watch.Deleted, nil })
	if err != nil {
		w.Fatalf("%T %s is still there: %v", object, object.GetName(), err)
	}
}

// lister lists and watches one object alone.
func (w *world) lister(object client.Object) cache.ListerWatcher {
	w.Helper()
	kind, err := apiutil.GVKForObject(object, scheme)
	if err != nil {
		w.Fatal(err)
	}
	kind.Kind += "List"
	options := func(o *metav1.ListOptions) *client.ListOptions {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", object.GetName()).String()
		return &client.ListOptions{Namespace: object.GetNamespace(), Raw: o}
	}
	list := func() (client.ObjectList, error) {
		l, err := scheme.New(kind)
		if err != nil {
			return nil, err
		}
		return l.(client.ObjectList), nil
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			l, err := list()
			if err != nil {
				return nil, err
			}
			return l, w.List(ctx, l, options(&o))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			l, err := list()
			if err != nil {
				return nil, err
			}
			return w.Watch(ctx, l, options(&o))
		},
	}
}

// pod is a Pod that runs a command of the tool, or of another image.
func (w *world) pod(name string, args ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.ns, Labels: map[string]string{"app": name}},
		Spec:       podSpec(args...),
	}
}

// podSpec meets what namespaces may ask for at most ("restricted"), but for its
// user, who may write to any volume.
func podSpec(args ...string) corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: ptr.To(int64(5)),
		Containers: []corev1.Container{{
			Name: "main", Image: toolImage, ImagePullPolicy: corev1.PullIfNotPresent, Args: args,
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
		}},
	}
}

// mount gives the first container of a Pod a volume.
func mount(spec *corev1.PodSpec, path string, source corev1.VolumeSource) {
	name := fmt.Sprintf("volume-%d", len(spec.Volumes))
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	c := &spec.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path})
}

// mountClaim is mount for a claim.
func mountClaim(spec *corev1.PodSpec, path, claim string) {
	mount(spec, path, corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}})
}

// claim is a claim of the cluster's default class.
func (w *world) claim(name, size string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.ns},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		},
	}
}

// awaitRunning waits until all containers of a Pod are ready.
func (w *world) awaitRunning(pod *corev1.Pod) *corev1.Pod {
	w.Helper()
	return await(w, pod, "ready", ready)
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// said waits until a Pod has ended well and returns what it printed.
func (w *world) said(pod *corev1.Pod) string {
	w.Helper()
	await(w, pod, "at its end", func(p *corev1.Pod) bool {
		if p.Status.Phase == corev1.PodFailed {
			w.Fatalf("Pod %s failed: %s", p.Name, w.logs(w.Context(), p.Name))
		}
		return p.Status.Phase == corev1.PodSucceeded
	})
	return w.logs(w.Context(), pod.Name)
}

// logs is what a Pod of this namespace has printed.
func (w *world) logs(ctx context.Context, pod string) string {
	return logsOf(ctx, w.ns, pod)
}

func logsOf(ctx context.Context, namespace, pod string) string {
	stream, err := direct.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{TailLines: ptr.To(int64(200))}).Stream(ctx)
	if err != nil {
		return err.Error()
	}
	defer stream.Close()
	content, err := io.ReadAll(stream)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// here runs the tool on this machine.
func (w *world) here(args ...string) string {
	w.Helper()
	out, err := exec.CommandContext(w.Context(), tool, args...).Output()
	if err != nil {
		w.Fatalf("tool %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// tell writes down all that there is to know about a test that has failed.
func (w *world) tell(ctx context.Context) {
	for _, args := range [][]string{
		{"get", "nodes,pv", "-o", "wide"},
		{"get", "all,pvc,td", "--namespace=" + w.ns, "-o", "wide"},
		{"get", "td", "--namespace=" + w.ns, "-o", "yaml"},
		{"get", "events", "--namespace=" + w.ns, "--sort-by=.lastTimestamp"},
		{"get", "pods", "--namespace=" + system, "-o", "wide"},
	} {
		out, err := control(ctx, args...)
		if err != nil {
			out += err.Error()
		}
		w.Logf("%s:\n%s", strings.Join(args, " "), out)
	}
	for _, namespace := range []string{w.ns, system} {
		pods := &corev1.PodList{}
		if err := w.List(ctx, pods, client.InNamespace(namespace)); err != nil {
			w.Log(err)
		}
		for i := range pods.Items {
			w.Logf("Pod %s said:\n%s", pods.Items[i].Name, logsOf(ctx, namespace, pods.Items[i].Name))
		}
	}
}
