package controllers_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

func keys(secret string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: secret}, Type: v1alpha1.SecretTypeSource,
		Data: map[string][]byte{"Authorization": []byte("Bearer " + secret)},
	}
}

func forTracker(secret, configMap string) func(*v1alpha1.TorrentDownload) {
	return func(td *v1alpha1.TorrentDownload) {
		c := v1alpha1.Credential{Origin: "https://tracker.example.org", HeadersSecretRef: &v1alpha1.SecretReference{Name: secret}}
		if configMap != "" {
			c.CABundleRef = &v1alpha1.KeyReference{Name: configMap, Key: "ca.crt"}
		}
		td.Spec.Discovery.Credentials = []v1alpha1.Credential{c}
	}
}

func given(authorization, bundle string) func(download.Request) bool {
	return func(r download.Request) bool {
		return len(r.Credentials) == 1 && r.Credentials[0].Origin == "https://tracker.example.org" &&
			r.Credentials[0].Headers["Authorization"] == authorization && string(r.Credentials[0].CABundle) == bundle
	}
}

func TestCredentialsAreWaitedForAndRead(t *testing.T) {
	b := newBench(t)
	id := b.download("a", forTracker("one", "ca"))
	b.says(b.stands("a", status.InProgressStatus, "SourceNotFound"), "Secret one", "torrent-operator.io/source")
	b.create(keys("one"))
	b.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "ca"}, Data: map[string]string{"ca.crt": "PEM"}})
	b.runs(id, "with both", given("Bearer one", "PEM"))
}

func TestCredentialsOfASecretOfAnotherTypeAreRefused(t *testing.T) {
	b := newBench(t)
	opaque := keys("one")
	opaque.Type = corev1.SecretTypeOpaque
	b.create(opaque)
	id := b.download("a", forTracker("one", ""))
	b.says(b.stands("a", status.FailedStatus, "SecretRefused"), "Secret one", "torrent-operator.io/source")
	if _, running := b.fake.Request(id); running {
		t.Error("it runs")
	}
}

func TestCredentialsMayChangeWhileTheDownloadRuns(t *testing.T) {
	b := newBench(t)
	b.create(keys("one"))
	b.create(keys("two"))
	id := b.download("a")
	b.runs(id, "without", func(r download.Request) bool { return r.Credentials == nil })
	b.fake.Set(id, snapshot(download.StateDownloading, 1))
	b.stands("a", status.InProgressStatus, "Downloading")
	b.change("a", forTracker("one", ""))
	b.runs(id, "with one", given("Bearer one", ""))
	b.change("a", forTracker("two", ""))
	b.runs(id, "with two", given("Bearer two", ""))

	b.change("a", forTracker("three", ""))
	td := b.stands("a", status.InProgressStatus, "SourceNotFound")
	b.says(td, "Secret three")
	b.condition(td, v1alpha1.ConditionMetadataResolved, "True Resolved")
	b.runs(id, "as before", given("Bearer two", ""))
	b.change("a", func(td *v1alpha1.TorrentDownload) { td.Spec.Discovery.Credentials = nil })
	b.runs(id, "without again", func(r download.Request) bool { return r.Credentials == nil })
}
