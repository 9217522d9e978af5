package client

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

const (
	public  = "d4:infod6:lengthi5e4:name11:Hello World12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee"
	private = "d8:announce17:http://t/passkey/4:infod6:lengthi5e4:name11:Hello World12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaa7:privatei1eee"
)

func TestATorrentFileIsHeldByAConfigMapAndAPrivateOneByASecret(t *testing.T) {
	td, holder, err := (&Addition{Namespace: "ml", Metainfo: []byte(public), Claim: "data"}).Objects()
	if err != nil {
		t.Fatal(err)
	}
	m, ok := holder.(*corev1.ConfigMap)
	if !ok || td.Name != "hello-world" || !strings.HasPrefix(m.Name, "hello-world-") || m.Namespace != "ml" {
		t.Fatalf("%s is held by %+v", td.Name, holder)
	}
	ref := td.Spec.Source.MetainfoFrom.ConfigMapKeyRef
	if ref.Name != m.Name || string(m.BinaryData[ref.Key]) != public {
		t.Errorf("the download refers to %+v, and that is %+v", ref, m)
	}
	if td.Spec.Volume.ClaimName != "data" || td.Spec.Volume.ClaimTemplate != nil {
		t.Errorf("the volume is %+v", td.Spec.Volume)
	}

	td, holder, err = (&Addition{Name: "mine", Metainfo: []byte(private)}).Objects()
	if err != nil {
		t.Fatal(err)
	}
	s, ok := holder.(*corev1.Secret)
	if !ok || s.Type != "torrent-operator.io/source" || td.Name != "mine" {
		t.Fatalf("a private torrent called %s is held by %+v", td.Name, holder)
	}
	if ref := td.Spec.Source.MetainfoFrom.SecretKeyRef; ref.Name != s.Name || string(s.Data[ref.Key]) != private {
		t.Errorf("the download refers to %+v, and that is %+v", ref, s)
	}
	if td.Spec.Volume.ClaimTemplate == nil {
		t.Error("without a claim one is to be made")
	}
}

func TestOtherSourcesNeedNothingBesides(t *testing.T) {
	hash := strings.Repeat("ab", 20)
	for name, a := range map[string]*Addition{
		"ubuntu-24-04-iso": {URL: "https://example.org/a/Ubuntu_24.04.iso.torrent?passkey=1"},
		"a-b":              {Magnet: "magnet:?xt=urn:btih:" + hash + "&dn=(a)%20b!"},
		"torrent-abababab": {InfoHash: strings.ToUpper(hash)},
	} {
		td, holder, err := a.Objects()
		if err != nil || holder != nil || td.Name != name {
			t.Errorf("%+v becomes %+v with %v, %v; want %s", a, td, holder, err, name)
		}
	}
}

func TestWhatIsNoSourceIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		a    Addition
		want error
	}{
		"no torrent": {Addition{Metainfo: []byte("hello")}, metainfo.ErrInvalid},
		"no magnet":  {Addition{Magnet: "magnet:?dn=x"}, metainfo.ErrInvalid},
		"nothing":    {Addition{}, nil},
		"two":        {Addition{URL: "http://x/", InfoHash: "00"}, nil},
		"half hash":  {Addition{InfoHash: "00"}, nil},
	} {
		if _, _, err := c.a.Objects(); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesAreThoseOfObjects(t *testing.T) {
	for torrent, want := range map[string]string{
		"Ubuntu 24.04 (x64).iso":       "ubuntu-24-04-x64-iso",
		"--a__b--":                     "a-b",
		"日本":                           "torrent-01234567",
		"":                             "torrent-01234567",
		strings.Repeat("a", 51) + ".b": strings.Repeat("a", 51),
		strings.Repeat("a", 52):        strings.Repeat("a", 52),
		strings.Repeat("a", 53):        strings.Repeat("a", 52),
	} {
		if got := nameOf(torrent, "0123456789"); got != want {
			t.Errorf("%q becomes %q, want %q", torrent, got, want)
		}
	}
}

// A ConfigMap and a Secret hold a MiB each.
func TestATorrentFileThatNoObjectHoldsIsRefusedWithAWayOut(t *testing.T) {
	for size, fits := range map[int]bool{maxMetainfo: true, maxMetainfo + 1: false} {
		file := strings.Replace(public, "d4:info", "d7:comment%4:info", 1)
		rest := size - len(file) + 1
		for n := rest; ; n-- {
			if comment := strconv.Itoa(n) + ":" + strings.Repeat("c", n); len(comment) <= rest {
				file = strings.Replace(file, "%", comment, 1)
				break
			}
		}
		if len(file) != size {
			t.Fatalf("the file has %d bytes instead of %d", len(file), size)
		}
		_, _, err := (&Addition{Metainfo: []byte(file)}).Objects()
		if (err == nil) != fits || err != nil && !strings.Contains(err.Error(), "magnet link instead") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
