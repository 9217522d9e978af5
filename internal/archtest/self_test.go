package archtest

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// read parses code as if it stood in a file of the module.
func read(t *testing.T, code string) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "x.go", code, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return source{"x.go", fset.File(file.FileStart).LineCount(), fset, file}
}

func TestImpureCodeIsFound(t *testing.T) {
	for name, c := range map[string]struct{ code, want string }{
		"reads the clock":         {`import "time"; var t = time.Now()`, "told the time"},
		"reads a wrapped clock":   {`import meta "k8s.io/apimachinery/pkg/apis/meta/v1"; var t = meta.Now()`, "told the time"},
		"global randomness":       {`import "math/rand/v2"; var n = rand.IntN(6)`, "global"},
		"does I/O":                {`import _ "os"`, "may not import os"},
		"starts a goroutine":      {`func f() { go f() }`, "no goroutine"},
		"calls the kernel":        {`import _ "golang.org/x/sys/unix"`, "may not import"},
		"calculates with time":    {`import "time"; func f(t time.Time) time.Time { return t.Add(time.Second) }`, ""},
		"seeded randomness":       {`import "math/rand/v2"; var r = rand.New(rand.NewPCG(1, 2)).IntN(6)`, ""},
		"addresses as values":     {`import "net/netip"; var a netip.Addr`, ""},
		"a method that is no Now": {`type c struct{}; func (c) Now() int { return 0 }; var n = c{}.Now()`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := strings.Join(impurities(read(t, "package x\n"+c.code)), "\n")
			if c.want == "" && found != "" || !strings.Contains(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

func TestUndocumentedNamesAreFound(t *testing.T) {
	for code, want := range map[string]string{
		"func F() {}":                                "F",
		"// F does.\nfunc F() {}":                    "",
		"// F is no sentence\nfunc F() {}":           "F",
		"// +marker=F.\nfunc F() {}":                 "F",
		"// F does.\n//\n// +marker\nfunc F() {}":    "",
		"func f() {}":                                "",
		"type t struct{}\nfunc (t) M() {}":           "",
		"type T struct{}":                            "T",
		"const (\nA = 1 // A is one.\nB = 2\n)":      "B",
		"// These are numbers.\nconst (\nA = 1\n)":   "",
		"// T is.\ntype T[K any] struct{}":           "",
		"// T is.\ntype T int\nfunc (T) String() {}": "String",
	} {
		var found []string
		for _, d := range read(t, "package x\n"+code).file.Decls {
			found = append(found, undocumented(d)...)
		}
		if got := strings.Join(found, " "); got != want {
			t.Errorf("in %q found %q undocumented, want %q", code, got, want)
		}
	}
}

func TestLevels(t *testing.T) {
	for path, want := range map[string]int{
		"internal/download": 0, "internal/engine": 6, ".": 9, "test/demo": len(layers), "bench/peers": len(layers),
		"internal/surprise": unknown, "fmt": unknown,
	} {
		if got, _ := level(path); got != want {
			t.Errorf("%s has level %d, want %d", path, got, want)
		}
	}
	if _, room := level("test/interop/clients"); room != "test/interop" {
		t.Errorf("test/interop/clients is in room %q", room)
	}
}
