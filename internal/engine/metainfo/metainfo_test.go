package metainfo

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

type dict = map[string]any

// torrent returns a .torrent file with this info dictionary.
func torrent(t testing.TB, info dict) []byte { return encode(t, dict{"info": info}) }

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := bencode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, b []byte) *Metainfo {
	t.Helper()
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// single is the info dictionary of one file of 50 bytes in pieces of 20.
func single(changes ...dict) dict {
	d := dict{"name": "one", "length": 50, "piece length": 20, "pieces": strings.Repeat("h", 60)}
	for _, c := range changes {
		maps.Copy(d, c)
	}
	maps.DeleteFunc(d, func(_ string, v any) bool { return v == nil })
	return d
}

// multiple is an info dictionary with these files of 10 bytes each.
func multiple(paths ...[]string) dict {
	var files []any
	for _, p := range paths {
		files = append(files, dict{"length": 10, "path": p})
	}
	return single(dict{"length": nil, "files": files, "piece length": 10, "pieces": strings.Repeat("h", 20*len(paths))})
}

func TestEveryFieldIsRead(t *testing.T) {
	in := encode(t, dict{
		"announce":      "http://a/announce",
		"announce-list": []any{[]string{"http://a/announce", " http://b "}, []string{}, []string{""}, "http://c"},
		"creation date": 1700000000, "comment": "c\xffd", "created by": "test", "encoding": "UTF-8",
		"url-list": []string{"http://w/1", "", "http://w/2"},
		"nodes":    []any{[]any{"node.example", 6881}, []any{"bad"}, []any{"bad", 70000}, []any{"::1", 1}},
		"info": dict{
			"name": "top", "piece length": 16, "pieces": strings.Repeat("h", 60), "private": 1, "source": "src",
			"files": []any{
				dict{"length": 10, "path": []string{"a", "b"}, "attr": "x"},
				dict{"length": 6, "path": []string{".pad", "6"}, "attr": "p"},
				dict{"length": 0, "path": []string{"empty"}},
				dict{"length": 20, "path": []string{"c"}, "attr": "h", "sha1": strings.Repeat("s", 20)},
			},
		},
	})
	m := mustParse(t, in)
	want := &Metainfo{
		Announce: "http://a/announce", AnnounceList: [][]string{{"http://a/announce", "http://b"}, {"http://c"}},
		CreationDate: time.Unix(1700000000, 0).UTC(), Comment: "c\uFFFDd", CreatedBy: "test",
		URLList: []string{"http://w/1", "http://w/2"}, Nodes: []Node{{"node.example", 6881}, {"::1", 1}},
		Info: &Info{
			Name: "top", PieceLength: 16, Length: 36, Private: true, Source: "src",
			Files: []File{
				{Path: "top/a/b", Length: 10, Executable: true},
				{Path: "top/.pad/6", Offset: 10, Length: 6, Pad: true},
				{Path: "top/empty", Offset: 16},
				{Path: "top/c", Offset: 16, Length: 20},
			},
			hashes: []byte(strings.Repeat("h", 60)), padding: 6,
		},
	}
	want.InfoBytes = in[bytes.Index(in, []byte("4:info"))+6 : bytes.Index(in, []byte("5:nodes"))]
	want.InfoHash = sha1.Sum(want.InfoBytes)
	if d := cmp.Diff(want, m, cmp.AllowUnexported(Info{})); d != "" {
		t.Error(d)
	}
	if n := m.Info.PayloadLength(); n != 30 {
		t.Errorf("%d bytes of payload, want 30", n)
	}
}

func TestInfoHashIsOfTheBytesAsTheyStand(t *testing.T) {
	// Unsorted keys and unknown keys are part of what is hashed.
	info := "d6:pieces20:" + strings.Repeat("h", 20) + "4:name1:n5:otherli1ee12:piece lengthi5e6:lengthi5ee"
	m := mustParse(t, []byte("d4:info"+info+"e"))
	if got, want := m.InfoHash, Hash(sha1.Sum([]byte(info))); got != want || string(m.InfoBytes) != info {
		t.Errorf("hash %s of %q, want %s", got, m.InfoBytes, want)
	}
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if again := mustParse(t, b); again.InfoHash != m.InfoHash {
		t.Errorf("written and read again the hash is %s, was %s", again.InfoHash, m.InfoHash)
	}
}

func TestMarshalAndParseRoundTrip(t *testing.T) {
	full := encode(t, dict{
		"announce": "http://a", "announce-list": []any{[]string{"http://a", "http://b"}, []string{"http://c"}},
		"creation date": 5, "comment": "c", "created by": "b", "url-list": "http://w", "nodes": []any{[]any{"h", 1}},
		"info": single(),
	})
	for _, in := range [][]byte{full, torrent(t, single()), torrent(t, multiple([]string{"a"}, []string{"b", "c"}))} {
		m := mustParse(t, in)
		b, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, mustParse(t, b), cmp.AllowUnexported(Info{})); d != "" {
			t.Error(d)
		}
	}
}

