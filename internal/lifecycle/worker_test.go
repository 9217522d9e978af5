package lifecycle

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Two requests are the same if the Pod is to be the same, whatever the order of
// what people wrote.
func TestWorkerIsAskedForInOneForm(t *testing.T) {
	w := fresh(t)
	if got := w.decide().Run.Worker; got != "" {
		t.Errorf("for a Pod as it comes it asks for %q", got)
	}
	for range 20 {
		w.td.Spec.Worker = v1alpha1.WorkerSpec{
			Resources:    v1alpha1.WorkerResources{Limits: map[corev1.ResourceName]resource.Quantity{"memory": resource.MustParse("1Gi"), "cpu": resource.MustParse("500m")}},
			NodeSelector: map[string]v1alpha1.LabelValue{"b": "2", "a": "1"},
			Tolerations:  []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists}},
			FSGroup:      7,
		}
		want := `{"resources":{"limits":{"cpu":"500m","memory":"1Gi"}},"nodeSelector":{"a":"1","b":"2"},"tolerations":[{"key":"k","operator":"Exists"}],"fsGroup":7}`
		if got := w.decide().Run.Worker; got != want {
			t.Fatalf("it asks for %s", got)
		}
	}
}

func TestPeersFromOutsideAreAskedFor(t *testing.T) {
	for service, want := range map[v1alpha1.NetworkService]string{
		"": "", v1alpha1.ServiceNone: "", v1alpha1.ServiceNodePort: "NodePort", v1alpha1.ServiceLoadBalancer: "LoadBalancer",
	} {
		w := fresh(t)
		w.td.Spec.Network = v1alpha1.Network{ListenPort: 7000, Service: service}
		if got := w.decide().Run.Inbound; got != (download.Inbound{Port: 7000, Service: want}) {
			t.Errorf("%q: it asks for %+v", service, got)
		}
	}
}
