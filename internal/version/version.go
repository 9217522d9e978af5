// Package version says what this program was built from. Whoever builds a
// release gives it a stamp; without one it is what Go has noted down itself.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// stamp is version, commit and date, separated by commas. The linker sets it:
// see [Info.LinkerFlags].
var stamp string

// unknown is said of what nobody has noted down.
const unknown = "unknown"

// Info says what a program was built from.
type Info struct {
	Version string // such as v0.1.0, or "dev"
	Commit  string // of the source, in hex; "-dirty" follows if it was changed
	Date    string // of the commit, not of the build, which is to be repeatable; RFC 3339
	Go      string // version of the compiler; not part of a stamp
}

// Read is about this program.
func Read() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return read(stamp, build)
}

func read(stamp string, build *debug.BuildInfo) Info {
	fields := append(strings.SplitN(stamp, ",", 3), "", "")
	noted := map[string]string{}
	for _, s := range build.Settings {
		noted[s.Key] = s.Value
	}
	commit := noted["vcs.revision"]
	if commit != "" && noted["vcs.modified"] == "true" {
		commit += "-dirty"
	}
	module := build.Main.Version
	if module == "(devel)" {
		module = ""
	}
	return Info{
		Version: cmp.Or(fields[0], module, "dev"),
		Commit:  cmp.Or(fields[1], commit, unknown),
		Date:    cmp.Or(fields[2], noted["vcs.time"], unknown),
		Go:      cmp.Or(build.GoVersion, runtime.Version()),
	}
}

// String is a line for each thing that is known.
func (i Info) String() string {
	return fmt.Sprintf("version  %s\ncommit   %s\ndate     %s\ngo       %s\n", i.Version, i.Commit, i.Date, i.Go)
}

// LinkerFlags are what "go build -ldflags" takes for a program that says i.
func (i Info) LinkerFlags() string {
	return fmt.Sprintf("-s -w -X github.com/torrent-operator/torrent-operator/internal/version.stamp=%s,%s,%s", i.Version, i.Commit, i.Date)
}
