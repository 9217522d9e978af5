//go:build e2e

package pods

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// documented are the NetworkPolicies that users are told to make.
func documented(t *testing.T) []*networkingv1.NetworkPolicy {
	t.Helper()
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []*networkingv1.NetworkPolicy
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for text := range strings.SplitSeq(block[1], "\n---\n") {
			policy := &networkingv1.NetworkPolicy{}
			if err := yaml.UnmarshalStrict([]byte(text), policy); err != nil {
				t.Fatal(err)
			}
			out = append(out, policy)
		}
	}
	if len(out) == 0 {
		t.Fatal("docs/security.md shows no policies")
	}
	return out
}

// TestDownloadsRunWhereAllIsDeniedButWhatTheDocumentationNames denies all
// ingress and egress in the namespace and all ingress in the operator's, but
// what docs/security.md tells to let through.
func TestDownloadsRunWhereAllIsDeniedButWhatTheDocumentationNames(t *testing.T) {
	needOwn(t) // Others may not enforce policies, or forbid what is shown to be forbidden here.
	t.Parallel()
	w, outside := newWorld(t), newWorld(t)
	both := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	w.create(&networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "deny-all"}, Spec: networkingv1.NetworkPolicySpec{PolicyTypes: both},
	})
	for _, policy := range documented(t) {
		if policy.Namespace == "" {
			w.create(policy)
			continue
		}
		if err := w.Create(t.Context(), policy); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := w.Delete(context.Background(), policy); err != nil {
				t.Error(err)
			}
		})
	}
	const size = 8 << 20
	album := w.describe("album", size)
	publisher := w.publisher(album, size)
	worker := w.awaitRunning(w.pod(publisher.Status.Worker.PodName)).Status.PodIP
	server := outside.pod("server", "serve", ":8080", "hello")
	outside.create(server)
	elsewhere := "http://" + outside.awaitRunning(server).Status.PodIP + ":8080/"
	free := outside.pod("free", "get", elsewhere)
	outside.create(free)
	outside.said(free)
	sender, caller := w.pod("sender", "denied", elsewhere), outside.pod("caller", "denied", "http://"+worker+":6882/")
	w.create(sender)
	outside.create(caller)
	w.said(sender)
	outside.said(caller)
	td := w.download("copy", album, v1alpha1.Volume{ClaimName: "data"})
	td.Spec.Limits.DownloadBytesPerSecond = quantity("512Ki")
	w.create(w.claim("data", "64Mi"), td)
	await(w, td, "telling the operator", hasProgress)
	w.mustComplete(td, "data", "album", album)
}
