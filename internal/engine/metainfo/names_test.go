package metainfo

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestOneComponentIsMadeSafe(t *testing.T) {
	long := strings.Repeat("n", 300)
	for in, want := range map[string]string{
		"plain.txt": "plain.txt", "with space": "with space", "ünï": "ünï", ".hidden": ".hidden", "...": "...", "a:b*?": "a:b*?",
		"": "", ".": "", "..": "", ".\u202e.": "", "\u200f": "",
		"/etc/passwd": "_etc_passwd", "../x": ".._x", `..\x`: ".._x", `C:\x`: "C:_x", "a/": "a_",
		"a\x00b": "a_b", "a\nb\x1b[2J": "a_b_[2J", "a\u0085b\u2028c\x7f": "a_b_c_", "a\u202etxt.exe": "atxt.exe",
		"\xff": "_", "a\xc3": "a_", "\xed\xa0\x80": "_",
		"CON": "_CON", "con.txt": "_con.txt", "Aux .c": "_Aux .c", "nul.tar.gz": "_nul.tar.gz", "COM1": "_COM1", "lpt9.x": "_lpt9.x",
		"conin$": "_conin$", "COM": "COM", "COM10": "COM10", "console": "console", "LPTX": "LPTX", "context.con": "context.con",
		long: long[:255], long + ".tar.gz": long[:252] + ".gz", "." + long: "." + long[:254],
		strings.Repeat("é", 200) + ".x": strings.Repeat("é", 126) + ".x",
	} {
		got := safeName([]byte(in))
		if got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
		if len(got) > maxName || !utf8.ValidString(got) {
			t.Errorf("%q became %q of %d bytes", in, got, len(got))
		}
	}
}

func TestNoPathLeadsOutOfTheTorrentsFolder(t *testing.T) {
	for name, c := range map[string]struct {
		path []string
		want string
	}{
		"up":                {[]string{"..", "..", "etc", "passwd"}, "one/etc/passwd"},
		"up in the middle":  {[]string{"a", "..", "..", "b"}, "one/a/b"},
		"absolute":          {[]string{"/etc/passwd"}, "one/_etc_passwd"},
		"empty components":  {[]string{"", "a", "", "b", ""}, "one/a/b"},
		"dots":              {[]string{".", "a", "."}, "one/a"},
		"nothing but up":    {[]string{"..", ".."}, "one/_"},
		"separators inside": {[]string{"../../x", `..\..\y`}, "one/.._.._x/.._.._y"},
		"an own folder":     {[]string{ReservedName, "x"}, "one/" + ReservedName + "/x"},
	} {
		m := mustParse(t, torrent(t, multiple(c.path)))
		if got := m.Info.Files[0].Path; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		checkInfo(t, m.Info)
	}
}

func TestTheTorrentsOwnNameIsMadeSafe(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "/etc": "_etc", "../x": ".._x", "a/b": "a_b",
		ReservedName: "_" + ReservedName, ".Torrent-Operator": "_.Torrent-Operator", ReservedName + "/": ReservedName + "_",
	} {
		one := mustParse(t, torrent(t, single(dict{"name": in})))
		if one.Info.Name != want || one.Info.Files[0].Path != want {
			t.Errorf("%q became %q with the file %q, want %q", in, one.Info.Name, one.Info.Files[0].Path, want)
		}
		info := multiple([]string{"f"})
		info["name"] = in
		if many := mustParse(t, torrent(t, info)); many.Info.Files[0].Path != want+"/f" {
			t.Errorf("%q with a list of files: %q, want %q", in, many.Info.Files[0].Path, want+"/f")
		}
	}
	for _, in := range []string{"", ".", "..", "\u200e"} {
		if m := mustParse(t, torrent(t, single(dict{"name": in}))); m.Info.Name != m.InfoHash.String() {
			t.Errorf("%q became %q, want the hash", in, m.Info.Name)
		}
	}
}

func TestNamesInUTF8ArePreferred(t *testing.T) {
	m := mustParse(t, torrent(t, single(dict{"name": "\xb2\xe2", "name.utf-8": "测"})))
	if m.Info.Name != "测" {
		t.Errorf("name %q", m.Info.Name)
	}
	info := multiple([]string{"\xb2\xe2"}, []string{"plain"})
	info["files"].([]any)[0].(dict)["path.utf-8"] = []string{"测", "试"}
	info["files"].([]any)[1].(dict)["path.utf-8"] = "no list"
	m = mustParse(t, torrent(t, info))
	if m.Info.Files[0].Path != "one/测/试" || m.Info.Files[1].Path != "one/plain" {
		t.Errorf("files %+v", m.Info.Files)
	}
}

