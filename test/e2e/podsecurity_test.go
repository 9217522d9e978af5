package e2e

import (
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// TestTheManagersPodIsRestricted has the API server hold the Pod of
// config/manager, to which only config/in-process adds a folder of the node,
// against Pod Security "restricted".
func TestTheManagersPodIsRestricted(t *testing.T) {
	b, err := os.ReadFile("../../config/manager/manager.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict(b, &deployment); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(plane.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "restricted-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: deployment.Spec.Template.Spec.ServiceAccountName}}
	if err := c.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	pod := func(change func(*corev1.PodSpec)) error {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "manager"}, Spec: *deployment.Spec.Template.Spec.DeepCopy()}
		change(&p.Spec)
		return c.Create(t.Context(), p, client.DryRunAll)
	}
	if err := pod(func(*corev1.PodSpec) {}); err != nil {
		t.Error(err)
	}
	if err := pod(func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil }); err == nil {
		t.Error("the API server takes a Pod that is not restricted, so this test tells nothing")
	}
}
