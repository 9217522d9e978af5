package webseed

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

func TestWhereFilesAre(t *testing.T) {
	one := func(name string) string { return "d6:lengthi1e4:name" + str(name) }
	many := func(name string, path ...string) string {
		s := "d5:filesld6:lengthi1e4:pathl"
		for _, p := range path {
			s += str(p)
		}
		return s + "eee4:name" + str(name)
	}
	for _, c := range []struct{ url, info, want string }{
		// BEP 19, "Metadata Extension": one file.
		{"http://mirror.com/file.exe", one("other"), "http://mirror.com/file.exe"},
		{"http://mirror.com/pub/", one("file.exe"), "http://mirror.com/pub/file.exe"},
		{"http://mirror.com", one("file.exe"), "http://mirror.com/file.exe"},
		{"http://mirror.com/get?file=1&key=x", one("other"), "http://mirror.com/get?file=1&key=x"},
		{"http://mirror.com/a%2Fb/", one("c"), "http://mirror.com/a%2Fb/c"},
		// "Multi-File Torrents".
		{"http://mirror.com/pub/", many("michael", "Readme.txt"), "http://mirror.com/pub/michael/Readme.txt"},
		{"http://mirror.com/pub", many("michael", "a", "b"), "http://mirror.com/pub/michael/a/b"},
		{"https://u:p@mirror.com:8443/?key=x", many("n", "f"), "https://u:p@mirror.com:8443/n/f?key=x"},
		// Names.
		{"http://h/", one("a b+c?d#e%f&g;ü"), "http://h/a%20b%2Bc%3Fd%23e%25f%26g%3B%C3%BC"},
		{"http://h/", many("n\xff", "a/b", "..", ".", "", "con\n"), "http://h/n%FF/a%2Fb/con%0A"},
	} {
		m, err := metainfo.Parse([]byte("d4:info" + c.info + "12:piece lengthi16384e6:pieces20:" + strings.Repeat("x", 20) + "ee"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{URL: c.url, Info: m.Info})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.address(0).String(); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.url, c.info, got, c.want)
		}
	}
}

func str(s string) string {
	n := len(s)
	digits := ""
	for n > 0 || digits == "" {
		digits = string(rune('0'+n%10)) + digits
		n /= 10
	}
	return digits + ":" + s
}

func TestOddNamesReachTheirFiles(t *testing.T) {
	p := newPayload(t, file{"a b/ü+%41?", 10}, file{"#;&=", 70_000})
	w := newWorld(t, p)
	if err := w.get(p.seed(t, p.serve(t, nil).URL), p.blocks()); err != nil {
		t.Fatal(err)
	}
}

func TestURLsThatAreNone(t *testing.T) {
	p := newPayload(t, file{"", 10})
	long := "http://h/" + strings.Repeat("x", maxURL-len("http://h/"))
	for url, ok := range map[string]bool{
		"http://h/x": true, "HTTPS://h": true, long: true,
		long + "x": false, "": false, "ftp://h/x": false, "http:///x": false, "http://": false, "x": false, "http://h/%zz?secret": false,
	} {
		_, err := New(Config{URL: url, Info: p.info})
		if ok != (err == nil) {
			t.Errorf("%.40q: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells too much: %v", err)
		}
	}
}

func TestAFileThatIsAllThereIsHasTheURLItself(t *testing.T) {
	p := newPayload(t, file{"", 100_000})
	if err := os.Rename(filepath.Join(p.dir, "content"), filepath.Join(p.dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	var l journal
	w := newWorld(t, p)
	if err := w.get(p.seed(t, p.serve(t, l.through).URL+"/elsewhere?key=1"), p.blocks()); err != nil {
		t.Fatal(err)
	}
	for _, r := range l.requests {
		if r.URL.RawQuery != "key=1" || r.Method != http.MethodGet {
			t.Errorf("%s %s", r.Method, r.URL)
		}
	}
}
