package download

import "testing"

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true}, {"a", "a/b", true}, {"a/b/c", "a", true}, {"", "a", true}, {"", "", true},
		{"a", "b", false}, {"a", "ab", false}, {"a/b", "a/c", false}, {"a/b", "a/bc/d", false},
	} {
		if Overlap(c.a, c.b) != c.want || Overlap(c.b, c.a) != c.want {
			t.Errorf("%q and %q: overlap is not %v", c.a, c.b, c.want)
		}
	}
}
