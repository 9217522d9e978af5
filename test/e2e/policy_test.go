package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// policy puts the sample policy into force for the namespace of w alone: other
// tests share the cluster, and a policy outlives its deletion for a moment.
func (w *world) policy() {
	w.Helper()
	b, err := os.ReadFile("../../config/policy/worker_policy.yaml")
	if err != nil {
		w.Fatal(err)
	}
	var rules admissionv1.ValidatingAdmissionPolicy
	var binding admissionv1.ValidatingAdmissionPolicyBinding
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(b), 4096)
	if err := errors.Join(documents.Decode(&rules), documents.Decode(&binding)); err != nil {
		w.Fatal(err)
	}
	if err := documents.Decode(&struct{}{}); !errors.Is(err, io.EOF) || binding.Spec.PolicyName != rules.Name {
		w.Fatalf("the file is not a policy and a binding to it: %v, %+v", err, binding)
	}
	rules.Name, binding.Name, binding.Spec.PolicyName = w.ns, w.ns, w.ns
	binding.Spec.MatchResources = &admissionv1.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.ns}},
	}
	for _, o := range []client.Object{&rules, &binding} {
		if err := w.Create(w.Context(), o); err != nil {
			w.Fatal(err)
		}
		w.Cleanup(func() {
			if err := w.Delete(context.Background(), o); err != nil {
				w.Error(err)
			}
		})
	}
}

// What an administrator is told to use over spec.worker refuses what it says
// that it does, and lets everything else be.
func TestTheSamplePolicyBoundsWhatWorkersMayAskFor(t *testing.T) {
	w := newWorld(t)
	ask := func(change func(*v1alpha1.TorrentDownloadSpec)) error {
		td := &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "asked"}, Spec: v1alpha1.TorrentDownloadSpec{
			Source: v1alpha1.Source{URL: &v1alpha1.URLSource{Address: "https://example.org/a.torrent"}}, Volume: v1alpha1.Volume{ClaimName: "a"},
		}}
		change(&td.Spec)
		return w.Create(t.Context(), td, client.DryRunAll)
	}
	priority := func(class string) func(*v1alpha1.TorrentDownloadSpec) {
		return func(s *v1alpha1.TorrentDownloadSpec) { s.Worker.PriorityClassName = class }
	}
	memory := func(limit string) func(*v1alpha1.TorrentDownloadSpec) {
		return func(s *v1alpha1.TorrentDownloadSpec) {
			s.Worker.Resources.Limits = map[corev1.ResourceName]resource.Quantity{corev1.ResourceMemory: resource.MustParse(limit)}
		}
	}
	tolerate := func(list ...corev1.Toleration) func(*v1alpha1.TorrentDownloadSpec) {
		return func(s *v1alpha1.TorrentDownloadSpec) { s.Worker.Tolerations = list }
	}
	selects := func(label string) func(*v1alpha1.TorrentDownloadSpec) {
		return func(s *v1alpha1.TorrentDownloadSpec) {
			s.Worker.NodeSelector = map[string]v1alpha1.LabelValue{label: "a"}
		}
	}
	serve := func(kind v1alpha1.NetworkService) func(*v1alpha1.TorrentDownloadSpec) {
		return func(s *v1alpha1.TorrentDownloadSpec) { s.Network.Service = kind }
	}
	before := &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{Name: "before"}, Spec: v1alpha1.TorrentDownloadSpec{
		Source: v1alpha1.Source{Magnet: "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567"}, Volume: v1alpha1.Volume{ClaimName: "a"},
	}}
	priority("system-cluster-critical")(&before.Spec)
	w.create(before)
	w.policy()
	w.await("the policy is in force", func() bool { return ask(priority("system-cluster-critical")) != nil })

	storage := corev1.Toleration{Key: "example.org/storage", Operator: corev1.TolerationOpExists}
	everything := corev1.Toleration{Operator: corev1.TolerationOpExists}
	for name, c := range map[string]struct {
		change func(*v1alpha1.TorrentDownloadSpec)
		why    string // "" lets it pass.
	}{
		"nothing":                {func(*v1alpha1.TorrentDownloadSpec) {}, ""},
		"what is on the lists":   {priority("batch-low"), ""},
		"another priority class": {priority("high"), "batch-low"},
		"a zone":                 {selects("topology.kubernetes.io/zone"), ""},
		"a node by its name":     {selects("kubernetes.io/hostname"), "nodeSelector"},
		"a taint on the list":    {tolerate(storage), ""},
		"any taint":              {tolerate(storage, everything), "tolerations"},
		"memory at the limit":    {memory("1Gi"), ""},
		"memory above it":        {memory("1025Mi"), "memory"},
		"a node by its affinity": {func(s *v1alpha1.TorrentDownloadSpec) {
			s.Worker.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
		}, "nodeAffinity"},
		"a Service for the world":  {serve("LoadBalancer"), "network.service"},
		"no Service for the world": {serve("None"), ""},
	} {
		err := ask(c.change)
		if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What was there before can be finished.
	w.change("before", func(td *v1alpha1.TorrentDownload) { td.Finalizers = []string{v1alpha1.Finalizer} })
	w.change("before", func(td *v1alpha1.TorrentDownload) { td.Finalizers = nil })
}
