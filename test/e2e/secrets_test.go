package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// TestSecretsOfServersProxiesAndLinksStayWithThem is the same for what stands
// in magnet links and URLs of web seeds and UDP trackers, for credentials, and
// for the password of a proxy.
func TestSecretsOfServersProxiesAndLinksStayWithThem(t *testing.T) {
	const secret = "s3cr3tPasskey"
	w := newWorld(t)
	asked := make(chan string, 1000)
	proxy := serve(t, func(rw http.ResponseWriter, r *http.Request) { // It has servers by their addresses (no DNS is needed) and refuses others.
		asked <- r.Header.Get("Proxy-Authorization") + r.Header.Get("X-Key")
		switch r.Host {
		case "192.0.2.1":
			_, _ = rw.Write([]byte("d8:intervali1800e5:peers0:15:warning message" + bencoded("mind "+r.URL.String()) + "e"))
		case "192.0.2.2":
			http.Redirect(rw, r, "http://:bad port/"+secret, http.StatusFound)
		default:
			rw.WriteHeader(http.StatusProxyAuthRequired)
		}
	})
	t.Setenv("HTTP_PROXY", strings.Replace(proxy, "http://", "http://me:"+secret+"@", 1))
	t.Setenv("HTTPS_PROXY", strings.Replace(proxy, "http://", "http://me:"+secret+"@", 1))
	op := startOperator(t, w.volumes)
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "key"}, Type: v1alpha1.SecretTypeSource, StringData: map[string]string{"X-Key": secret},
	})
	files := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/moved"):
			http.Redirect(rw, r, "/gone/"+secret, http.StatusFound)
		default:
			http.Error(rw, "not "+r.URL.String(), http.StatusNotFound)
		}
	})
	down := freeAddress(t)
	o := newTorrent(t, "secrets", 1<<20)
	trackers := []string{
		"http://192.0.2.1/" + secret, "http://192.0.2.2/?k=" + secret, "http://192.0.2.3/" + secret, "https://192.0.2.3/" + secret,
		"udp://" + down + "/" + secret,
	}
	seeds := []string{files + "/" + secret + "/", files + "/moved/?k=" + secret, "http://" + down + "/" + secret + "/"}
	w.download("named", o.file, stallsAfter(2), func(td *v1alpha1.TorrentDownload) {
		td.Spec.Discovery.Trackers, td.Spec.Discovery.WebSeeds = trackers, seeds
		td.Spec.Discovery.Credentials = []v1alpha1.Credential{{Origin: "http://192.0.2.1", HeadersSecretRef: &v1alpha1.SecretReference{Name: "key"}}}
	})
	link := url.Values{"tr": trackers, "ws": seeds, "dn": {"linked"}}
	w.download("linked", nil, stallsAfter(2), func(td *v1alpha1.TorrentDownload) {
		td.Spec.Source = v1alpha1.Source{Magnet: "magnet:?xt=urn:btih:" + o.meta.InfoHash.String() + "&" + link.Encode()}
	})
	w.stalls("named", "WebSeedUnavailable")
	w.stalls("linked", "NoPeers")
	w.await("the link's trackers are asked", func() bool { return strings.Count(op.logged(), "192.0.2.1") > 1 })
	w.await("a tracker has the key", func() bool {
		for {
			select {
			case got := <-asked:
				if strings.HasPrefix(got, "Basic ") && strings.HasSuffix(got, secret) {
					return true
				}
			default:
				return false
			}
		}
	})
	w.keeps(op, secret)
	w.keeps(op, "bWU6czNjcjN0UGFzc2tleQ") // The proxy's, in base64.
}
