package version

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestWhatAProgramWasBuiltFrom(t *testing.T) {
	noted := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v0.3.0"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	bare := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"}}
	for _, c := range []struct {
		what, stamp string
		build       *debug.BuildInfo
		want        Info
	}{
		{"a stamp says it all", "v1.2.3,def,2026-05-06T07:08:09Z", noted, Info{"v1.2.3", "def", "2026-05-06T07:08:09Z", "go1.26.8"}},
		{"what a stamp leaves open, Go has noted", "v1.2.3,,", noted, Info{"v1.2.3", "abc-dirty", "2026-01-02T03:04:05Z", "go1.26.8"}},
		{"without a stamp Go has noted it", "", noted, Info{"v0.3.0", "abc-dirty", "2026-01-02T03:04:05Z", "go1.26.8"}},
		{"nobody has noted anything", "", bare, Info{"dev", unknown, unknown, "go1.26.8"}},
	} {
		if got := read(c.stamp, c.build); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

// What LinkerFlags says, the linker puts into stamp, and read reads back.
func TestAStampIsReadBack(t *testing.T) {
	want := Info{Version: "v1.2.3", Commit: "def", Date: "2026-05-06T07:08:09Z", Go: "go1.26.8"}
	_, value, ok := strings.Cut(want.LinkerFlags(), "internal/version.stamp=")
	if got := read(value, &debug.BuildInfo{GoVersion: want.Go}); !ok || got != want {
		t.Errorf("%+v of %q, want %+v", got, want.LinkerFlags(), want)
	}
}
