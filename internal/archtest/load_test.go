// Package archtest holds the rules of the house that a machine can check: the
// import law, purity, the size of things and their documentation, links between
// pages, and licenses. It is the only place where the layers are written down
// for the machine; ARCHITECTURE.md tells why.
package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../.." // of the module
	module = "github.com/torrent-operator/torrent-operator"
)

// pkg is what go list says of one package. Imports within the module are
// relative to it, and so is path ("." for the root).
type pkg struct {
	path                               string
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	GoFiles, TestGoFiles, XTestGoFiles []string
}

var list = sync.OnceValues(func() ([]pkg, error) {
	out, err := goList("-json=ImportPath,Imports,TestImports,XTestImports,GoFiles,TestGoFiles,XTestGoFiles", "./...")
	if err != nil {
		return nil, err
	}
	var ps []pkg
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return ps, nil
		} else if err != nil {
			return nil, err
		}
		p.path = relative(p.ImportPath)
		for _, imports := range [][]string{p.Imports, p.TestImports, p.XTestImports} {
			for i, imp := range imports {
				imports[i] = relative(imp)
			}
		}
		ps = append(ps, p)
	}
})

// packages returns all packages of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	ps, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(ps) == 0 {
		t.Fatal("go list found no package, so nothing would be checked")
	}
	return ps
}

// dependencies returns the package and all that it pulls in, tests aside.
func dependencies(t *testing.T, path string) []string {
	t.Helper()
	out, err := goList("-deps", "./"+path+"/...")
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(out)
	for i := range deps {
		deps[i] = relative(deps[i])
	}
	return deps
}

func goList(args ...string) (string, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	return string(out), err
}

func relative(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// source is one parsed Go file of the module.
type source struct {
	path  string // relative to the root
	lines int
	fset  *token.FileSet
	file  *ast.File
}

var parse = sync.OnceValues(func() ([]source, error) {
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains(outputs, d.Name()) || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if ast.IsGenerated(file) {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(rel), fset.File(file.FileStart).LineCount(), fset, file})
		return nil
	})
	return all, err
})

// sources returns the Go files that people write, tests included.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no Go file found, so nothing would be checked")
	}
	return all
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// at says where a node is, for a message.
func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
}
