package podexec

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

func shaped(w v1alpha1.WorkerSpec) func(*download.Request) {
	return func(r *download.Request) {
		b, err := json.Marshal(w)
		if err != nil {
			panic(err)
		}
		r.Worker = string(b)
	}
}

func template(t *testing.T, c *Config, task report.Task, changes ...func(*download.Request)) corev1.PodTemplateSpec {
	t.Helper()
	pod, err := c.pod(one, &order{task: task, attempt: 1, request: *asked(changes...)})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func quantities(cpu, memory string) map[corev1.ResourceName]resource.Quantity {
	out := map[corev1.ResourceName]resource.Quantity{}
	if cpu != "" {
		out[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		out[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	return out
}

func TestAWorkerIsGivenTheOperatorsFlags(t *testing.T) {
	for _, flags := range [][]string{nil, {"--dht", "--dht-bootstrap=a:1"}} {
		args := template(t, &Config{WorkerArgs: flags}, report.Download).Spec.Containers[0].Args
		if want := append([]string{"worker"}, flags...); !slices.Equal(args, want) {
			t.Errorf("started with %v, want %v", args, want)
		}
	}
}

// The API server checks the rest where the Pods of the other tests run: their
// namespace enforces "restricted".
func TestAWorkerHasNoRightsButItsToken(t *testing.T) {
	s := template(t, &Config{}, report.Download).Spec
	if *s.AutomountServiceAccountToken || s.HostNetwork || s.HostPID || s.HostIPC || s.ServiceAccountName != "" {
		t.Errorf("%+v", s)
	}
	var mounts []string
	for _, m := range s.Containers[0].VolumeMounts {
		mounts = append(mounts, m.Name)
	}
	if got := strings.Join(mounts, " "); got != "order token data" {
		t.Errorf("mounts %s", got)
	}
	token := s.Volumes[1].Projected.Sources[0].ServiceAccountToken
	if token.Audience != report.Audience || token.Path != report.TokenKey || *token.ExpirationSeconds < 600 {
		t.Errorf("%+v", token)
	}
}

func TestASeederCanNotWrite(t *testing.T) {
	for task, readOnly := range map[report.Task]bool{report.Download: false, report.Seed: true, report.Erase: false} {
		s := template(t, &Config{}, task).Spec
		for _, m := range s.Containers[0].VolumeMounts {
			if m.Name == volumeData && m.ReadOnly != readOnly {
				t.Errorf("%s mounts the claim read-only: %t", task, m.ReadOnly)
			}
		}
		if always := s.RestartPolicy == corev1.RestartPolicyAlways; always != readOnly {
			t.Errorf("%s has restart policy %s", task, s.RestartPolicy)
		}
	}
}

func TestWhoOnlyResolvesHasNoVolume(t *testing.T) {
	s := template(t, &Config{}, report.Download, func(r *download.Request) { r.ResolveOnly = true }).Spec
	if len(s.Volumes) != 2 || len(s.Containers[0].VolumeMounts) != 2 {
		t.Errorf("%+v", s.Volumes)
	}
}

// A volume that can be attached to one node at a time has all of its Pods
// there.
func TestPodsOfOneClaimShareANode(t *testing.T) {
	claim := func(modes ...corev1.PersistentVolumeAccessMode) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{AccessModes: modes}}
	}
	for _, c := range []struct {
		claim *corev1.PersistentVolumeClaim
		want  bool
	}{
		{nil, false}, {claim(corev1.ReadWriteOnce), true}, {claim(corev1.ReadWriteMany), false}, {claim(corev1.ReadWriteOncePod), false},
		{claim(corev1.ReadWriteOnce, corev1.ReadOnlyMany), false}, {claim(), false},
	} {
		if got := oneNode(c.claim); got != c.want {
			t.Errorf("%+v: %t", c.claim, got)
		}
	}
	mine := &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "rack"}}}}
	c := &Config{Defaults: v1alpha1.WorkerSpec{Affinity: mine}}
	pod, err := c.pod(one, &order{task: report.Download, attempt: 1, request: *asked(), oneNode: true})
	if err != nil {
		t.Fatal(err)
	}
	terms := pod.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if len(terms) != 2 || terms[0].TopologyKey != "rack" || terms[1].TopologyKey != corev1.LabelHostname ||
		terms[1].LabelSelector.MatchLabels[labelClaim] != "datasets" || pod.Labels[labelClaim] != "datasets" {
		t.Errorf("%+v of a Pod with %v", terms, pod.Labels)
	}
	if len(mine.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Error("the defaults were changed")
	}
	if pod = template(t, &Config{}, report.Download); pod.Spec.Affinity != nil {
		t.Errorf("any node will do, and it asks for %+v", pod.Spec.Affinity)
	}
}

