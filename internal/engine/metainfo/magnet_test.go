package metainfo

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	hex40    = "0123456789abcdef0123456789abcdef01234567"
	base32of = "AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH" // The same hash.
)

func TestMagnetSaysWhatBEP9And53Name(t *testing.T) {
	h, err := ParseHash(hex40)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, link string
		want       Magnet
	}{
		{"the hash alone", "magnet:?xt=urn:btih:" + hex40, Magnet{InfoHash: h}},
		{"upper case", "MAGNET:?XT=URN:BTIH:" + strings.ToUpper(hex40), Magnet{InfoHash: h}},
		{"base32", "magnet:?xt=urn:btih:" + base32of, Magnet{InfoHash: h}},
		{"base32 in lower case", "magnet:?xt=urn:btih:" + strings.ToLower(base32of), Magnet{InfoHash: h}},
		{"a name", "magnet:?dn=a+b%20c%26d&xt=urn:btih:" + hex40, Magnet{InfoHash: h, Name: "a b c&d"}},
		{
			"trackers, numbered and not, each once", "magnet:?xt.1=urn:btih:" + hex40 + "&tr.1=http://a/announce&tr=udp%3A%2F%2Fb%3A80&tr.7=https://c/x?p=1&tr=http://a/announce",
			Magnet{InfoHash: h, Trackers: []string{"http://a/announce", "udp://b:80", "https://c/x?p=1"}},
		},
		{
			"trackers of other kinds are passed over", "magnet:?xt=urn:btih:" + hex40 + "&tr=wss://a/&tr=nonsense&tr=&tr=%zz&tr=http:///x",
			Magnet{InfoHash: h},
		},
		{
			"web seeds", "magnet:?xt=urn:btih:" + hex40 + "&ws=http%3A%2F%2Fa%2Fb%20c&ws=ftp://a/",
			Magnet{InfoHash: h, WebSeeds: []string{"http://a/b c"}},
		},
		{
			"peers", "magnet:?xt=urn:btih:" + hex40 + "&x.pe=host.example:1&x.pe=192.0.2.7:65535&x.pe=[2001:db8::1]:6881&x.pe=host&x.pe=:1&x.pe=a:0&x.pe=a:65536&x.pe=a/b:1&x.pe=[x]:1&x.pe=a%00b:1",
			Magnet{InfoHash: h, Peers: []string{"host.example:1", "192.0.2.7:65535", "[2001:db8::1]:6881"}},
		},
		{
			"files", "magnet:?xt=urn:btih:" + hex40 + "&so=6-8,0,2,4,3,8-9",
			Magnet{InfoHash: h, Select: []IndexRange{{0, 0}, {2, 4}, {6, 9}}},
		},
		{"a hybrid", "magnet:?xt=urn:btmh:1220caf1&xt=urn:btih:" + hex40, Magnet{InfoHash: h}},
		{"the same torrent twice", "magnet:?xt=urn:btih:" + base32of + "&xt=urn:btih:" + hex40, Magnet{InfoHash: h}},
		{"topics of other networks", "magnet:?xt=urn:sha1:X&xt=urn:btih:" + hex40 + "&xl=7&as=x&unknown", Magnet{InfoHash: h}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseMagnet(c.link)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&c.want, got); d != "" {
				t.Fatal(d)
			}
			again, err := ParseMagnet(got.String())
			if err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			if d := cmp.Diff(got, again); d != "" {
				t.Errorf("%s: %s", got, d)
			}
		})
	}
}

func TestMagnetThatNamesNoTorrentSaysWhy(t *testing.T) {
	for _, c := range []struct {
		link string
		kind error
		says string
	}{
		{"", ErrInvalid, "magnet:?"},
		{"http://example.org/?xt=urn:btih:" + hex40, ErrInvalid, "magnet:?"},
		{"magnet:xt=urn:btih:" + hex40, ErrInvalid, "magnet:?"},
		{"magnet:?dn=x", ErrInvalid, "names no torrent"},
		{"magnet:?xt=urn:btih:" + hex40[1:], ErrInvalid, "39 characters"},
		{"magnet:?xt=urn:btih:" + hex40[:39] + "g", ErrInvalid, "hexadecimal"},
		{"magnet:?xt=urn:btih:" + base32of[:31] + "1", ErrInvalid, "base32"},
		{"magnet:?xt=urn:btih:" + base32of[:24] + strings.Repeat("%0A", 8), ErrInvalid, "24 characters"},
		{"magnet:?xt=urn:btih:" + base32of[:16] + strings.Repeat("%0A", 8) + base32of[:8], ErrInvalid, "base32"},
		{"magnet:?xt=urn:btih:" + hex40 + "&xt=urn:btih:" + strings.Repeat("0", 40), ErrInvalid, "two torrents"},
		{"magnet:?xt=urn:btmh:1220" + strings.Repeat("0", 64), ErrUnsupported, "version 2"},
		{"magnet:?xt=urn:btih:" + hex40 + "&so=1,x", ErrInvalid, `"x"`},
		{"magnet:?xt=urn:btih:" + hex40 + "&so=5-3", ErrInvalid, "5-3"},
		{"magnet:?xt=urn:btih:" + hex40 + "&so=-3", ErrInvalid, "no number of a file"},
	} {
		_, err := ParseMagnet(c.link)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q of kind %v", c.link, err, c.says, c.kind)
		}
	}
}

