package archtest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	// link is a link in Markdown: [text](target), or a definition, [text]: target.
	link = regexp.MustCompile(`(?m)\]\(([^()\s]+)\)|^ *\[[^\]]+\]: +(\S+)`)
	// heading is one, with its text.
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *#*$`)
	// Nothing is a heading in a fence, nor a link there or in code.
	fence  = regexp.MustCompile("(?ms)^ *```.*?\n *```$")
	code   = regexp.MustCompile("`[^`\n]+`")
	scheme = regexp.MustCompile(`^[a-z]+:`)
)

// pages returns the Markdown files of the repository, by their path from its top.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != root && (strings.HasPrefix(name, ".") && name != ".github" || slices.Contains(outputs, name) || name == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		out[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// targets returns where a page's links lead, but for those to other sites.
func targets(text string) (out []string) {
	for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(fence.ReplaceAllString(text, ""), ""), -1) {
		if to := m[1] + m[2]; !scheme.MatchString(to) {
			out = append(out, to)
		}
	}
	return out
}

// anchors returns the names that GitHub gives to a page's headings: in lower
// case, without punctuation, with hyphens for spaces.
func anchors(text string) (out []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		out = append(out, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	}
	return out
}

// leads says what is wrong with a link from one page to a target, "" if
// nothing is.
func leads(all map[string]string, from, to string) string {
	file, anchor, named := strings.Cut(to, "#")
	page := from
	if file != "" {
		page = path.Join(path.Dir(from), file)
	}
	if strings.HasPrefix(page, "../") || path.IsAbs(file) {
		return "leads out of the repository"
	}
	if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(page))); err != nil && all[page] == "" {
		return "leads to nothing"
	}
	if named && !slices.Contains(anchors(all[page]), anchor) {
		return "names no heading of " + page
	}
	return ""
}

func TestLinksBetweenPagesLeadSomewhere(t *testing.T) {
	all, seen := pages(t), 0
	for from, text := range all {
		for _, to := range targets(text) {
			seen++
			if wrong := leads(all, from, to); wrong != "" {
				t.Errorf("%s: the link to %s %s", from, to, wrong)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d links were found in %d pages", seen, len(all))
	}
}

// docs/README.md is the way to all pages beside it.
func TestEveryPageOfTheDocumentationIsInItsIndex(t *testing.T) {
	all := pages(t)
	index := targets(all["docs/README.md"])
	for page := range all {
		if name, ok := strings.CutPrefix(page, "docs/"); ok && name != "README.md" && !slices.Contains(index, name) {
			t.Errorf("docs/README.md does not lead to %s", page)
		}
	}
}

func TestBrokenLinksAreFound(t *testing.T) {
	all := map[string]string{
		"docs/a.md": "# A page\n\n## What's *new*, `now`?\n\n```sh\n# no heading\n```\n",
		"docs/b.md": "# Another",
	}
	for text, want := range map[string]string{
		"[x](a.md)":                        "",
		"[x](a.md#a-page)":                 "",
		"[x](a.md#whats-new-now)":          "",
		"[x\ny](a.md#no-heading)":          "names no heading of docs/a.md",
		"[x](#a-page)":                     "names no heading of docs/b.md",
		"[x](missing.md)":                  "leads to nothing",
		"[x]: missing.md":                  "leads to nothing",
		"[x](../ARCHITECTURE.md)":          "",
		"[x](../../etc/passwd)":            "leads out of the repository",
		"[x](/docs/a.md)":                  "leads out of the repository",
		"[x](https://example.org/none.md)": "none",
		"`[x](missing.md)`":                "none",
		"```\n[x](missing.md)\n```":        "none",
	} {
		got := "none"
		for _, to := range targets(text) {
			got = leads(all, "docs/b.md", to)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
