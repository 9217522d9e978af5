package wire

import (
	"strings"
	"testing"
)

func TestTextsOfStrangersAreMadeFitToBeShown(t *testing.T) {
	const most = 16
	x := func(n int) string { return strings.Repeat("x", n) }
	for in, want := range map[string]string{
		"  plain \n":           "plain",
		"a\x1b[31m\r\nb":       "a?[31m??b",
		"caf\u00e9 \u202e":     "café ?",
		"bad\xffutf \xff":      "badutf",
		"\ufffd":               "?",
		x(most - 1):            x(most - 1),
		x(most):                x(most),
		x(most + 1):            x(most-3) + "…",
		x(most-4) + "µ" + x(9): x(most-4) + "…", // A letter is not cut in two.
		" " + x(most) + " ":    x(most),
	} {
		got := Text(in, most)
		if got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
		if again := Text(got, most); again != got {
			t.Errorf("%q became %q the second time", got, again)
		}
	}
}
