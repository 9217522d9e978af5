package nodes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// packages are, as Debian and Ubuntu call them, what building and running
// nodes takes besides Go.
var packages = []string{"gcc", "libc6-dev", "libseccomp-dev", "pkg-config", "nftables", "iproute2", "mount", "util-linux", "e2fsprogs"}

// programs must each succeed if the packages are there.
var programs = [][]string{
	{"cc", "--version"},
	{"pkg-config", "--exists", "libseccomp"},
	{"nft", "--version"},
	{"ip", "-Version"},
	{"mount", "--version"},
	{"nsenter", "--version"},
	{"mkfs.ext4", "-V"},
}

// installTimeout bounds the installation.
const installTimeout = 10 * time.Minute

// needed makes sure that what is needed is there, and installs it where that
// can be done.
func needed(ctx context.Context) error {
	if os.Getuid() != 0 {
		return errors.New("nodes take root, for namespaces and mounts: run this as root")
	}
	missing := missingProgram(ctx)
	if missing == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%w: install what Debian has in the packages %s", missing, strings.Join(packages, " "))
	}
	fmt.Fprintln(os.Stderr, "Installing what nodes need:", strings.Join(packages, " "))
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, packages...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w, and installing what is missing failed: apt-get %s: %w\n%s", missing, args[0], err, out[max(0, len(out)-2000):])
		}
	}
	return missingProgram(ctx)
}

func missingProgram(ctx context.Context) error {
	for _, p := range programs {
		if out, err := exec.CommandContext(ctx, p[0], p[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s does not run: %w %s", strings.Join(p, " "), err, out)
		}
	}
	return nil
}
