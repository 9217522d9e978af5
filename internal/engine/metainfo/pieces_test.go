package metainfo

import (
	"crypto/sha1"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

func TestOnlyTheLastPieceIsShorter(t *testing.T) {
	for _, c := range []struct {
		length, pieceLength int64
		want                []int64
	}{
		{50, 20, []int64{20, 20, 10}},
		{40, 20, []int64{20, 20}},
		{1, 20, []int64{1}},
		{3, 1, []int64{1, 1, 1}},
	} {
		m := mustParse(t, torrent(t, single(dict{
			"length": c.length, "piece length": c.pieceLength, "pieces": strings.Repeat("h", 20*len(c.want)),
		})))
		var got []int64
		for p := range m.Info.PieceCount() {
			got = append(got, m.Info.PieceSize(p))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%d bytes in pieces of %d: %s", c.length, c.pieceLength, d)
		}
		for _, p := range []int{-1, len(c.want)} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("there is a piece %d of %d", p, len(c.want))
					}
				}()
				m.Info.PieceSize(p)
			}()
		}
	}
}

// TestSpansAreEveryByteOnce compares all ranges with a map of the torrent made
// byte by byte.
func TestSpansAreEveryByteOnce(t *testing.T) {
	lengths := []int64{0, 3, 0, 0, 1, 5, 0, 2, 0}
	info := &Info{Name: "n", PieceLength: 4}
	type at struct {
		file int
		off  int64
	}
	var bytes []at
	for k, n := range lengths {
		info.add(File{Path: fmt.Sprint(k), Length: n, Pad: k == 4})
		for off := range n {
			bytes = append(bytes, at{k, off})
		}
	}
	for off := int64(-2); off < info.Length+3; off++ {
		for n := int64(-1); n < info.Length+3; n++ {
			var want, got []at
			if off >= 0 && off < info.Length && n > 0 {
				want = bytes[off:min(off+n, info.Length)]
			}
			for s := range info.Spans(off, n) {
				if s.Length <= 0 {
					t.Fatalf("an empty span %+v", s)
				}
				for k := range s.Length {
					got = append(got, at{s.File, s.Offset + k})
				}
			}
			if len(want) != len(got) || len(want) > 0 && !cmp.Equal(want, got, cmp.AllowUnexported(at{})) {
				t.Fatalf("%d bytes at %d: %v, want %v", n, off, got, want)
			}
		}
	}
	for range info.Spans(0, info.Length) {
		break // Stopping early must do no harm.
	}
	if n := len(bytes); int64(n) != info.Length {
		t.Fatalf("%d bytes of %d", n, info.Length)
	}
}

func TestSpansOfHugeRangesDoNotOverflow(t *testing.T) {
	info := &Info{PieceLength: 1 << 30}
	info.add(File{Length: 10})
	for s := range info.Spans(5, 1<<63-1) {
		if s != (Span{0, 5, 5}) {
			t.Errorf("span %+v", s)
		}
	}
}

func TestVerifierKnowsAPieceFromAllElse(t *testing.T) {
	data := content(50, 1)
	var hashes []byte
	for _, p := range [][]byte{data[:20], data[20:40], data[40:]} {
		sum := sha1.Sum(p)
		hashes = append(hashes, sum[:]...)
	}
	v := mustParse(t, torrent(t, single(dict{"pieces": hashes}))).Info.NewVerifier()
	check := func(name string, piece int, want bool, parts ...[]byte) {
		t.Helper()
		v.Reset(piece)
		for _, p := range parts {
			if n, err := v.Write(p); n != len(p) || err != nil {
				t.Errorf("%s: wrote %d, %v", name, n, err)
			}
		}
		if v.OK() != want {
			t.Errorf("%s: OK is %v", name, !want)
		}
	}
	check("whole", 0, true, data[:20])
	check("in parts", 1, true, data[20:21], nil, data[21:40])
	check("the short last one", 2, true, data[40:])
	check("another one", 1, false, data[:20])
	check("too little", 0, false, data[:19])
	check("nothing", 0, false)
	check("too much", 2, false, data[40:], []byte{0})
	wrong := append([]byte(nil), data[:20]...)
	wrong[19] ^= 1
	check("one bit wrong", 0, false, wrong)
	check("right again", 0, true, data[:20])
}

// TestFourMillionPiecesCopyNoHashes is the largest torrent known, more or less.
func TestFourMillionPiecesCopyNoHashes(t *testing.T) {
	const count = 4_018_567
	head := fmt.Sprintf("d4:infod6:lengthi%de4:name1:n12:piece lengthi16384e6:pieces%d:", int64(count)*16384-1, count*sha1.Size)
	b := make([]byte, len(head)+count*sha1.Size+2)
	copy(b, head)
	copy(b[len(b)-2:], "ee")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := Parse(b)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated to read %d", n, len(b))
	}
	if m.Info.PieceCount() != count || m.Info.PieceSize(count-1) != 16383 || &m.Info.hashes[0] != &b[len(head)] {
		t.Errorf("%d pieces, the last of %d bytes", m.Info.PieceCount(), m.Info.PieceSize(count-1))
	}
}

func TestAHundredThousandFiles(t *testing.T) {
	const count = 100_000
	m := mustParse(t, manyFiles(t, count))
	if len(m.Info.Files) != count || m.Info.Files[count-1].Path != "many/folder 99/file 99999.txt" {
		t.Fatalf("%d files, the last %+v", len(m.Info.Files), m.Info.Files[len(m.Info.Files)-1])
	}
	for k := int64(0); k < count-1; k += 7 {
		n := 0
		for s := range m.Info.Spans(k*100+99, 2) {
			if want := int(k) + n; s.File != want {
				t.Fatalf("file %d, want %d", s.File, want)
			}
			n++
		}
		if n != 2 {
			t.Fatalf("%d spans at the end of file %d, want 2", n, k)
		}
	}
}

func BenchmarkParseAHundredThousandFiles(b *testing.B) {
	file := manyFiles(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(file); err != nil {
			b.Fatal(err)
		}
	}
}

// manyFiles is a torrent of so many files of 100 bytes.
func manyFiles(t testing.TB, count int) []byte {
	type file struct {
		Length int      `bencode:"length"`
		Path   []string `bencode:"path"`
	}
	files := make([]file, count)
	for k := range files {
		files[k] = file{100, []string{fmt.Sprintf("folder %d", k/1000), fmt.Sprintf("file %d.txt", k)}}
	}
	list, err := bencode.Marshal(files)
	if err != nil {
		t.Fatal(err)
	}
	pieces := (count*100 + 16383) / 16384
	return torrent(t, dict{
		"name": "many", "piece length": 16384, "pieces": strings.Repeat("h", 20*pieces), "files": bencode.RawMessage(list),
	})
}
