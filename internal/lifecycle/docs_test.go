package lifecycle

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reasonsOf are the values of the constants in a file whose names begin with
// Reason or reason.
func reasonsOf(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if !strings.HasPrefix(strings.ToLower(name.Name), "reason") || i >= len(spec.Values) {
				continue
			}
			if v, ok := spec.Values[i].(*ast.BasicLit); ok {
				s, err := strconv.Unquote(v.Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, s)
			}
		}
		return true
	})
	if len(out) < 5 {
		t.Fatalf("%s has the reasons %v", file, out)
	}
	return out
}

var row = regexp.MustCompile("(?m)^\\| (`[A-Za-z]+`(?:, `[A-Za-z]+`)*) \\| .+ \\| .+ \\|$")

// docs/conditions.md has a row for each reason that a condition can have, and
// none for another one.
func TestEveryReasonIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/conditions.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			if name = strings.Trim(name, "`"); told[name] {
				t.Errorf("docs/conditions.md tells of %s twice", name)
			}
			told[name] = true
		}
	}
	known := map[string]bool{}
	for _, file := range []string{"../../api/v1alpha1/conditions.go", "../download/download.go", "words.go"} {
		for _, r := range reasonsOf(t, file) {
			known[r] = true
		}
	}
	for alias := range sameReasons { // Never shown.
		delete(known, alias)
	}
	for r := range known {
		if !told[r] {
			t.Errorf("docs/conditions.md has no row for %s: its meaning, and what to do", r)
		}
	}
	for _, r := range slices.Sorted(maps.Keys(told)) {
		if !known[r] {
			t.Errorf("docs/conditions.md has a row for %s, which no condition has", r)
		}
	}
}
