package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// TestLoopbackIsDeniedUntilAnAdministratorAllowsIt: what a torrent names must
// not make the operator talk to what only this machine can reach.
func TestLoopbackIsDeniedUntilAnAdministratorAllowsIt(t *testing.T) {
	w := newWorld(t)
	op := startCautiousOperator(t, w.volumes)
	o := newTorrent(t, "local", 1<<20)
	s := newSeeder(t, o, 0)
	asked := make(chan struct{}, 100)
	address := serve(t, func(rw http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		_, _ = rw.Write(o.file)
	})
	w.download("url", nil, from(s.address()), func(td *v1alpha1.TorrentDownload) {
		td.Spec.Source = v1alpha1.Source{URL: &v1alpha1.URLSource{Address: address + "/local.torrent"}}
	})
	w.download("peer", o.file, from(s.address()), stallsAfter(2))
	w.download("tracker", newTorrent(t, "tracked", 1<<20, address+"/announce").file, stallsAfter(2))
	udp, askedOverUDP := hearUDP(t)
	w.download("udp", newTorrent(t, "datagrams", 1<<20).file, stallsAfter(2), func(td *v1alpha1.TorrentDownload) {
		td.Spec.Discovery.Trackers = []string{"udp://" + udp + "/announce"}
	})

	w.says(w.stalls("url", "AddressDenied"), "127.0.0.1", "--allow-cidrs")
	w.says(w.stalls("peer", "AddressDenied"), "127.0.0.1", "--allow-cidrs")
	w.says(w.stalls("tracker", "TrackerUnreachable"), strings.TrimPrefix(address, "http://"))
	w.says(w.stalls("udp", "TrackerUnreachable"), udp, "--allow-cidrs")
	s.mu.Lock()
	if s.served > 0 {
		t.Errorf("a denied peer was asked for %d bytes", s.served)
	}
	s.mu.Unlock()
	if len(asked) > 0 || len(askedOverUDP) > 0 {
		t.Error("a denied address was asked")
	}

	op.process.Stop(20 * time.Second)
	startOperator(t, w.volumes)
	w.completes("url")
	w.completes("peer")
	o.compare(t, w.folder("url"))
	select {
	case <-askedOverUDP:
	case <-time.After(patience):
		t.Error("the UDP tracker is not asked although it may be")
	}
}

// hearUDP returns an address on loopback, and a token for each packet that
// comes there.
func hearUDP(t *testing.T) (address string, heard chan struct{}) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	heard = make(chan struct{}, 100)
	go func() {
		for {
			if _, _, err := conn.ReadFromUDP(make([]byte, 100)); err != nil {
				return
			}
			heard <- struct{}{}
		}
	}()
	return conn.LocalAddr().String(), heard
}

// TestSecretsOfURLsStayWithThem looks for passkeys, tokens and headers in all
// that the operator tells: status, events, logs and metrics.
func TestSecretsOfURLsStayWithThem(t *testing.T) {
	const secret = "s3cr3tPasskey"
	w := newWorld(t)
	op := startOperator(t, w.volumes)
	down := "http://" + freeAddress(t)
	refuses := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = rw.Write([]byte("d14:failure reason" + bencoded("no such torrent at "+r.URL.String()) + "e"))
	})
	working := newTracker(t)
	o := newTorrent(t, "private", 1<<20, working+"?passkey="+secret, refuses+"/"+secret+"/announce", down+"/announce/"+secret)
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "headers"}, Type: v1alpha1.SecretTypeSource,
		StringData: map[string]string{"Authorization": "Bearer " + secret},
	})
	answers := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret {
			http.Error(rw, "who are you?", http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/" + secret:
			_, _ = rw.Write(o.file)
		case "/elsewhere/" + secret:
			http.Redirect(rw, r, down+"/"+secret, http.StatusFound)
		default:
			http.Error(rw, "not "+r.URL.String(), http.StatusNotFound)
		}
	})
	url := func(address string) func(*v1alpha1.TorrentDownload) {
		return func(td *v1alpha1.TorrentDownload) {
			td.Spec.Source = v1alpha1.Source{URL: &v1alpha1.URLSource{
				Address: address, HeadersSecretRef: &v1alpha1.SecretReference{Name: "headers"},
			}}
		}
	}
	lonely := func(td *v1alpha1.TorrentDownload) {
		td.Spec.Discovery.Trackers = []string{down + "/" + secret, refuses + "/?key=" + secret}
	}
	w.download("works", nil, url(answers+"/"+secret), from(o.seed(t)))
	w.download("missing", nil, url(answers+"/missing?token="+secret))
	w.download("unreachable", nil, url(down+"/"+secret+"?token="+secret))
	w.download("redirected", nil, url(answers+"/elsewhere/"+secret))
	w.download("lonely", newTorrent(t, "lonely", 1<<20, refuses+"/"+secret).file, lonely, stallsAfter(2))

	w.completes("works")
	w.stalls("lonely", "TrackerUnreachable")
	for _, name := range []string{"missing", "unreachable", "redirected"} {
		w.says(w.awaitDownload(name, "is tried again", func(td *v1alpha1.TorrentDownload) bool {
			return condition(td, v1alpha1.ConditionReady) == "False Retrying"
		}), "MetainfoUnavailable", "127.0.0.1")
	}
	w.await("events are told", func() bool { return w.events("works")["Complete"] > 0 && w.events("lonely")["TrackerUnreachable"] > 0 })

	w.keeps(op, secret)
}

// keeps looks for a secret in all that the operator tells: log, metrics, status,
// events and tables.
func (w *world) keeps(op *operator, secret string) {
	w.Helper()
	_, metrics := op.get(op.metrics)
	told := map[string]string{"the log": op.logged(), "the metrics": metrics}
	for what, args := range map[string][]string{
		"a status": {"get", "td", "-o", "jsonpath={.items[*].status}"},
		"an event": {"get", "events.events.k8s.io", "-o", "yaml"},
		"a table":  {"get", "td", "-o", "wide"},
	} {
		out, err := plane.Kubectl(w.Context(), append(args, "--namespace="+w.ns)...)
		if err != nil {
			w.Fatal(err)
		}
		told[what] = out
	}
	for what, text := range told {
		if text == "" {
			w.Errorf("%s is empty", what)
		}
		for line := range strings.Lines(text) {
			if strings.Contains(line, secret) {
				w.Errorf("%s tells a secret: %s", what, line)
			}
		}
	}
}

// bencoded is a string of BEP 3.
func bencoded(s string) string { return fmt.Sprintf("%d:%s", len(s), s) }
