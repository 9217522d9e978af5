package termui

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Clean returns s without anything that a terminal would act upon or that
// would change the direction of text: control and formatting characters and
// invalid UTF-8 become "?" each.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			return '?'
		}
		return r
	}, s)
}

// Fit returns s, cleaned, in at most w columns; an ellipsis takes the last
// one if something had to go.
func Fit(style Style, s string, w int) string {
	s = Clean(s)
	if style.ASCII {
		s = strings.Map(func(r rune) rune {
			if r > unicode.MaxASCII {
				return '?'
			}
			return r
		}, s)
	}
	if Columns(s) <= w {
		return s
	}
	if w <= 0 {
		return ""
	}
	end, used := 0, 0
	for i, r := range s {
		if used += columns(r); used > w-1 {
			break
		}
		end = i + len(string(r))
	}
	if style.ASCII {
		return s[:end] + "~"
	}
	return s[:end] + "…"
}

// Columns returns how many columns of a terminal a text without control
// characters takes.
func Columns(s string) int {
	n := 0
	for _, r := range s {
		n += columns(r)
	}
	return n
}

func columns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