func TestTiersBEP12(t *testing.T) {
	for name, c := range map[string]struct {
		m    Metainfo
		want [][]string
	}{
		"none":             {Metainfo{}, nil},
		"announce alone":   {Metainfo{Announce: "a"}, [][]string{{"a"}}},
		"the list goes on": {Metainfo{Announce: "a", AnnounceList: [][]string{{"b"}, {"c"}}}, [][]string{{"b"}, {"c"}}},
	} {
		if d := cmp.Diff(c.want, c.m.Tiers()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestWhatADownloadCanDoWithoutMayBeWrong(t *testing.T) {
	in := encode(t, dict{
		"announce": 5, "announce-list": "x", "creation date": "yesterday", "comment": []any{}, "created by": dict{},
		"url-list": 7, "nodes": []any{5, "x", []any{}, dict{}}, "info": single(),
	})
	m := mustParse(t, in)
	want := &Metainfo{Info: m.Info, InfoBytes: m.InfoBytes, InfoHash: m.InfoHash}
	if d := cmp.Diff(want, m, cmp.AllowUnexported(Info{})); d != "" {
		t.Error(d)
	}
	for _, n := range []int64{-1, 0, 253402300800} {
		if m := mustParse(t, encode(t, dict{"creation date": n, "info": single()})); !m.CreationDate.IsZero() {
			t.Errorf("%d is the date %s", n, m.CreationDate)
		}
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	file := func(d dict) dict {
		f := dict{"length": 50, "path": []string{"p"}}
		maps.Copy(f, d)
		maps.DeleteFunc(f, func(_ string, v any) bool { return v == nil })
		return single(dict{"length": nil, "files": []any{f}})
	}
	huge := bencode.RawMessage("i99999999999999999999e")
	for name, c := range map[string]struct {
		info dict
		key  string
	}{
		"no piece length":           {single(dict{"piece length": nil}), "info.piece length: is missing"},
		"piece length 0":            {single(dict{"piece length": 0}), "info.piece length: is 0"},
		"negative piece length":     {single(dict{"piece length": -20}), "info.piece length: is -20"},
		"piece length a string":     {single(dict{"piece length": "20"}), "info.piece length: must be a number and is a string"},
		"piece length too large":    {single(dict{"piece length": MaxPieceLength + 1, "pieces": strings.Repeat("h", 20)}), "info.piece length"},
		"piece length of 67 bits":   {single(dict{"piece length": huge}), "info.piece length: is a number beyond 64 bits"},
		"no pieces":                 {single(dict{"pieces": nil}), "info.pieces: is missing"},
		"pieces a list":             {single(dict{"pieces": []any{}}), "info.pieces: must be a string"},
		"half a hash":               {single(dict{"pieces": strings.Repeat("h", 50)}), "info.pieces: has 50 bytes"},
		"a hash too few":            {single(dict{"pieces": strings.Repeat("h", 40)}), "info.pieces: has the hashes of 2 pieces"},
		"a hash too many":           {single(dict{"pieces": strings.Repeat("h", 80)}), "info.pieces: has the hashes of 4 pieces"},
		"hashes of nothing":         {single(dict{"length": 0}), "info.pieces"},
		"no name":                   {single(dict{"name": nil}), "info.name: is missing"},
		"name a number":             {single(dict{"name": 5}), "info.name: must be a string"},
		"no length":                 {single(dict{"length": nil}), "info.length: is missing"},
		"negative length":           {single(dict{"length": -1}), "info.length: is -1"},
		"length a list":             {single(dict{"length": []any{}}), "info.length: must be a number"},
		"length of 67 bits":         {single(dict{"length": huge}), "info.length: is a number beyond 64 bits"},
		"largest length":            {single(dict{"length": int64(1<<63 - 1)}), "info.pieces"},
		"both length and files":     {single(dict{"files": []any{}}), "info.length"},
		"files a number":            {single(dict{"length": nil, "files": 1}), "info.files: must be a list"},
		"no files":                  {single(dict{"length": nil, "files": []any{}}), "info.files: names no file"},
		"a file a string":           {single(dict{"length": nil, "files": []any{"x"}}), "info.files[0]: must be a dictionary"},
		"a file without length":     {file(dict{"length": nil}), "info.files[0].length: is missing"},
		"a file of negative length": {file(dict{"length": -50}), "info.files[0].length: is -50"},
		"a file without path":       {file(dict{"path": nil}), "info.files[0].path: is missing"},
		"a path a string":           {file(dict{"path": "p"}), "info.files[0].path: must be a list"},
		"an empty path":             {file(dict{"path": []any{}}), "info.files[0].path: is empty"},
		"a path of numbers":         {file(dict{"path": []any{1}}), "info.files[0].path: must hold strings"},
		"an endless path":           {file(dict{"path": strings.Split(strings.Repeat("ab/", 2000), "/")}), "info.files[0].path: is longer"},
		"padding alone":             {file(dict{"attr": "p"}), "info.files: names no file"},
		"a link alone":              {file(dict{"attr": "l", "symlink path": []string{"etc"}}), "info.files: names no file"},
		"private a string":          {single(dict{"private": "1"}), "info.private: must be a number"},
		"lengths that overflow": {single(dict{"length": nil, "files": []any{
			dict{"length": int64(1<<63 - 1), "path": []string{"a"}}, dict{"length": 1, "path": []string{"b"}},
		}}), "info.files[1].length"},
		"meta version a string": {single(dict{"meta version": "2"}), "info.meta version: must be a number"},
		"meta version 0":        {single(dict{"meta version": 0}), "info.meta version: is 0"},
	} {
		m, err := Parse(torrent(t, c.info))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.key) {
			t.Errorf("%s: error %v, want one with %q (got %+v)", name, err, c.key, m)
		}
	}
}

func TestWhatIsNoTorrentIsSaidSo(t *testing.T) {
	good := torrent(t, single())
	for name, b := range map[string][]byte{
		"empty": {}, "a web page": []byte("<!doctype html>"), "a list": []byte("le"), "a number": []byte("i1e"),
		"cut": good[:len(good)-1], "followed by more": append(bytes.Clone(good), 'x'), "no info": []byte("de"),
		"info a string": []byte("d4:info1:xe"), "info twice": []byte("d4:infode4:infodee"),
		"nested too deep": []byte("d1:a" + strings.Repeat("l", 40) + strings.Repeat("e", 41)),
		"too large":       make([]byte, MaxSize+1),
	} {
		if m, err := Parse(b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, error %v, want ErrInvalid", name, m, err)
		}
	}
}

func TestHybridGoesByItsV1HalfBEP52(t *testing.T) {
	tree := dict{"one": dict{"": dict{"length": 50, "pieces root": strings.Repeat("r", 32)}}}
	v2 := dict{"meta version": 2, "file tree": tree}
	m := mustParse(t, torrent(t, single(v2)))
	if m.Info.Length != 50 || m.Info.PieceCount() != 3 {
		t.Errorf("read %+v", m.Info)
	}
	_, err := Parse(torrent(t, single(v2, dict{"pieces": nil, "length": nil})))
	if !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "v2") {
		t.Errorf("v2 alone: %v, want ErrUnsupported", err)
	}
	if _, err := Parse(torrent(t, single(dict{"meta version": 3}))); !errors.Is(err, ErrUnsupported) {
		t.Errorf("version 3: %v, want ErrUnsupported", err)
	}
	if m := mustParse(t, torrent(t, single(dict{"meta version": 1}))); m.Info.Length != 50 {
		t.Errorf("version 1: read %+v", m.Info)
	}
}

func TestATorrentMayHoldOnlyEmptyFiles(t *testing.T) {
	empty := single(dict{"length": 0, "pieces": ""})
	m := mustParse(t, torrent(t, empty))
	if m.Info.PieceCount() != 0 || len(m.Info.Files) != 1 || m.Info.Length != 0 {
		t.Errorf("read %+v", m.Info)
	}
	for s := range m.Info.Spans(0, 100) {
		t.Errorf("there is a span %+v", s)
	}
}

func TestSymbolicLinksAreLeftOutBEP47(t *testing.T) {
	info := multiple([]string{"a"}, []string{"b"}, []string{"c"}, []string{"d"}, []string{"e"})
	files := info["files"].([]any)
	info["files"] = append(files, dict{"attr": "l", "path": []string{"link"}, "symlink path": []string{"..", "etc"}})
	if m := mustParse(t, torrent(t, info)); len(m.Info.Files) != 5 {
		t.Errorf("files %+v", m.Info.Files)
	}
}

func TestParseHash(t *testing.T) {
	const s = "0123456789abcdef0123456789abcdef01234567"
	for _, in := range []string{s, strings.ToUpper(s)} {
		h, err := ParseHash(in)
		if err != nil || h.String() != s {
			t.Errorf("%s reads as %s, error %v", in, h, err)
		}
	}
	for _, in := range []string{"", s[1:], s + "0", "g" + s[1:], strings.Repeat("x", 1000)} {
		if h, err := ParseHash(in); err == nil || h != (Hash{}) {
			t.Errorf("%q reads as %s", in, h)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(torrent(f, single()))
	f.Add(torrent(f, multiple([]string{"a"}, []string{"A"}, []string{"a", "b"}, []string{"..", "con.txt"})))
	f.Add(torrent(f, single(dict{"name": "../\x00\xff", "meta version": 2, "private": 1})))
	f.Add([]byte("d4:infod5:filesld4:attr1:p6:lengthi3eed6:lengthi7e4:pathl1:aeee4:name0:12:piece lengthi10e6:pieces20:hhhhhhhhhhhhhhhhhhhhee"))
	f.Add(encode(f, dict{"announce": "x", "nodes": []any{[]any{"h", 1}}, "url-list": "u", "announce-list": []any{"t"}, "info": single()}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		checkInfo(t, m.Info)
		file, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, mustParse(t, file), cmp.AllowUnexported(Info{})); d != "" {
			t.Fatal(d)
		}
	})
}

// checkInfo checks what holds of every torrent that was read.
func checkInfo(t *testing.T, i *Info) {
	t.Helper()
	if len(i.Files) == 0 || !fs.ValidPath(i.Name) || strings.Contains(i.Name, "/") || i.Name == "." {
		t.Fatalf("name %q, files %+v", i.Name, i.Files)
	}
	seen := map[string]bool{}
	var at, sum int64
	for _, f := range i.Files {
		if !fs.ValidPath(f.Path) || f.Path != i.Name && !strings.HasPrefix(f.Path, i.Name+"/") {
			t.Fatalf("path %q in %q", f.Path, i.Name)
		}
		if f.Offset != at || f.Length < 0 {
			t.Fatalf("file %+v at %d", f, at)
		}
		at += f.Length
		if f.Pad {
			continue
		}
		if seen[strings.ToLower(f.Path)] {
			t.Fatalf("path %q is there twice", f.Path)
		}
		seen[strings.ToLower(f.Path)] = true
	}
	for p := range seen {
		for k := range p {
			if p[k] == '/' && seen[p[:k]] {
				t.Fatalf("%q is a file and a folder", p[:k])
			}
		}
	}
	for p := range min(i.PieceCount(), 1000) {
		sum += i.PieceSize(p)
	}
	if i.PieceCount() <= 1000 && sum != i.Length || at != i.Length {
		t.Fatalf("pieces of %d bytes, files of %d, all of %d", sum, at, i.Length)
	}
}
