package selection

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// torrent describes a torrent named "t" with pieces of 10 bytes and files
// given as path:length, a padding file as :length.
func torrent(t testing.TB, files ...string) *metainfo.Info {
	t.Helper()
	var list strings.Builder
	total := 0
	for _, f := range files {
		name, length, _ := strings.Cut(f, ":")
		var n int
		if _, err := fmt.Sscan(length, &n); err != nil {
			t.Fatal(err)
		}
		total += n
		attr := ""
		if name == "" {
			name, attr = "pad", "4:attr1:p"
		}
		fmt.Fprintf(&list, "d%s6:lengthi%de4:pathl", attr, n)
		for part := range strings.SplitSeq(name, "/") {
			fmt.Fprintf(&list, "%d:%s", len(part), part)
		}
		list.WriteString("ee")
	}
	hashes := strings.Repeat("x", (total+9)/10*20)
	return parse(t, fmt.Sprintf("d4:infod5:filesl%se4:name1:t12:piece lengthi10e6:pieces%d:%see", list.String(), len(hashes), hashes))
}

func parse(t testing.TB, b string) *metainfo.Info {
	t.Helper()
	m, err := metainfo.Parse([]byte(b))
	if err != nil {
		t.Fatal(err)
	}
	return m.Info
}

// dataset is a torrent such as people publish.
var dataset = []string{
	"README:4", "train/a.tar:25", "train/b.tar:6", "train/labels/a.txt:3", "train/x.tar/part:7", ":5",
	"test/a.tar:10", "test/labels/a.txt:0", "docs/en/index.html:8", "docs/[draft].md:9",
}

func selected(t *testing.T, info *metainfo.Info, f download.Files) []string {
	t.Helper()
	s, err := New(t.Context().Err, info, f)
	if err != nil {
		t.Fatalf("%+v: %v", f, err)
	}
	var names []string
	bytes := int64(0)
	for i := range s.Files.All() {
		names = append(names, Path(info, i))
		bytes += info.Files[i].Length
	}
	if bytes != s.Bytes {
		t.Errorf("%+v: %d bytes, want %d", f, s.Bytes, bytes)
	}
	return names
}

