package rival

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// The packages, as Debian and Ubuntu call them.
const (
	libtorrentPackage   = "python3-libtorrent"
	aria2Package        = "aria2"
	transmissionPackage = "transmission-daemon"
)

var packages = []string{libtorrentPackage, aria2Package, transmissionPackage}

// versionOf holds for each package a program that tells its version, and so
// that it is there.
var versionOf = map[string][]string{
	libtorrentPackage:   {python, "-c", "import libtorrent; print(libtorrent.version)"},
	aria2Package:        {"aria2c", "--version"},
	transmissionPackage: {"transmission-daemon", "--version"},
}

// installed returns the versions of all packages, by name, and installs those
// that are missing if this process is root.
func installed(ctx context.Context, log io.Writer) (map[string]string, error) {
	versions, missing := look(ctx)
	if len(missing) == 0 {
		return versions, nil
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("some clients to measure against are missing: install them, as root:\n  apt-get install --no-install-recommends %s",
			strings.Join(missing, " "))
	}
	fmt.Fprintln(log, "Installing", strings.Join(missing, ", "))
	if err := install(ctx, missing); err != nil {
		return nil, err
	}
	if versions, missing = look(ctx); len(missing) > 0 {
		return nil, fmt.Errorf("these packages were installed, and still their programs don't run: %s", strings.Join(missing, ", "))
	}
	return versions, nil
}

// look returns the versions of the packages that are there, and those that are
// missing.
func look(ctx context.Context) (versions map[string]string, missing []string) {
	versions = map[string]string{}
	for _, p := range packages {
		argv := versionOf[p]
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			missing = append(missing, p)
			continue
		}
		versions[p] = version(string(out))
	}
	return versions, missing
}

var numbers = regexp.MustCompile(`\d+(\.\d+)+`)

// version returns the first version number in what a program says.
func version(says string) string { return numbers.FindString(says) }

// install installs packages, but lets none of their services start: a daemon in
// the background would be measured too.
func install(ctx context.Context, missing []string) error {
	// Debian's packages ask this program before they start a service. Where
	// there is one, it is the machine's own, and left in charge.
	const policy = "/usr/sbin/policy-rc.d"
	if f, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755); err == nil {
		defer os.Remove(policy)
		fmt.Fprint(f, "#!/bin/sh\nexit 101\n") // 101 is "forbidden".
		if err := f.Close(); err != nil {
			return err
		}
	}
	steps := [][]string{{"update"}, slices.Concat([]string{"install", "--yes", "--no-install-recommends"}, missing)}
	for _, args := range steps {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w; it wrote:\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}
