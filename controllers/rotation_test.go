package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

// A Secret can't be watched, so that of a running download is read once in a
// while.
func TestASecretThatChangedIsReadAgainInTime(t *testing.T) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Type: v1alpha1.SecretTypeSource, Data: map[string][]byte{"X": []byte("old")},
	}
	c := fake.NewClientBuilder().WithObjects(secret).Build()
	r := &TorrentDownloadReconciler{Reader: c}
	td := &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"}}
	td.Spec.Discovery.Credentials = []v1alpha1.Credential{{Origin: "https://a", HeadersSecretRef: &v1alpha1.SecretReference{Name: "s"}}}
	running := &download.Progress{State: download.StateSeeding}
	var m memory
	read := func(p *download.Progress) string {
		t.Helper()
		var in lifecycle.Inputs
		left := allowance(maxRead)
		if err := r.readCredentials(t.Context(), td, p, &m, &in, &left); err != nil || in.CredentialsProblem != nil || len(in.Credentials) != 1 {
			t.Fatalf("%+v, %v", in, err)
		}
		return in.Credentials[0].Headers["X"]
	}
	expect := func(p *download.Progress, want string) {
		t.Helper()
		if got := read(p); got != want {
			t.Errorf("it has %q, want %q", got, want)
		}
	}
	expect(running, "old")
	if d := time.Until(m.credentials.until); d <= 0 || d > credentialsLife {
		t.Errorf("that counts for %v", d)
	}
	secret.Data["X"] = []byte("new")
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	expect(running, "old")
	m.credentials.until = time.Now()
	expect(running, "new")
	secret.Data["X"] = []byte("newer")
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	expect(&download.Progress{State: download.StateFailed}, "newer")
}
