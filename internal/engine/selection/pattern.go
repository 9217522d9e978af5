package selection

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// pattern is one glob, as a person wrote it, made ready for matching.
type pattern struct {
	glob     string
	anchored bool // It is matched against whole paths, and not against names.
	folders  bool // It matches folders only.
}

// compile checks a pattern. Its error says what is wrong with it.
func compile(s string) (pattern, error) {
	p := pattern{glob: s}
	switch {
	case s == "":
		return p, fmt.Errorf("a pattern is empty; to select everything leave the list empty")
	case len(s) > maxPattern:
		return p, fmt.Errorf("the pattern %.40q… has %d bytes, and at most %d are allowed", s, len(s), maxPattern)
	}
	p.glob, p.folders = strings.CutSuffix(p.glob, "/")
	p.anchored = strings.Contains(p.glob, "/")
	p.glob = strings.TrimPrefix(p.glob, "/")
	switch {
	case p.glob == "" || path.Clean(p.glob) != p.glob || p.glob == "." || p.glob == ".." || strings.HasPrefix(p.glob, "../"):
		return p, fmt.Errorf("the pattern %q is no path: remove '//', './' and '..'", s)
	case !doublestar.ValidatePattern(p.glob):
		return p, fmt.Errorf("the pattern %q is malformed: close '[' and '{', or put a '\\' before them to mean the character", s)
	case combinations(p.glob) > maxCombinations:
		return p, fmt.Errorf("the pattern %q has too many combinations of alternatives in '{}', at most %d are allowed: make it several patterns", s, maxCombinations)
	}
	return p, nil
}

// combinations returns what the alternatives in braces multiply to, or more:
// the time that a match takes grows with it.
func combinations(glob string) int {
	n := 1
	var open []int // Alternatives of the groups that are open.
	for i := 0; i < len(glob) && n <= maxCombinations; i++ {
		switch glob[i] {
		case '\\':
			i++
		case '{':
			open = append(open, 1)
		case ',':
			if k := len(open) - 1; k >= 0 {
				open[k]++
			}
		case '}':
			if k := len(open) - 1; k >= 0 {
				n *= open[k]
				open = open[:k]
			}
		}
	}
	return n
}

// match says whether the pattern matches a file or a folder itself.
func (p *pattern) match(name string, folder bool) bool {
	if p.folders && !folder {
		return false
	}
	if !p.anchored {
		name = path.Base(name)
	}
	ok, err := doublestar.Match(p.glob, name)
	return err == nil && ok // compile has found it to be well-formed.
}

// patterns is a list of patterns, and what it said of folders.
type patterns struct {
	list    []pattern
	folders map[string]bool // Whether one of them matches the folder, or one that it is in.
}

func compileAll(globs []string) (*patterns, error) {
	if len(globs) > maxPatterns {
		return nil, fmt.Errorf("there are %d patterns in a list, and at most %d are allowed", len(globs), maxPatterns)
	}
	all := &patterns{folders: map[string]bool{".": false}}
	for _, s := range globs {
		p, err := compile(s)
		if err != nil {
			return nil, err
		}
		all.list = append(all.list, p)
	}
	return all, nil
}

// match says whether a pattern matches the file or a folder that it is in.
func (ps *patterns) match(file string) bool {
	return len(ps.list) > 0 && (ps.matchFolder(path.Dir(file)) || ps.any(file, false))
}

func (ps *patterns) matchFolder(name string) bool {
	ok, known := ps.folders[name]
	if !known {
		ok = ps.matchFolder(path.Dir(name)) || ps.any(name, true)
		ps.folders[name] = ok
	}
	return ok
}

func (ps *patterns) any(name string, folder bool) bool {
	for i := range ps.list {
		if ps.list[i].match(name, folder) {
			return true
		}
	}
	return false
}
