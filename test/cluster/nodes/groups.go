package nodes

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/torrent-operator/torrent-operator/test/cluster/machine"
)

// groupRoot is where control groups are found.
const groupRoot = "/sys/fs/cgroup"

// groups are the control groups of one node.
type groups struct {
	dirs   []string // version 1: one of each hierarchy; version 2: one
	v2     bool
	mounts []machine.Mount // with which the node sees them
}

// makeGroups makes control groups of this name, as children of this process'
// own ones. With version 2 they are children of the root, because a group
// that holds processes can hand on no controllers.
func makeGroups(name string) (groups, error) {
	var at unix.Statfs_t
	if err := unix.Statfs(groupRoot, &at); err != nil {
		return groups{}, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return groups{}, err
	}
	g := groups{v2: at.Type == unix.CGROUP2_SUPER_MAGIC}
	if g.v2 {
		err = g.makeV2(name)
	} else {
		err = g.makeV1(name, string(own))
	}
	if err != nil {
		g.remove()
		return groups{}, fmt.Errorf("making control groups: %w", err)
	}
	return g, nil
}

func (g *groups) makeV2(name string) error {
	if err := machine.HandOnControllers(groupRoot); err != nil {
		return err
	}
	g.dirs = []string{filepath.Join(groupRoot, name)}
	g.mounts = []machine.Mount{{Type: "cgroup2", Source: "cgroup2", Target: groupRoot}}
	return os.Mkdir(g.dirs[0], 0o755)
}

// makeV1 takes what /proc/self/cgroup says: a line for each hierarchy, with a
// number, its controllers and our place in it, between colons.
func (g *groups) makeV1(name, own string) error {
	g.mounts = []machine.Mount{{Type: "tmpfs", Source: "cgroup", Target: groupRoot, Data: "mode=755"}}
	for line := range strings.Lines(own) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || parts[1] == "" {
			continue // version 2, which has no controllers here
		}
		folder, named := strings.CutPrefix(parts[1], "name=")
		options := parts[1]
		if named {
			options = "none," + options
		}
		parent := filepath.Join(groupRoot, folder, parts[2])
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		g.dirs = append(g.dirs, dir)
		g.mounts = append(g.mounts, machine.Mount{Type: "cgroup", Source: "cgroup", Target: filepath.Join(groupRoot, folder), Data: options})
		if folder != "cpuset" {
			continue
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // a group without them can hold no process
			value, err := os.ReadFile(filepath.Join(parent, file))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, file), bytes.TrimSpace(value), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove removes the groups and all below them. Their processes have been
// killed; the kernel may take a moment to let go of them.
func (g *groups) remove() {
	deadline := time.Now().Add(10 * time.Second)
	for _, dir := range g.dirs {
		for !removeTree(dir) && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// removeTree removes a control group with those below it, and reports whether
// it is gone.
func removeTree(group string) bool {
	entries, err := os.ReadDir(group)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	for _, e := range entries {
		if e.IsDir() {
			removeTree(filepath.Join(group, e.Name()))
		}
	}
	return unix.Rmdir(group) == nil
}

// sweep removes the files and control groups of clusters whose process was
// killed. All have names that begin with prefix and the id of the process.
func sweep() error {
	left := regexp.MustCompile(`^` + prefix + `(\d+)-`)
	abandoned := func(name string) bool {
		m := left.FindStringSubmatch(name)
		if m == nil {
			return false
		}
		pid, err := strconv.Atoi(m[1])
		return err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
	}
	folders, err := filepath.Glob(filepath.Join(root, prefix+"*"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if abandoned(filepath.Base(folder)) {
			os.RemoveAll(folder)
		}
	}
	return filepath.WalkDir(groupRoot, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && abandoned(entry.Name()) {
			removeTree(path)
			return fs.SkipDir
		}
		return nil // groups come and go meanwhile
	})
}
