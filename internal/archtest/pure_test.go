package archtest

import (
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pure packages decide and do nothing else: the time is an argument, there is
// no I/O, no goroutine and no randomness but what was seeded by the caller.
var pure = []string{
	"internal/engine/swarm", "internal/engine/swarm/picker", "internal/engine/swarm/choker", "internal/engine/swarm/metadata",
	"internal/engine/selection", "internal/engine/wire", "internal/engine/bitfield", "internal/lifecycle",
}

// pureFiles are pure files of packages that are not. A file that is named here
// has to be there.
var pureFiles = []string{
	"internal/engine/tracker/schedule.go", "internal/engine/tracker/packet.go",
	"internal/engine/dht/id.go", "internal/engine/dht/places.go", "internal/engine/dht/krpc.go", "internal/engine/dht/read.go",
	"internal/engine/dht/table.go", "internal/engine/dht/bucket.go", "internal/engine/dht/lookup.go", "internal/engine/dht/token.go",
	"internal/engine/dht/store.go", "internal/engine/dht/pace.go", "internal/engine/dht/answer.go", "internal/engine/dht/node.go",
	"internal/engine/dht/search.go", "internal/engine/dht/upkeep.go", "internal/engine/dht/state.go",
}

// impure are the imports that a pure file may not have. net/netip is an
// address as a value, so it is none of them.
var impure = []string{
	"net", "net/http", "os", "os/exec", "os/signal", "io/fs", "sync", "sync/atomic", "context", "syscall",
	"crypto/rand", "math/rand", "log", "log/slog", "runtime", "testing",
}

// clocks are names that read a clock or wait for one, in package time and in
// what wraps it.
var clocks = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Sleep", "Tick"}

// seeded are the names of math/rand/v2 that do not touch its global source.
var seeded = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}

func TestPureCodeDoesNothing(t *testing.T) {
	found := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() || !slices.Contains(pure, path.Dir(s.path)) && !slices.Contains(pureFiles, s.path) {
			continue
		}
		found[s.path] = true
		for _, violation := range impurities(s) {
			t.Error(violation)
		}
	}
	for _, f := range pureFiles {
		if !found[f] {
			t.Errorf("%s is named as pure, but there is no such file", f)
		}
	}
}

// impurities returns what a pure file does that it may not.
func impurities(s source) (found []string) {
	imports := map[string]string{} // name in this file → path
	for _, i := range s.file.Imports {
		imp, _ := strconv.Unquote(i.Path.Value) // the parser has checked it
		name := path.Base(imp)
		if imp == "math/rand/v2" {
			name = "rand"
		}
		if i.Name != nil {
			name = i.Name.Name
		}
		imports[name] = imp
		if slices.Contains(impure, imp) || strings.HasPrefix(imp, "golang.org/x/sys") {
			found = append(found, s.at(i)+": pure code may not import "+imp)
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, s.at(n)+": pure code starts no goroutine")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok || imports[x.Name] == "" {
				break
			}
			if imports[x.Name] == "math/rand/v2" && !slices.Contains(seeded, n.Sel.Name) {
				found = append(found, s.at(n)+": pure code is given its randomness, rand."+n.Sel.Name+" is global")
			}
			if slices.Contains(clocks, n.Sel.Name) {
				found = append(found, s.at(n)+": pure code is told the time, it does not call "+x.Name+"."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}