func TestLimitsOfMagnetLinks(t *testing.T) {
	link := "magnet:?xt=urn:btih:" + hex40
	for _, extra := range []int{-1, 0, 1} {
		_, err := ParseMagnet(link + "&x=" + strings.Repeat("x", MaxMagnet-len(link)-len("&x=")+extra))
		if (err == nil) != (extra <= 0) {
			t.Errorf("a link of the limit and %d bytes: %v", extra, err)
		}
	}
	for _, n := range []int{maxMagnetHints - 1, maxMagnetHints, maxMagnetHints + 1} {
		var b strings.Builder
		for i := range n {
			b.WriteString("&tr=udp://" + strings.Repeat("x", i+1) + "&ws=http://" + strings.Repeat("x", i%50+1) + strings.Repeat("y", i/50))
		}
		m, err := ParseMagnet(link + b.String())
		if err != nil || len(m.Trackers) != min(n, maxMagnetHints) || len(m.WebSeeds) != min(n, maxMagnetHints) {
			t.Errorf("%d trackers: %d and %d taken in, %v", n, len(m.Trackers), len(m.WebSeeds), err)
		}
	}
	for _, n := range []int{maxSelected - 1, maxSelected, maxSelected + 1} {
		_, err := ParseMagnet(link + "&so=" + strings.Repeat("1,", n-1) + "1")
		if (err == nil) != (n <= maxSelected) {
			t.Errorf("%d ranges: %v", n, err)
		}
	}
	for _, c := range []struct {
		so string
		ok bool
	}{{"524286", true}, {"524287", true}, {"524288", false}, {"99999999999999999999", false}} {
		if _, err := ParseMagnet(link + "&so=" + c.so); (err == nil) != c.ok {
			t.Errorf("so=%s: %v", c.so, err)
		}
	}
}

func TestMagnetWithItsInfoDictionaryIsATorrent(t *testing.T) {
	whole := mustParse(t, torrent(t, single()))
	whole.AnnounceList, whole.URLList = [][]string{{"http://a/announce"}, {"udp://b:1"}}, []string{"http://c/"}
	link := whole.Magnet()
	if link.Name != whole.Info.Name {
		t.Errorf("the link has the name %q", link.Name)
	}
	got, err := link.Metainfo(whole.InfoBytes)
	if err != nil {
		t.Fatal(err)
	}
	if got.InfoHash != whole.InfoHash || got.Info.Name != whole.Info.Name {
		t.Errorf("another torrent: %+v", got)
	}
	if d := cmp.Diff(whole.Tiers(), got.Tiers()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(whole.URLList, got.URLList); d != "" {
		t.Error(d)
	}
	other := mustParse(t, torrent(t, single(dict{"name": "other"})))
	if _, err := link.Metainfo(other.InfoBytes); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), other.InfoHash.String()) {
		t.Errorf("the dictionary of another torrent: %v", err)
	}
	for _, bad := range []string{"", "i1e", "le", "de", string(whole.InfoBytes) + "e"} {
		if _, err := FromInfo([]byte(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseMagnet(f *testing.F) {
	f.Add("magnet:?xt=urn:btih:" + hex40 + "&dn=a+b&tr=http%3A%2F%2Fa%2Fannounce&tr.2=udp://b:1&ws=http://c/&x.pe=[::1]:1&so=0,2-4")
	f.Add("magnet:?xt.1=urn:btih:" + base32of + "&xt=urn:btmh:1220")
	f.Add("magnet:?xt=urn:btmh:1220&so=1-0&dn=%ff")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMagnet(s)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		link := m.String()
		if len(link) > MaxMagnet {
			return // Escapes take more room.
		}
		again, err := ParseMagnet(link)
		if err != nil {
			t.Fatalf("%s: %v", link, err)
		}
		if d := cmp.Diff(m, again); d != "" {
			t.Fatalf("%s: %s", link, d)
		}
	})
}
