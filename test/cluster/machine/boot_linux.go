package machine

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Enter moves this process, which must be the first one of its PID namespace,
// into control groups, given by their folders, makes them the roots of a
// cgroup namespace, and starts itself again there with the arguments given. It
// returns only if that fails.
func Enter(groups []string, args ...string) error {
	for _, group := range groups {
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("joining a control group: %w", err)
		}
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	// The arguments survive, and so do the standard streams.
	return unix.Exec("/proc/self/exe", append([]string{os.Args[0]}, args...), os.Environ())
}

// Boot reads a Config from r to its end, prepares the node, and then keeps its
// services running. It returns only if that fails; then the node is to end.
func Boot(r io.Reader) error {
	var c Config
	if err := json.NewDecoder(r).Decode(&c); err != nil {
		return fmt.Errorf("reading what to do: %w", err)
	}
	if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	// Nothing that is mounted here may show up elsewhere.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making all mounts private: %w", err)
	}
	for _, m := range c.Mounts {
		if err := m.mount(); err != nil {
			return err
		}
	}
	// Containers see mounts that the kubelet makes later.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing mounts with containers: %w", err)
	}
	if c.Cgroup2 {
		if err := emptyRootGroup(); err != nil {
			return fmt.Errorf("preparing control groups: %w", err)
		}
	}
	return keepRunning(c.Services)
}

func (m Mount) mount() error {
	if err := os.MkdirAll(m.Target, 0o755); err != nil {
		return err
	}
	if m.Image {
		// It makes a loop device that ends with the mount.
		if out, err := exec.Command("mount", "-o", "loop", m.Source, m.Target).CombinedOutput(); err != nil { //nolint:noctx // nobody could cancel it
			return fmt.Errorf("mounting %s: %w: %s", m.Source, err, out)
		}
		return nil
	}
	if err := unix.Mount(m.Source, m.Target, m.Type, m.Flags, m.Data); err != nil {
		return fmt.Errorf("mounting %s %s at %s: %w", m.Type, m.Source, m.Target, err)
	}
	return nil
}

// emptyRootGroup moves this process out of the node's root group of version 2,
// which may not hold processes and hand on controllers at once.
func emptyRootGroup() error {
	const root = "/sys/fs/cgroup"
	own := filepath.Join(root, "system")
	if err := os.Mkdir(own, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	if err := os.WriteFile(filepath.Join(own, "cgroup.procs"), []byte("0"), 0); err != nil {
		return err
	}
	return HandOnControllers(root)
}

// HandOnControllers gives the children of a control group of version 2 all
// controllers that it has itself.
func HandOnControllers(group string) error {
	has, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(has)) {
		if err := os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
			return fmt.Errorf("handing on the controller %s of %s: %w", controller, group, err)
		}
	}
	return nil
}
