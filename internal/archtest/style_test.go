package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines     = 600
	maxFunctionLines = 80
)

// folders are all that may stand at the top of the repository.
var folders = []string{
	".ci", ".git", ".github", "api", "bench", "charts", "cmd", "config", "controllers", "docs", "internal", "test",
}

// outputs are folders that builds leave behind; git ignores them.
var outputs = []string{"bin", "dist"}

// vague are package names that say nothing.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "base"}

func TestTopLevelFolders(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(folders, e.Name()) && !slices.Contains(outputs, e.Name()) {
			t.Errorf("%s has no place at the top of the repository", e.Name())
		}
	}
}

func TestPackageNamesSaySomething(t *testing.T) {
	for _, s := range sources(t) {
		for _, name := range []string{path.Base(path.Dir(s.path)), s.file.Name.Name} {
			if slices.Contains(vague, name) {
				t.Errorf("%s: a package named %q says nothing", s.path, name)
			}
		}
	}
}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > maxFileLines {
			t.Errorf("%s has %d lines, the limit is %d", s.path, s.lines, maxFileLines)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if lines > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, the limit is %d", s.at(f), f.Name.Name, lines, maxFunctionLines)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		dir := path.Dir(s.path)
		documented[dir] = documented[dir] || s.file.Doc.Text() != ""
	}
	for dir, yes := range documented {
		if !yes {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, d := range s.file.Decls {
			for _, bare := range undocumented(d) {
				t.Errorf("%s: %s is exported and has no comment, or one that is no sentence", s.at(d), bare)
			}
		}
	}
}

// undocumented returns the exported names that a declaration does not explain.
func undocumented(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && ofExportedType(d) && !isSentence(d.Doc) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		if d.Tok == token.IMPORT {
			break
		}
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && !isSentence(d.Doc) && !isSentence(spec.Doc) {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				if isSentence(d.Doc) || isSentence(spec.Doc) || isSentence(spec.Comment) {
					continue
				}
				for _, n := range spec.Names {
					if n.IsExported() {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

// ofExportedType reports whether f is a plain function, or a method that a
// caller outside of the package can name.
func ofExportedType(f *ast.FuncDecl) bool {
	return f.Recv == nil || ast.IsExported(typeName(f.Recv.List[0].Type))
}

// typeName returns the name of a receiver's type, without * and parameters.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// isSentence reports whether a comment says something and ends like a
// sentence, or with an example. Markers for generators do not count.
func isSentence(c *ast.CommentGroup) bool {
	last := ""
	for line := range strings.Lines(c.Text()) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "+") {
			last = line
		}
	}
	end := strings.TrimSpace(last)
	return end != "" && (strings.HasPrefix(last, "\t") || strings.ContainsRune(".!?:)", rune(end[len(end)-1])))
}
