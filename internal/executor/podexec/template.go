package podexec

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// The names within a worker's Pod.
const (
	container   = "worker"
	portName    = "peers"
	volumeData  = "data"
	volumeOrder = "order"
	volumeToken = "token"
)

const (
	// user is who a worker runs as: the image's own user.
	user = 65532
	// grace is how many seconds a worker has for its end: to a slow network
	// volume it writes for some of them.
	grace = 60
	// tokenSeconds is how long a worker's token is good for. The kubelet
	// renews it in time.
	tokenSeconds = 3600
)

// defaultResources are what a worker asks for where nobody says more. It puts
// its pieces together in a pool of a fixed size and gets by with half of the
// limit; the other half is page cache, which counts too, so that writing does
// not wait for the disk. There is no limit on the processor: hashing comes in
// bursts.
var defaultResources = v1alpha1.WorkerResources{
	Requests: map[corev1.ResourceName]resource.Quantity{
		corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi"),
	},
	Limits: map[corev1.ResourceName]resource.Quantity{corev1.ResourceMemory: resource.MustParse("256Mi")},
}

// shape is what the Pods of a request look like: what the request says, and
// the administrator's and our own defaults beneath.
func shape(r *download.Request, defaults *v1alpha1.WorkerSpec) (v1alpha1.WorkerSpec, error) {
	var w v1alpha1.WorkerSpec
	if r.Worker != "" {
		if err := json.Unmarshal([]byte(r.Worker), &w); err != nil {
			return w, fmt.Errorf("reading spec.worker: %w", err)
		}
	}
	for _, under := range []v1alpha1.WorkerSpec{*defaults, {Resources: defaultResources, FSGroup: user}} {
		w = over(w, under)
	}
	// A request above its limit is refused; who lowers the one means the other.
	for name, limit := range w.Resources.Limits {
		if asked, ok := w.Resources.Requests[name]; ok && asked.Cmp(limit) > 0 {
			w.Resources.Requests[name] = limit
		}
	}
	return w, nil
}

// over lays what w says over what lies beneath it: values by their names,
// tolerations and pull secrets to those that are there, and the rest whole.
func over(w, under v1alpha1.WorkerSpec) v1alpha1.WorkerSpec {
	w.Resources.Requests = merged(under.Resources.Requests, w.Resources.Requests)
	w.Resources.Limits = merged(under.Resources.Limits, w.Resources.Limits)
	w.NodeSelector = merged(under.NodeSelector, w.NodeSelector)
	w.Labels = merged(under.Labels, w.Labels)
	w.Annotations = merged(under.Annotations, w.Annotations)
	w.Tolerations = slices.Concat(under.Tolerations, w.Tolerations)
	for _, s := range under.ImagePullSecrets {
		if !slices.Contains(w.ImagePullSecrets, s) {
			w.ImagePullSecrets = append(slices.Clip(w.ImagePullSecrets), s)
		}
	}
	w.Affinity = cmp.Or(w.Affinity, under.Affinity)
	if len(w.TopologySpreadConstraints) == 0 {
		w.TopologySpreadConstraints = under.TopologySpreadConstraints
	}
	w.PriorityClassName = cmp.Or(w.PriorityClassName, under.PriorityClassName)
	w.FSGroup = cmp.Or(w.FSGroup, under.FSGroup)
	return w
}

func merged[M ~map[K]V, K comparable, V any](under, over M) M {
	out := maps.Clone(under)
	if out == nil {
		out = M{}
	}
	maps.Copy(out, over)
	return out
}