func TestFilesThatClashAreKeptApart(t *testing.T) {
	for name, c := range map[string]struct{ in, want []string }{
		"the same":                      {[]string{"a.txt", "a.txt", "a.txt"}, []string{"a.txt", "a.1.txt", "a.2.txt"}},
		"in case":                       {[]string{"Read.me", "READ.ME", "d/É", "d/é"}, []string{"Read.me", "READ.1.ME", "d/É", "d/é.1"}},
		"cleaned to the same":           {[]string{"a\x00", "a\x01", "a_"}, []string{"a_", "a_.1", "a_.2"}},
		"the number is taken":           {[]string{"a.1", "a", "a"}, []string{"a.1", "a", "a.2"}},
		"file, then folder":             {[]string{"a", "a/b", "a/c"}, []string{"a", "a.1/b", "a.1/c"}},
		"folder, then file":             {[]string{"a/b", "a", "A"}, []string{"a/b", "a.1", "A.2"}},
		"folders in another case":       {[]string{"Dir/a", "dir/A", "dir/b"}, []string{"Dir/a", "dir/A.1", "dir/b"}},
		"different folders":             {[]string{"a/x", "b/x", "x"}, []string{"a/x", "b/x", "x"}},
		"a name that begins with a dot": {[]string{".x", ".x"}, []string{".x", ".x.1"}},
		"overlong": {
			[]string{strings.Repeat("n", 300) + ".bin", strings.Repeat("n", 400) + ".bin"},
			[]string{strings.Repeat("n", 251) + ".bin", strings.Repeat("n", 249) + ".1.bin"},
		},
	} {
		var paths [][]string
		for _, p := range c.in {
			paths = append(paths, strings.Split(p, "/"))
		}
		m := mustParse(t, torrent(t, multiple(paths...)))
		var got []string
		for _, f := range m.Info.Files {
			got = append(got, strings.TrimPrefix(f.Path, "one/"))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		checkInfo(t, m.Info)
	}
}

func TestPaddingTakesNobodysName(t *testing.T) {
	info := multiple([]string{"a"}, []string{".pad", "10"}, []string{".pad", "10"}, []string{".pad", "10"})
	info["files"].([]any)[0].(dict)["attr"] = "p"
	info["files"].([]any)[2].(dict)["attr"] = "p"
	m := mustParse(t, torrent(t, info))
	if f := m.Info.Files; f[1].Path != "one/.pad/10" || f[3].Path != "one/.pad/10.1" || !f[0].Pad || !f[2].Pad || f[1].Pad {
		t.Errorf("files %+v", f)
	}
	checkInfo(t, m.Info)
}

func TestClashesHaveAnEnd(t *testing.T) {
	paths := make([][]string, 2000)
	for k := range paths {
		paths[k] = []string{"same"}
	}
	_, err := Parse(torrent(t, multiple(paths...)))
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "too many names") {
		t.Errorf("error %v", err)
	}
	if m := mustParse(t, torrent(t, multiple(paths[:400]...))); m.Info.Files[399].Path != "one/same.399" {
		t.Errorf("the last of 400: %q", m.Info.Files[399].Path)
	}
}

func TestFilesAndFoldersHaveAnEnd(t *testing.T) {
	n := newNamer("top")
	for k := range maxNames / 2 {
		if _, err := n.place([]string{fmt.Sprint(k), "f"}); err != nil {
			t.Fatalf("%d: %v", k, err)
		}
	}
	if _, err := n.place([]string{"0", "one more"}); !errors.Is(err, errTooMany) {
		t.Errorf("error %v", err)
	}
}

func TestNamesAreThoseThatTheTorrentGives(t *testing.T) {
	info := multiple([]string{"plain", "f"}, []string{"a\x00b", "..", "c/d"}, []string{"Same"}, []string{"same"}, []string{"\xff"})
	info["name"] = "top:\n"
	m := mustParse(t, torrent(t, info))
	for k, want := range [][]string{
		{"top:\n", "plain", "f"}, {"top:\n", "a\x00b", "..", "c/d"}, {"top:\n", "Same"}, {"top:\n", "same"}, {"top:\n", "\xff"},
	} {
		if d := cmp.Diff(want, m.Info.Names(k)); d != "" {
			t.Errorf("file %d: %s", k, d)
		}
	}
	if got := mustParse(t, torrent(t, single(dict{"name": "../x"}))).Info.Names(0); len(got) != 1 || got[0] != "../x" {
		t.Errorf("the only file is %q", got)
	}
	plain := mustParse(t, torrent(t, multiple([]string{"a", "b"}))).Info
	if got := plain.Names(0); plain.named != nil || strings.Join(got, "/") != "one/a/b" {
		t.Errorf("%q, and %v is kept", got, plain.named)
	}
}
