//go:build interop

package interop

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/template"
)

// document is written by "make interop WRITE=1" and compared by any other run
// of all tests.
const document = "../../docs/interop.md"

var write = flag.Bool("write", false, "write "+document)

// versions tell how each program is asked for its version; nil for one that
// does not tell.
var versions = map[string][]string{
	transmission.name:      {"transmission-daemon", "--version"},
	aria2.name:             {"aria2c", "--version"},
	libtorrentClient.name:  {python, "-c", "import libtorrent; print(libtorrent.__version__)"},
	"opentracker":          nil,
	bittorrentDHT:          {"echo", dhtVersion}, // The one that npm is asked for.
	"nginx":                {"nginx", "-v"},
	"Python's http.server": {python, "--version"},
}

// The outcomes of a case, the worst last. Anything in between is why another
// program can't do it.
const (
	passed = "ok"
	failed = "FAILED"
)

// cell is one place of the matrix.
type cell struct{ feature, program, direction string }

const (
	toUs   = "from it to us"
	fromUs = "from us to it"
)

// results are what was recorded so far.
var results = struct {
	sync.Mutex
	outcomes map[cell]string
}{outcomes: map[cell]string{}}

// record puts into the matrix how this test ends: whether the program from can
// give what the feature is about to the program to. One of them is
// torrent-operator. Several tests of the same cell have to pass all.
func record(t *testing.T, feature, from, to string) {
	t.Helper()
	c := place(t, feature, from, to)
	t.Cleanup(func() {
		outcome := passed
		if t.Failed() || t.Skipped() {
			outcome = failed
		}
		results.Lock()
		defer results.Unlock()
		if results.outcomes[c] != failed {
			results.outcomes[c] = outcome
		}
	})
}

// cannot puts into the matrix that the other program is unable to do this, and
// why, so that it isn't tested.
func cannot(t *testing.T, feature, from, to, why string) {
	t.Helper()
	c := place(t, feature, from, to)
	results.Lock()
	defer results.Unlock()
	if results.outcomes[c] == "" {
		results.outcomes[c] = "no: " + why
	}
}

func place(t *testing.T, feature, from, to string) cell {
	t.Helper()
	c := cell{feature, to, fromUs}
	if to == torrentOperator.name {
		c.program, c.direction = from, toUs
	} else if from != torrentOperator.name {
		t.Fatalf("%s is between %s and %s: one should be %s", feature, from, to, torrentOperator.name)
	}
	if _, ok := versions[c.program]; !ok {
		t.Fatalf("%s has to be added to versions", c.program)
	}
	return c
}

// row is a line of the document's table: a feature, a program, and what came
// of it in both directions.
type row struct{ Feature, Program, ToUs, FromUs string }

func rows() (all []row) {
	for c := range results.outcomes {
		r := row{c.feature, c.program, "–", "–"}
		if o, ok := results.outcomes[cell{c.feature, c.program, toUs}]; ok {
			r.ToUs = o
		}
		if o, ok := results.outcomes[cell{c.feature, c.program, fromUs}]; ok {
			r.FromUs = o
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b row) int {
		return strings.Compare(a.Feature+"\x00"+a.Program, b.Feature+"\x00"+b.Program)
	})
	return slices.Compact(all)
}

var number = regexp.MustCompile(`\d+(\.\d+)+`)

// programsWithVersions lists the programs of the matrix.
func programsWithVersions() string {
	names := map[string]bool{}
	for c := range results.outcomes {
		names[c.program] = true
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if argv := versions[name]; argv != nil {
			out, err := exec.CommandContext(context.Background(), argv[0], argv[1:]...).CombinedOutput()
			if err != nil {
				out = nil
			}
			name = strings.TrimSpace(name + " " + number.FindString(string(out)))
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

const versionsBegin = "Versions of the last time that this page was written: "

var page = template.Must(template.New("").Parse(`# Interoperability

torrent-operator with other programs, as ` + "`make interop`" + ` runs them: real processes on loopback, or on hosts of their own in a network of two, every file that arrives compared
by its SHA-256. This page is written by ` + "`make interop WRITE=1`" + ` from what ran, and ` + "`.ci/run`" + ` holds it against what runs.

"–" is a direction that is not tested, or has no meaning.

` + versionsBegin + `{{.Versions}}.

| feature | program | ` + toUs + ` | ` + fromUs + ` |
|---|---|---|---|
{{range .Rows}}| {{.Feature}} | {{.Program}} | {{.ToUs}} | {{.FromUs}} |
{{end}}`))

// withoutVersions is a document without what other versions change.
func withoutVersions(doc []byte) string {
	var b strings.Builder
	for line := range bytes.Lines(doc) {
		if !bytes.HasPrefix(line, []byte(versionsBegin)) {
			b.Write(line)
		}
	}
	return b.String()
}

// conclude prints what was recorded and, if all tests have run and passed,
// writes the document or compares it.
func conclude(all bool) error {
	var doc bytes.Buffer
	if err := page.Execute(&doc, map[string]any{"Versions": programsWithVersions(), "Rows": rows()}); err != nil {
		return err
	}
	fmt.Print("\n", doc.String(), "\n")
	if !all {
		return nil
	}
	if *write {
		return os.WriteFile(document, doc.Bytes(), 0o644)
	}
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	if withoutVersions(old) != withoutVersions(doc.Bytes()) {
		return fmt.Errorf("%s is out of date: make interop WRITE=1", document)
	}
	return nil
}

func TestMain(m *testing.M) {
	flag.Parse()
	all := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""
	code := m.Run()
	if err := conclude(all && code == 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
