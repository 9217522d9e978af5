//go:build e2e

package pods

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// certificate is one that signs itself, for a host, with its key.
func certificate(t *testing.T, host string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// TestATorrentComesFromAServerThatAsksWhoAsks fetches a .torrent file from a
// server with a certificate that nobody else knows, which answers only those
// who send the right header.
func TestATorrentComesFromAServerThatAsksWhoAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const word = "Bearer of-good-news"
	album := w.torrent("album", 3<<20)
	file, err := album.meta.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	cert, key := certificate(t, "shop."+w.ns+".svc")
	files := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "shop"},
		Data:       map[string][]byte{"tls.crt": cert, "tls.key": key, "authorization": []byte(word), "content": file},
	}
	shop := w.pod("shop", "sell", ":8443", "/files")
	mount(&shop.Spec, "/files", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: files.Name}})
	w.create(files, shop, w.service("shop", 443, 8443), w.claim("data", "64Mi"),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Data: map[string]string{"ca.crt": string(cert)}},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "right"}, Type: v1alpha1.SecretTypeSource,
			Data: map[string][]byte{"Authorization": []byte(word)},
		},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "wrong"}, Type: v1alpha1.SecretTypeSource,
			Data: map[string][]byte{"Authorization": []byte("Bearer of-bad-news")},
		})
	w.awaitRunning(shop)
	from := func(name, secret string, content []byte) *v1alpha1.TorrentDownload {
		td := w.download(name, album, v1alpha1.Volume{ClaimName: "data", Path: name})
		td.Spec.Source = v1alpha1.Source{URL: &v1alpha1.URLSource{
			Address:          "https://shop." + w.ns + ".svc/album.torrent?passkey=hidden",
			HeadersSecretRef: &v1alpha1.SecretReference{Name: secret},
			CABundleRef:      &v1alpha1.KeyReference{Name: "shop", Key: "ca.crt"},
			SHA256:           fmt.Sprintf("%x", sha256.Sum256(content)),
		}}
		w.create(td)
		return td
	}
	right, stranger, swapped := from("right", "right", file), from("stranger", "wrong", file), from("swapped", "right", bytes.ToUpper(file))
	w.mustComplete(right, "data", "right/album", album)
	stranger = await(w, stranger, "refused", func(td *v1alpha1.TorrentDownload) bool {
		f := td.Status.Worker.LastFailure
		return f != nil && f.Reason == download.ReasonMetainfoUnavailable
	})
	if says := stranger.Status.Worker.LastFailure.Message; strings.Contains(says, "hidden") || strings.Contains(says, "bad-news") || !strings.Contains(says, "403") {
		t.Errorf("of a refusal the message says: %s", says)
	}
	await(w, swapped, "not what it is to be", because(download.ReasonChecksumMismatch))
}