// pod is the template of the Pod that carries out an order. It keeps to the
// Pod Security Standard "restricted".
func (c *Config) pod(id download.ID, o *order) (corev1.PodTemplateSpec, error) {
	w, err := shape(&o.request, &c.Defaults)
	if err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	base := meta(id, "")
	t := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}, Annotations: map[string]string{}}}
	for k, v := range w.Labels {
		if !reserved(k) {
			t.Labels[k] = string(v)
		}
	}
	for k, v := range w.Annotations {
		if !reserved(k) {
			t.Annotations[k] = string(v)
		}
	}
	maps.Copy(t.Labels, base.Labels)
	maps.Copy(t.Annotations, base.Annotations)
	t.Labels[labelTask] = string(o.task)
	if !o.request.ResolveOnly {
		t.Labels[labelClaim], t.Annotations[annotationPath] = claimLabel(o.request.Volume.ClaimName), o.request.Volume.Path
	}

	s := &t.Spec
	s.Containers = []corev1.Container{c.container(o, &w)}
	s.RestartPolicy = corev1.RestartPolicyNever
	if o.task == report.Seed {
		s.RestartPolicy = corev1.RestartPolicyAlways
	}
	s.TerminationGracePeriodSeconds = ptr.To[int64](grace)
	s.AutomountServiceAccountToken = ptr.To(false)
	s.EnableServiceLinks = ptr.To(false)
	s.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](user), RunAsGroup: ptr.To[int64](user),
		FSGroup: ptr.To(w.FSGroup), FSGroupChangePolicy: ptr.To(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	s.Volumes = volumes(id, o)
	for k, v := range w.NodeSelector {
		s.NodeSelector = merged(s.NodeSelector, map[string]string{k: string(v)})
	}
	s.Tolerations, s.Affinity, s.TopologySpreadConstraints = w.Tolerations, w.Affinity, w.TopologySpreadConstraints
	if o.oneNode {
		s.Affinity = sharingNode(w.Affinity, t.Labels[labelClaim])
	}
	s.PriorityClassName = w.PriorityClassName
	for _, p := range w.ImagePullSecrets {
		s.ImagePullSecrets = append(s.ImagePullSecrets, corev1.LocalObjectReference{Name: p.Name})
	}
	return t, nil
}

// sharingNode is an affinity that also has Pods with the same claim share a
// node. A volume that is not bound to a node can be attached to one at a time,
// and the scheduler does not look at that: a Pod elsewhere would never start.
// The first of them goes wherever it can.
func sharingNode(a *corev1.Affinity, claim string) *corev1.Affinity {
	a = a.DeepCopy()
	if a == nil {
		a = &corev1.Affinity{}
	}
	if a.PodAffinity == nil {
		a.PodAffinity = &corev1.PodAffinity{}
	}
	required := &a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	*required = append(*required, corev1.PodAffinityTerm{
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{labelClaim: claim}}, TopologyKey: corev1.LabelHostname,
	})
	return a
}

func (c *Config) container(o *order, w *v1alpha1.WorkerSpec) corev1.Container {
	mounts := []corev1.VolumeMount{
		{Name: volumeOrder, MountPath: report.OrderDir, ReadOnly: true},
		{Name: volumeToken, MountPath: report.TokenDir, ReadOnly: true},
	}
	if !o.request.ResolveOnly {
		mounts = append(mounts, corev1.VolumeMount{Name: volumeData, MountPath: report.DataDir, ReadOnly: o.task == report.Seed})
	}
	return corev1.Container{
		Name: container, Image: c.Image, ImagePullPolicy: c.PullPolicy, Args: append([]string{"worker"}, c.WorkerArgs...),
		Ports:        []corev1.ContainerPort{{Name: portName, ContainerPort: int32(o.request.Inbound.Port), Protocol: corev1.ProtocolTCP}}, //nolint:gosec // A port.
		Resources:    corev1.ResourceRequirements{Requests: w.Resources.Requests, Limits: w.Resources.Limits},
		VolumeMounts: mounts,
		// What a worker leaves behind is a file of its own: the end of its log would be something else.
		TerminationMessagePath: report.ResultPath, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true), Privileged: ptr.To(false),
			RunAsNonRoot: ptr.To(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

func volumes(id download.ID, o *order) []corev1.Volume {
	out := []corev1.Volume{
		{Name: volumeOrder, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: baseName(id), DefaultMode: ptr.To[int32](0o440),
		}}},
		{Name: volumeToken, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: ptr.To[int32](0o440),
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: report.Audience, ExpirationSeconds: ptr.To[int64](tokenSeconds), Path: report.TokenKey,
			}}},
		}}},
	}
	if !o.request.ResolveOnly {
		out = append(out, corev1.Volume{Name: volumeData, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: o.request.Volume.ClaimName},
		}})
	}
	return out
}

// reserved says that a label or annotation is not for users to set: ours, and
// those that the controllers between us and the Pod tell it by.
func reserved(key string) bool {
	for _, prefix := range []string{
		domain, "app.kubernetes.io/", "batch.kubernetes.io/", "statefulset.kubernetes.io/", "apps.kubernetes.io/",
		"container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/", "container.seccomp.security.alpha.kubernetes.io/",
	} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return key == "job-name" || key == "controller-uid" || key == "controller-revision-hash"
}
