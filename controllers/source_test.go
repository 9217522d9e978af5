package controllers_test

import (
	"bytes"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

var torrent = []byte("d4:info\xff\xfee")

func fromConfigMap(name, key string) func(*v1alpha1.TorrentDownload) {
	return func(td *v1alpha1.TorrentDownload) {
		td.Spec.Source = v1alpha1.Source{MetainfoFrom: &v1alpha1.MetainfoSource{ConfigMapKeyRef: &v1alpha1.KeyReference{Name: name, Key: key}}}
	}
}

func fromSecret(name, key string) func(*v1alpha1.TorrentDownload) {
	return func(td *v1alpha1.TorrentDownload) {
		td.Spec.Source = v1alpha1.Source{MetainfoFrom: &v1alpha1.MetainfoSource{SecretKeyRef: &v1alpha1.KeyReference{Name: name, Key: key}}}
	}
}

func metainfo(want []byte) func(download.Request) bool {
	return func(r download.Request) bool { return bytes.Equal(r.Source.Metainfo, want) }
}

func TestConfigMapIsWaitedForAndRead(t *testing.T) {
	b := newBench(t)
	binary := b.download("binary", fromConfigMap("torrents", "a.torrent"))
	text := b.download("text", fromConfigMap("torrents", "b.torrent"))
	td := b.stands("binary", status.InProgressStatus, "SourceNotFound")
	b.says(td, "ConfigMap torrents", "Create it", "a.torrent")
	b.condition(td, v1alpha1.ConditionMetadataResolved, "False SourceNotFound")
	if _, running := b.fake.Request(binary); running {
		t.Error("it runs without a source")
	}

	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "torrents"}, BinaryData: map[string][]byte{"a.torrent": torrent}}
	b.create(cm)
	b.runs(binary, "with binaryData", metainfo(torrent))
	b.await("the missing key is told", func() bool {
		return len(b.get("text").Status.Conditions) > 0 && b.events("text")["SourceNotFound"] == 1
	})

	cm.Data = map[string]string{"b.torrent": "d4:infoe"}
	if err := b.Update(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	b.runs(text, "with data", metainfo([]byte("d4:infoe")))
}

func TestSecretOfTheRightTypeIsReadAndNoOther(t *testing.T) {
	b := newBench(t)
	b.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "right"}, Type: v1alpha1.SecretTypeSource, Data: map[string][]byte{"k": torrent}})
	b.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "wrong"}, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"k": torrent}})
	right := b.download("right", fromSecret("right", "k"))
	b.runs(right, "with the Secret", metainfo(torrent))

	refused := b.download("wrong", fromSecret("wrong", "k"))
	td := b.stands("wrong", status.FailedStatus, "SecretRefused")
	b.says(td, "torrent-operator.io/source", "create it again")
	headers := b.download("headers", func(td *v1alpha1.TorrentDownload) {
		td.Spec.Source.URL.HeadersSecretRef = &v1alpha1.SecretReference{Name: "wrong"}
	})
	b.stands("headers", status.FailedStatus, "SecretRefused")
	for _, c := range b.fake.Calls() {
		if c.Method == "Ensure" && (c.ID == refused || c.ID == headers) {
			t.Errorf("a refused Secret came to the executor: %+v", c)
		}
	}

	b.download("keyless", fromSecret("right", "other"))
	b.says(b.stands("keyless", status.InProgressStatus, "SourceNotFound"), "no key other")
	b.download("missing", fromSecret("missing", "k"))
	b.says(b.stands("missing", status.InProgressStatus, "SourceNotFound"), "Secret missing", "torrent-operator.io/source")
}

func TestAddressWithHeadersAndCertificates(t *testing.T) {
	b := newBench(t)
	b.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "h"}, Type: v1alpha1.SecretTypeSource, Data: map[string][]byte{"Authorization": []byte("Bearer x")}})
	id := b.download("a", func(td *v1alpha1.TorrentDownload) {
		td.Spec.Source.URL.HeadersSecretRef = &v1alpha1.SecretReference{Name: "h"}
		td.Spec.Source.URL.CABundleRef = &v1alpha1.KeyReference{Name: "ca", Key: "ca.crt"}
	})
	b.says(b.stands("a", status.InProgressStatus, "SourceNotFound"), "ConfigMap ca", "PEM certificates")
	b.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "ca"}, Data: map[string]string{"ca.crt": "PEM"}})
	b.runs(id, "with both", func(r download.Request) bool {
		u := r.Source.URL
		return u != nil && maps.Equal(u.Headers, map[string]string{"Authorization": "Bearer x"}) && string(u.CABundle) == "PEM" &&
			u.Address == "https://example.org/a.torrent"
	})
}

func TestMagnetLinksAndInfoHashesArePassedOn(t *testing.T) {
	b := newBench(t)
	const hash = "0123456789ABCDEF0123456789abcdef01234567"
	by := func(link string) func(download.Request) bool {
		return func(r download.Request) bool { return r.Source.Magnet == link }
	}
	link := b.download("link", func(td *v1alpha1.TorrentDownload) {
		td.Spec.Source = v1alpha1.Source{Magnet: "magnet:?xt=urn:btih:" + hash + "&tr=http://t/a"}
	})
	b.runs(link, "by the link", by("magnet:?xt=urn:btih:"+hash+"&tr=http://t/a"))
	alone := b.download("hash", func(td *v1alpha1.TorrentDownload) {
		td.Spec.Source = v1alpha1.Source{InfoHash: hash}
		td.Spec.Discovery.Peers = []string{"seeder.example.org:6881"}
	})
	b.runs(alone, "by the hash", by("magnet:?xt=urn:btih:"+hash))
}

// TestSourceIsReadAgainAfterAFailure, and not while the download runs.
func TestSourceIsReadAgainAfterAFailure(t *testing.T) {
	b := newBench(t)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "torrents"}, BinaryData: map[string][]byte{"k": []byte("bad")}}
	b.create(cm)
	id := b.download("a", fromConfigMap("torrents", "k"))
	b.fake.Set(id, failed("MetainfoInvalid", "That is no torrent.", true))
	b.stands("a", status.FailedStatus, "MetainfoInvalid")
	cm.BinaryData["k"] = torrent
	if err := b.Update(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	b.runs(id, "with what is there now", metainfo(torrent))
	b.fake.Set(id, snapshot(download.StateDownloading, 1))
	b.stands("a", status.InProgressStatus, "Downloading")

	b.remove(cm)
	b.fake.Set(id, snapshot(download.StateFinishing, 1000))
	b.stands("a", status.InProgressStatus, "Finishing")
	b.runs(id, "all the same", metainfo(torrent))
}
