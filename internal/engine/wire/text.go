package wire

import (
	"strings"
	"unicode"
)

// ellipsis ends a text of which a part is left out.
const ellipsis = "…"

// Text makes a stranger's text fit to be shown: printable, on one line, and no
// longer than so many bytes.
func Text(s string, most int) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, ""))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most-len(ellipsis)], "") + ellipsis
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
}