func TestSpecWorkerLiesOverTheDefaults(t *testing.T) {
	c := &Config{Defaults: v1alpha1.WorkerSpec{
		Resources:         v1alpha1.WorkerResources{Requests: quantities("200m", ""), Limits: quantities("2", "1Gi")},
		NodeSelector:      map[string]v1alpha1.LabelValue{"pool": "downloads", "disk": "ssd"},
		Tolerations:       []corev1.Toleration{{Key: "downloads"}},
		Labels:            map[string]v1alpha1.LabelValue{"team": "platform", "cost": "shared"},
		ImagePullSecrets:  []v1alpha1.SecretReference{{Name: "registry"}},
		PriorityClassName: "low",
		FSGroup:           1000,
	}}
	p := template(t, c, report.Download, shaped(v1alpha1.WorkerSpec{
		Resources:        v1alpha1.WorkerResources{Limits: quantities("", "100Mi")},
		NodeSelector:     map[string]v1alpha1.LabelValue{"disk": "hdd"},
		Tolerations:      []corev1.Toleration{{Key: "mine"}},
		Labels:           map[string]v1alpha1.LabelValue{"team": "ml"},
		ImagePullSecrets: []v1alpha1.SecretReference{{Name: "registry"}, {Name: "mine"}},
	}))
	r := p.Spec.Containers[0].Resources
	if r.Requests.Cpu().String() != "200m" || r.Limits.Cpu().String() != "2" || r.Limits.Memory().String() != "100Mi" {
		t.Errorf("%+v", r)
	}
	if r.Requests.Memory().String() != "100Mi" {
		t.Errorf("asks for %s of memory, and may use %s", r.Requests.Memory(), r.Limits.Memory())
	}
	if got := p.Spec.NodeSelector; !maps.Equal(got, map[string]string{"pool": "downloads", "disk": "hdd"}) {
		t.Errorf("%v", got)
	}
	if len(p.Spec.Tolerations) != 2 || len(p.Spec.ImagePullSecrets) != 2 || p.Spec.PriorityClassName != "low" || *p.Spec.SecurityContext.FSGroup != 1000 {
		t.Errorf("%+v", p.Spec)
	}
	if p.Labels["team"] != "ml" || p.Labels["cost"] != "shared" {
		t.Errorf("%v", p.Labels)
	}
	if plain := template(t, &Config{}, report.Download).Spec; plain.Containers[0].Resources.Limits.Memory().String() != "256Mi" || *plain.SecurityContext.FSGroup != user {
		t.Errorf("without a word from anybody: %+v", plain)
	}
	if len(defaultResources.Requests) != 2 || len(c.Defaults.NodeSelector) != 2 || string(c.Defaults.NodeSelector["disk"]) != "ssd" {
		t.Error("the defaults were changed")
	}
}

func TestReservedLabelsStay(t *testing.T) {
	p := template(t, &Config{}, report.Download, shaped(v1alpha1.WorkerSpec{
		Labels:      map[string]v1alpha1.LabelValue{labelUID: "another", labelName: "nginx", "job-name": "x", "batch.kubernetes.io/job-name": "x", "app": "mine"},
		Annotations: map[string]v1alpha1.AnnotationValue{annotationName: "another", "seen-by": "mine"},
	}))
	if p.Labels[labelUID] != one.UID || p.Labels[labelName] != v1alpha1.ManagedBy || p.Labels["app"] != "mine" || p.Annotations[annotationName] != one.Name || p.Annotations["seen-by"] != "mine" {
		t.Errorf("%v %v", p.Labels, p.Annotations)
	}
	for _, key := range []string{"job-name", "batch.kubernetes.io/job-name"} {
		if _, there := p.Labels[key]; there {
			t.Errorf("%s was taken", key)
		}
	}
}

func TestNamesAreNamesForKubernetes(t *testing.T) {
	for _, name := range []string{"imagenet", "2012.imagenet", strings.Repeat("long.", 50) + "x", "a" + strings.Repeat("-", 60) + "b"} {
		id := download.ID{Namespace: "ml", Name: name, UID: one.UID}
		if bad := validation.IsDNS1123Label(jobName(id, 1234) + "-abcde"); bad != nil {
			t.Errorf("%s: %v", name, bad)
		}
		if bad := validation.IsDNS1035Label(serviceName(id)); bad != nil {
			t.Errorf("%s: %v", name, bad)
		}
		if got, ours := idOf(&corev1.Pod{ObjectMeta: meta(id, "x")}); !ours || got != id {
			t.Errorf("%s is read as %+v", name, got)
		}
	}
}

func TestAnOrderIsReadAsItWasWritten(t *testing.T) {
	o := &order{task: report.Download, attempt: 3, request: *asked(seeding)}
	s, err := o.secret(one, "operator:8444", []byte("ca"))
	if err != nil {
		t.Fatal(err)
	}
	got := readOrder(s, one)
	if got == nil || got.attempt != 3 || got.task != report.Download || got.revision() != o.revision() {
		t.Errorf("%+v", got)
	}
	if other := (download.ID{Namespace: "ml", Name: "imagenet", UID: "another"}); readOrder(s, other) != nil {
		t.Error("somebody else's order was taken")
	}
	s.Data[report.OrderKey] = []byte("{")
	if readOrder(s, one) != nil {
		t.Error("half an order was taken")
	}
}
