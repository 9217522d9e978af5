//go:build interop

package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// packages are the clients, as Debian and Ubuntu call them.
var packages = []string{"transmission-daemon", "transmission-cli", "aria2", "opentracker", "python3-libtorrent", "nginx-light", "nodejs", "npm"}

// programs must each succeed if the clients are there.
var programs = [][]string{
	{"transmission-daemon", "--version"},
	{"transmission-create", "--version"},
	{"transmission-show", "--version"},
	{"aria2c", "--version"},
	{"which", "opentracker"},
	{"nginx", "-v"},
	{python, "-c", "import libtorrent"},
	{"node", "--version"},
	{"npm", "--version"},
}

// installTimeout bounds the installation of the clients.
const installTimeout = 10 * time.Minute

// needClients makes sure that all clients are installed: where this process is
// root it installs them, elsewhere it says how to.
func needClients(t *testing.T) {
	t.Helper()
	if err := installed(); err != nil {
		t.Fatal(err)
	}
}

var installed = sync.OnceValue(func() error {
	missing := missingProgram()
	if missing == nil {
		return nil
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("%w: install the clients to test with, as root:\n  apt-get install --no-install-recommends %s",
			missing, strings.Join(packages, " "))
	}
	fmt.Println("Installing the clients to test with:", strings.Join(packages, " "))
	if err := install(); err != nil {
		return fmt.Errorf("%w, and installing what is missing failed: %w", missing, err)
	}
	return missingProgram()
})

func missingProgram() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, p := range programs {
		if out, err := exec.CommandContext(ctx, p[0], p[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s does not run: %w %s", strings.Join(p, " "), err, out)
		}
	}
	return nil
}

// install installs the packages without starting their services.
func install() error {
	// Debian's packages ask this program before they start a service; 101
	// means no.
	const policy = "/usr/sbin/policy-rc.d"
	f, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	switch {
	case err == nil:
		defer os.Remove(policy)
		fmt.Fprintln(f, "#!/bin/sh\nexit 101")
		f.Close()
	case !os.IsExist(err): // One that exists is the machine's own policy.
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, packages...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out[max(0, len(out)-2000):])
		}
	}
	return nil
}
