package selection

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// pattern is one glob, as a person wrote it, made ready for matching.
type pattern struct {
	globs    []string // Without braces: a name that one of them matches is matched.
	anchored bool     // It is matched against whole paths, and not against names.
	folders  bool     // It matches folders only.
}

// compile checks a pattern that may stand for so many globs at most. Its error
// says what is wrong with it.
func compile(s string, most int) (p pattern, err error) {
	switch {
	case s == "":
		return p, fmt.Errorf("a pattern is empty; to select everything leave the list empty")
	case len(s) > maxPattern:
		return p, fmt.Errorf("the pattern %.40q… has %d bytes, and at most %d are allowed", s, len(s), maxPattern)
	}
	glob, folders := strings.CutSuffix(s, "/")
	p.folders, p.anchored = folders, strings.Contains(glob, "/")
	glob = strings.TrimPrefix(glob, "/")
	switch {
	case glob == "" || path.Clean(glob) != glob || glob == "." || glob == ".." || strings.HasPrefix(glob, "../"):
		return p, fmt.Errorf("the pattern %q is no path: remove '//', './' and '..'", s)
	case !doublestar.ValidatePattern(glob):
		return p, fmt.Errorf("the pattern %q is malformed: close '[' and '{', or put a '\\' before them to mean the character", s)
	}
	if p.globs = expand(nil, glob, 0, most); len(p.globs) > most {
		return p, fmt.Errorf("with the pattern %.100q all lists together stand for more than %d patterns, as each alternative in '{}' makes one more: use fewer or wider ones", s, maxAlternatives)
	}
	return p, nil
}

// expand appends the globs without braces that a well-formed one stands for, the
// bytes before from being free of them. It stops as soon as all are more than most.
func expand(all []string, glob string, from, most int) []string {
	open, ends := braces(glob, from)
	if ends == nil {
		return append(all, glob)
	}
	begin, rest := open+1, glob[ends[len(ends)-1]+1:]
	for _, end := range ends {
		if len(all) > most {
			break
		}
		all = expand(all, glob[:open]+glob[begin:end]+rest, open, most)
		begin = end + 1
	}
	return all
}

// braces finds the first group of alternatives from a byte on: where it opens, and
// where each alternative ends, which of the last is where the group does. Without
// a group, ends is nil.
func braces(glob string, from int) (open int, ends []int) {
	depth := 0
	for i := from; i < len(glob); i++ {
		switch glob[i] {
		case '\\':
			i++
		case '[': // All up to its end are characters.
			for i++; i < len(glob) && glob[i] != ']'; i++ {
				if glob[i] == '\\' {
					i++
				}
			}
		case '{':
			if depth++; depth == 1 {
				open = i
			}
		case ',':
			if depth == 1 {
				ends = append(ends, i)
			}
		case '}':
			if depth--; depth == 0 {
				return open, append(ends, i)
			}
		}
	}
	return 0, nil
}

// match says whether the pattern matches a file or a folder itself.
func (p *pattern) match(name string, folder bool) bool {
	if p.folders && !folder {
		return false
	}
	if !p.anchored {
		name = path.Base(name)
	}
	for _, glob := range p.globs {
		if doublestar.MatchUnvalidated(glob, name) { // compile has found it to be well-formed.
			return true
		}
	}
	return false
}

// patterns is a list of patterns, and what it said of folders.
type patterns struct {
	list    []pattern
	folders map[string]bool // Whether one of them matches the folder, or one that it is in.
}

// compileAll makes a list of patterns ready. They may stand for left globs at most,
// and what they do is taken off it.
func compileAll(globs []string, left *int) (*patterns, error) {
	if len(globs) > maxPatterns {
		return nil, fmt.Errorf("there are %d patterns in a list, and at most %d are allowed", len(globs), maxPatterns)
	}
	all := &patterns{folders: map[string]bool{".": false}}
	for _, s := range globs {
		p, err := compile(s, *left)
		if err != nil {
			return nil, err
		}
		*left -= len(p.globs)
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
