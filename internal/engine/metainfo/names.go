package metainfo

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ReservedName is the folder, beside the torrents in a download folder, that
// belongs to the engine's own state. No torrent has this name.
const ReservedName = ".torrent-operator"

const (
	maxName  = 255     // Bytes of one component: the limit of common file systems.
	maxPath  = 3 << 10 // Bytes of a whole path; Linux takes 4096 with the mount point.
	maxNames = 1 << 19 // Files and folders of one torrent.
	maxTries = 100_000 // Names tried, in one torrent, in place of names that clash.
)

var errTooMany = fmt.Errorf("there are more than %d files and folders", maxNames)

// Names returns what the folders of a file and the file itself are called in the
// torrent, the torrent's own name first: what the file is called where it comes
// from. These are a stranger's bytes, any of them, and not fit to be opened; that
// is what File.Path is for.
func (i *Info) Names(file int) []string {
	if names, ok := i.named[file]; ok {
		return names
	}
	return strings.Split(i.Files[file].Path, "/")
}

// keepNames remembers what a file is called where its path does not tell.
func (i *Info) keepNames(file int, names []string) {
	if strings.Join(names, "/") == i.Files[file].Path {
		return
	}
	if i.named == nil {
		i.named = map[int][]string{}
	}
	i.named[file] = names
}

// safeName makes one component of a path safe, whatever a stranger put there.
// It returns "" for a component that means nothing or leads elsewhere ("",
// "." and ".."), to be left out. Separators, control characters and what is
// not UTF-8 become "_", characters that turn the direction of text vanish,
// names that Windows reserves get a "_" before them, and overlong names are
// cut before their extension.
func safeName(b []byte) string {
	s := strings.Map(safeRune, strings.ToValidUTF8(string(b), "_"))
	if s == "." || s == ".." {
		return ""
	}
	if reservedByWindows(s) {
		s = "_" + s
	}
	if len(s) > maxName {
		s = insert(s, "")
	}
	return s
}

func safeRune(r rune) rune {
	switch {
	case r == '/', r == '\\', unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return '_'
	case unicode.Is(unicode.Bidi_Control, r):
		return -1
	}
	return r
}

// reservedByWindows says whether Windows, and so some network volumes, takes
// the name for a device. An extension makes no difference to it.
func reservedByWindows(s string) bool {
	stem, _, _ := strings.Cut(s, ".")
	switch stem = strings.ToUpper(strings.TrimRight(stem, " ")); stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if device, ok := strings.CutPrefix(stem, "COM"); ok {
		return oneDigit(device)
	}
	device, ok := strings.CutPrefix(stem, "LPT")
	return ok && oneDigit(device)
}

func oneDigit(s string) bool { return len(s) == 1 && '0' <= s[0] && s[0] <= '9' }

// topName makes the name of a torrent safe. One of which nothing is left is
// replaced by the torrent's hash.
func topName(b []byte, hash Hash) string {
	s := safeName(b)
	switch {
	case s == "":
		return hash.String()
	case fold(s) == ReservedName:
		return "_" + s
	}
	return s
}

// insert puts mark before the extension of name, and cuts what stands before
// it so that the whole is no longer than a component may be.
func insert(name, mark string) string {
	stem, ext := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot > 0 && len(name)-dot <= 32 {
		stem, ext = name[:dot], name[dot:]
	}
	if room := maxName - len(mark) - len(ext); len(stem) > room {
		for room > 0 && !utf8.RuneStart(stem[room]) {
			room--
		}
		stem = stem[:room]
	}
	return stem + mark + ext
}

// fold makes names equal that a volume without regard to case takes for equal.
func fold(s string) string { return strings.ToLower(s) }

// namer keeps the files of one torrent apart: each gets a place that no other
// file and no folder has, also on a volume that disregards case. As other
// clients do, the later of two that clash gets a number before its extension.
type namer struct {
	top   string
	taken map[place]int // To the number of the folder there, or to isFile.
	tries int
}

// place is a folded name within a folder, which is given by its number.
type place struct {
	folder int
	name   string
}

const isFile = -1 // The top has the number 0, other folders have those from 1.

func newNamer(top string) *namer { return &namer{top: top, taken: map[place]int{}} }

// place returns the path for a file. Of parts, which were made safe and are
// used up, the empty ones are left out.
func (n *namer) place(parts []string) (string, error) {
	kept := parts[:0]
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	if len(kept) == 0 {
		kept = append(kept, "_")
	}
	folder, last, length := 0, len(kept)-1, len(n.top)
	for k, part := range kept {
		name, in, err := n.enter(folder, part, k == last)
		if err != nil {
			return "", err
		}
		if length += 1 + len(name); length > maxPath {
			return "", fmt.Errorf("is longer than %d bytes, with the torrent's name", maxPath)
		}
		kept[k], folder = name, in
	}
	return n.top + "/" + strings.Join(kept, "/"), nil
}

// enter takes the place called name in a folder, or one called alike if there
// is no way around, and returns what it is called and the folder's number.
func (n *namer) enter(folder int, name string, file bool) (string, int, error) {
	called := name
	for k := 1; ; k++ {
		at := place{folder, fold(called)}
		there, used := n.taken[at]
		switch {
		case !used && len(n.taken) >= maxNames:
			return "", 0, errTooMany
		case !used && file:
			n.taken[at] = isFile
			return called, isFile, nil
		case !used:
			n.taken[at] = len(n.taken) + 1
			return called, n.taken[at], nil
		case !file && there != isFile:
			return called, there, nil
		}
		if n.tries++; n.tries > maxTries {
			return "", 0, fmt.Errorf("%.100q: too many names differ from others in nothing or in case only", name)
		}
		called = insert(name, "."+strconv.Itoa(k))
	}
}