func TestPatternsMatchAsInGitignore(t *testing.T) {
	info := torrent(t, dataset...)
	for pattern, want := range map[string]string{
		"*.tar":              "train/a.tar train/b.tar train/x.tar/part test/a.tar", // By name, at any depth; a folder stands for what is in it.
		"README":             "README",
		"/README":            "README",
		"a.txt":              "train/labels/a.txt test/labels/a.txt",
		"/a.txt":             "",
		"labels":             "train/labels/a.txt test/labels/a.txt",
		"labels/":            "train/labels/a.txt test/labels/a.txt",
		"a.tar/":             "", // It is no folder.
		"x.tar/":             "train/x.tar/part",
		"train":              "train/a.tar train/b.tar train/labels/a.txt train/x.tar/part",
		"train/*":            "train/a.tar train/b.tar train/labels/a.txt train/x.tar/part",
		"train/**":           "train/a.tar train/b.tar train/labels/a.txt train/x.tar/part",
		"train/*.tar":        "train/a.tar train/b.tar train/x.tar/part",
		"*/a.tar":            "train/a.tar test/a.tar",
		"**/a.tar":           "train/a.tar test/a.tar",
		"**/*.txt":           "train/labels/a.txt test/labels/a.txt",
		"**/labels/*":        "train/labels/a.txt test/labels/a.txt",
		"docs/**/index.html": "docs/en/index.html",
		"t*/a.tar":           "train/a.tar test/a.tar",
		"t/train":            "", // Paths begin below the torrent's own folder.
		"?EADME":             "README",
		"[A-Z]*":             "README",
		"[^A-Z]*.tar":        "train/a.tar train/b.tar train/x.tar/part test/a.tar",
		"readme":             "",
		"{a,b}.tar":          "train/a.tar train/b.tar test/a.tar",
		"{train,test}/*.tar": "train/a.tar train/b.tar train/x.tar/part test/a.tar",
		`docs/\[draft\].md`:  "docs/[draft].md",
		"docs/[[]draft*.md":  "docs/[draft].md",
		"pad":                "",
	} {
		s, err := New(t.Context().Err, info, download.Files{Include: []string{pattern}})
		if want == "" {
			var f *download.Failure
			if !errors.As(err, &f) || f.Reason != download.ReasonNothingSelected {
				t.Errorf("%q: %v, want nothing to be selected", pattern, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			continue
		}
		if got := strings.Join(selected(t, info, download.Files{Include: []string{pattern}}), " "); got != want {
			t.Errorf("%q selects %s, want %s", pattern, got, want)
		}
		if s.All {
			t.Errorf("%q: All", pattern)
		}
	}
}

func TestExcludeTakesAwayFromWhatIsIncluded(t *testing.T) {
	info := torrent(t, dataset...)
	for _, c := range []struct {
		f    download.Files
		want string
	}{
		{download.Files{Exclude: []string{"*.tar", "docs/", "labels"}}, "README"},
		{download.Files{Include: []string{"*.tar"}, Exclude: []string{"test"}}, "train/a.tar train/b.tar train/x.tar/part"},
		{download.Files{Include: []string{"train/a.tar", "README"}}, "README train/a.tar"},
		{download.Files{Include: []string{"train/*"}, Exclude: []string{"train/*/"}}, "train/a.tar train/b.tar"},
	} {
		if got := strings.Join(selected(t, info, c.f), " "); got != c.want {
			t.Errorf("%+v selects %s, want %s", c.f, got, c.want)
		}
	}
}

func TestEverythingIsSelectedWithoutPatterns(t *testing.T) {
	info := torrent(t, dataset...)
	s, err := New(t.Context().Err, info, download.Files{Sequential: true})
	if err != nil || !s.All || !s.Pieces.IsFull() || s.Wanted() != nil || s.Bytes != info.PayloadLength() {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = New(t.Context().Err, info, download.Files{Include: []string{"**"}}); err != nil || !s.All {
		t.Errorf("**: %+v, %v", s, err)
	}
	single := parse(t, "d4:infod6:lengthi3e4:name5:a.iso12:piece lengthi10e6:pieces20:xxxxxxxxxxxxxxxxxxxxee")
	if got := selected(t, single, download.Files{Include: []string{"*.iso"}}); !slices.Equal(got, []string{"a.iso"}) {
		t.Errorf("of a single file: %q", got)
	}
}

// TestPiecesOnABoundaryAreWanted looks at pieces of 10 bytes: a 0-14, b 15-19,
// c 20-29, empty, d 30-44, e 45-49.
func TestPiecesOnABoundaryAreWanted(t *testing.T) {
	info := torrent(t, "a:15", "b:5", "c:10", "empty:0", "d:15", "e:5")
	members := func(b *bitfield.Bitfield) string {
		var all []int
		for i := range b.All() {
			all = append(all, i)
		}
		return fmt.Sprint(all)
	}
	for _, c := range []struct {
		f                      download.Files
		pieces, high, mid, low string
	}{
		{download.Files{Include: []string{"a"}}, "[0 1]", "[]", "[0 1]", "[]"},
		{download.Files{Include: []string{"b"}}, "[1]", "[]", "[1]", "[]"},
		{download.Files{Include: []string{"c"}}, "[2]", "[]", "[2]", "[]"},
		{download.Files{Include: []string{"empty"}}, "[]", "[]", "[]", "[]"},
		{download.Files{High: []string{"e"}, Low: []string{"a", "d"}}, "[0 1 2 3 4]", "[4]", "[1 2]", "[0 3]"},
		{download.Files{High: []string{"a"}, Low: []string{"*"}}, "[0 1 2 3 4]", "[0 1]", "[]", "[2 3 4]"},
		{download.Files{Exclude: []string{"c"}, High: []string{"c"}}, "[0 1 3 4]", "[]", "[0 1 3 4]", "[]"},
	} {
		s, err := New(t.Context().Err, info, c.f)
		if err != nil {
			t.Fatal(err)
		}
		if got := members(s.Pieces); got != c.pieces {
			t.Errorf("%+v: pieces %s, want %s", c.f, got, c.pieces)
		}
		n := 0
		for _, class := range s.Wanted() {
			n += class.Count()
		}
		if s.Wanted() == nil || n != s.Pieces.Count() {
			t.Errorf("%+v: %d pieces are wanted", c.f, n)
		}
		if h, m, l := members(s.Classes[high]), members(s.Classes[normal]), members(s.Classes[low]); h != c.high || m != c.mid || l != c.low {
			t.Errorf("%+v: classes %s %s %s, want %s %s %s", c.f, h, m, l, c.high, c.mid, c.low)
		}
	}
}

func TestNothingSelectedTellsWhatThereIs(t *testing.T) {
	_, err := New(t.Context().Err, torrent(t, dataset...), download.Files{Include: []string{"*.zip"}})
	var f *download.Failure
	if !errors.As(err, &f) || !f.Permanent || f.Reason != download.ReasonNothingSelected {
		t.Fatalf("got %v", err)
	}
	if want := `it holds "README", "train/a.tar", "train/b.tar", "train/labels/a.txt", "train/x.tar/part" and 4 more`; !strings.Contains(f.Message, want) {
		t.Errorf("%s", f.Message)
	}
}

func TestMalformedPatternsAreRefused(t *testing.T) {
	for _, pattern := range []string{"", "[a", "{a", `a\`, "a//b", "../a", "a/../b", "./a", ".", "..", "/", "//", "a//"} {
		for _, f := range []download.Files{{Include: []string{pattern}}, {Exclude: []string{pattern}}, {High: []string{pattern}}, {Low: []string{pattern}}} {
			var fail *download.Failure
			if err := Check(f); !errors.As(err, &fail) || !fail.Permanent || fail.Reason != download.ReasonPatternInvalid {
				t.Errorf("%+v: %v", f, err)
			}
		}
	}
}

func TestLimitsOfPatterns(t *testing.T) {
	groups := func(n int) string { return strings.Repeat("{a,b}", n) }
	plain := slices.Repeat([]string{"a"}, maxPatterns)
	for _, c := range []struct {
		what string
		f    download.Files
		ok   bool
	}{
		{"as many patterns as there may be", download.Files{Include: slices.Repeat([]string{"a"}, maxPatterns)}, true},
		{"one more", download.Files{Include: slices.Repeat([]string{"a"}, maxPatterns+1)}, false},
		{"as long as it may be", download.Files{Include: []string{strings.Repeat("a", maxPattern)}}, true},
		{"one longer", download.Files{Include: []string{strings.Repeat("a", maxPattern+1)}}, false},
		{"fewer alternatives than there may be", download.Files{Include: []string{groups(7)}}, true},
		{"as many alternatives", download.Files{Include: []string{groups(8)}}, true},
		{"twice as many", download.Files{Include: []string{groups(9)}}, false},
		{"as many in one group", download.Files{Include: []string{"{" + strings.Repeat(",", maxAlternatives-1) + "}a"}}, true},
		{"one more in one group", download.Files{Include: []string{"{" + strings.Repeat(",", maxAlternatives) + "}a"}}, false},
		{"braces that are characters", download.Files{Include: []string{strings.Repeat(`\{a,b\}`, 10) + strings.Repeat("[{,}]", 10)}}, true},
		{"as many nested", download.Files{Include: []string{"{a,{b,{c,d}}}" + groups(6)}}, true},
		{"more nested", download.Files{Include: []string{"{a,{b,{c,{d,e}}}}" + groups(6)}}, false},
		{"more than can be counted", download.Files{Include: []string{groups(100)}}, false},
		{"as many in all lists together", download.Files{Include: []string{groups(6)}, Exclude: []string{groups(6)}, High: []string{groups(6)}, Low: []string{groups(6)}}, true},
		{"one more in the last list", download.Files{Include: []string{groups(6)}, Exclude: []string{groups(6)}, High: []string{groups(6)}, Low: []string{groups(6), "a"}}, false},
		{"full lists", download.Files{Include: plain, Exclude: plain, High: plain, Low: plain}, true},
		{"full lists and one alternative more", download.Files{Include: plain, Exclude: append([]string{"{a,b}"}, plain[1:]...), High: plain, Low: plain}, false},
	} {
		if err := Check(c.f); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestBracesStandForEachOfTheirAlternatives(t *testing.T) {
	for glob, want := range map[string]string{
		"a":                 "a",
		"{a,b}":             "a b",
		"x{a,b}y{c,d}z":     "xaycz xaydz xbycz xbydz",
		"{a,{b,c}d}e":       "ae bde cde",
		"{a}{,b}":           "a ab",
		`\{a,{b\,,c\}}`:     `\{a,b\, \{a,c\}`,
		"[{,}]{[,}],a}":     "[{,}][,}] [{,}]a",
		`[\]{a,b}]{c,d}`:    `[\]{a,b}]c [\]{a,b}]d`,
		"{train,test/a}/**": "train/** test/a/**",
	} {
		if got := strings.Join(expand(nil, glob, 0, maxAlternatives), " "); got != want {
			t.Errorf("%s stands for %s, want %s", glob, got, want)
		}
	}
}

// TestSelectionEndsWhenNobodyWantsIt asks for files of which there are many.
func TestSelectionEndsWhenNobodyWantsIt(t *testing.T) {
	var files []string
	for i := range 3 * patience {
		files = append(files, fmt.Sprintf("%d:1", i))
	}
	info, gone, asked := torrent(t, files...), errors.New("nobody wants it"), 0
	stop := func() error {
		if asked++; asked == 2 {
			return gone
		}
		return nil
	}
	if s, err := New(stop, info, download.Files{Include: []string{"*"}}); s != nil || !errors.Is(err, gone) || asked != 2 {
		t.Errorf("after %d questions: %v, %v", asked, s, err)
	}
}

// FuzzPattern sees to it that no pattern makes matching fail or take long.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"*.tar", "a/**/b", "{a,b}/[c-d]*", `\[x\]`, "**/**/**/a", "[", "{{a,b},c}"} {
		f.Add(s, "train/a.tar")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		left := maxAlternatives
		p, err := compileAll([]string{pattern}, &left)
		if err != nil || len(name) > 3<<10 || !fs.ValidPath(name) { // Of a torrent all are valid.
			return
		}
		for _, glob := range p.list[0].globs {
			if _, ends := braces(glob, 0); ends != nil || !doublestar.ValidatePattern(glob) {
				t.Errorf("%q stands for %q", pattern, glob)
			}
		}
		p.match(name)
	})
}

func BenchmarkAHundredThousandFiles(b *testing.B) {
	var files []string
	for i := range 100_000 {
		files = append(files, fmt.Sprintf("part%03d/%06d.jpg:1", i/1000, i))
	}
	info := torrent(b, files...)
	f := download.Files{Include: []string{"*.jpg", "**/x/*.png"}, Exclude: []string{"part1?0/"}, High: []string{"*7.jpg"}}
	for b.Loop() {
		if _, err := New(b.Context().Err, info, f); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNumbersOfAMagnetLink is BEP 53: the link names files by their numbers.
func TestNumbersOfAMagnetLink(t *testing.T) {
	info := torrent(t, "0:10", "1:10", "2:10", "3:10", "4:10", "5:10")
	for _, c := range []struct {
		files download.Files
		only  []metainfo.IndexRange
		want  []int
	}{
		{download.Files{}, nil, []int{0, 1, 2, 3, 4, 5}},
		{download.Files{}, []metainfo.IndexRange{{First: 1, Last: 1}}, []int{1}},
		{download.Files{}, []metainfo.IndexRange{{First: 0, Last: 0}, {First: 2, Last: 3}, {First: 5, Last: 900}}, []int{0, 2, 3, 5}},
		{download.Files{High: []string{"3"}}, []metainfo.IndexRange{{First: 3, Last: 4}}, []int{3, 4}},
		{download.Files{Include: []string{"2"}}, []metainfo.IndexRange{{First: 3, Last: 4}}, []int{2}},
	} {
		s, err := New(t.Context().Err, info, c.files, c.only...)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for i := range s.Files.All() {
			got = append(got, i)
		}
		if !slices.Equal(got, c.want) || s.All != (len(c.want) == 6) || s.Bytes != int64(10*len(c.want)) {
			t.Errorf("%+v of %+v: %v, %d bytes, all: %v; want %v", c.files, c.only, got, s.Bytes, s.All, c.want)
		}
	}
	if _, err := New(t.Context().Err, info, download.Files{}, metainfo.IndexRange{First: 6, Last: 9}); err == nil {
		t.Error("a number beyond all files selects something")
	}
}
