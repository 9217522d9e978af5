//go:build slow

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// container is a cgroup as a container has one, of either version.
type container struct {
	*testing.T
	v2      bool
	folders map[string]string // By controller; one for all in version 2.
}

// newContainer makes a cgroup with limits, in bytes and hundredths of a core.
func newContainer(t *testing.T, memory, cpu int64) *container {
	t.Helper()
	const root = "/sys/fs/cgroup"
	c := &container{T: t, folders: map[string]string{}}
	b, err := os.ReadFile(root + "/cgroup.controllers")
	c.v2 = err == nil && strings.Contains(string(b), "memory")
	name := "torrent-operator-test-" + strconv.Itoa(os.Getpid()) + "-" + strings.ToLower(t.Name())
	if c.v2 {
		if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+memory +cpu"), 0); err != nil {
			t.Fatalf("this test has to run as root, outside of a container: %v", err)
		}
		c.folders["memory"], c.folders["cpu"] = filepath.Join(root, name), filepath.Join(root, name)
	} else {
		c.folders["memory"], c.folders["cpu"] = filepath.Join(root, "memory", name), filepath.Join(root, "cpu", name)
	}
	for _, dir := range c.folders {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatalf("this test has to run as root, outside of a container: %v", err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		})
	}
	if c.v2 {
		c.set("memory", "memory.max", strconv.FormatInt(memory, 10))
		c.set("memory", "memory.swap.max", "0")
		c.set("cpu", "cpu.max", fmt.Sprintf("%d 100000", cpu*1000))
	} else {
		c.set("memory", "memory.limit_in_bytes", strconv.FormatInt(memory, 10))
		c.set("cpu", "cpu.cfs_quota_us", strconv.FormatInt(cpu*1000, 10))
	}
	return c
}

func (c *container) set(controller, file, value string) {
	c.Helper()
	err := os.WriteFile(filepath.Join(c.folders[controller], file), []byte(value), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // There is no swap to be bounded.
		c.Fatal(err)
	}
}

// run starts torrent-operator in the container.
func (c *container) run(args ...string) *run {
	c.Helper()
	script := `for f in "$MEMORY" "$CPU"; do echo $$ >"$f/cgroup.procs"; done; exec "$0" "$@"`
	c.Setenv("MEMORY", c.folders["memory"])
	c.Setenv("CPU", c.folders["cpu"])
	return launch(c.T, append([]string{"/bin/sh", "-c", script, command}, args...)...)
}

// killed says how often the kernel had to kill something in the container.
func (c *container) killed() string {
	c.Helper()
	file := "memory.oom_control"
	if c.v2 {
		file = "memory.events"
	}
	b, err := os.ReadFile(filepath.Join(c.folders["memory"], file))
	if err != nil {
		c.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strings.TrimSpace(n)
		}
	}
	c.Fatalf("%s does not tell of kills: %s", file, b)
	return ""
}

// A worker in its container downloads as much as it is asked, never runs out of
// memory, page cache included, and never comes to a standstill.
func contained(t *testing.T, memory, cpu, size int64) {
	tor := newTorrent(t, layout{name: "large", pieceLength: 4 << 20, size: size}, random(1, 4<<20))
	l := newLedger(tor)
	l.begin(1)
	var peers []*peer
	for i := range 2 {
		peers = append(peers, (&peer{id: byte(i)}).start(t, l))
	}
	o := newOperator(t)
	p := newPost(t, o, tor, peers...)
	p.order.Request.StallTimeout = stopping * 2
	c := newContainer(t, memory, cpu)
	r := c.run(p.args(t)...)
	peak, _ := watchMemory(r)
	if code := r.wait(t, transfer); code != report.ExitDone || c.killed() != "0" {
		t.Fatalf("exit code %d, %s kills: %s", code, c.killed(), r.stderr())
	}
	if err := tor.compare(p.data); err != nil {
		t.Error(err)
	}
	for _, push := range o.told() {
		if push.Progress.State == download.StateStalled {
			t.Errorf("it came to a standstill at %d of %d bytes: %+v", push.Progress.BytesVerified, tor.Length, push.Progress.Err)
		}
	}
	first, last := o.told()[0].Progress, o.told()[len(o.told())-1].Progress
	t.Logf("%d MiB in %v with a peak of %.1f MiB anonymous", size>>20, last.At.Sub(first.At), float64(*peak)/(1<<20))
}

func TestAWorkerDownloads4GiBIn128MiB(t *testing.T)      { contained(t, 128<<20, 200, 4<<30) }
func TestAWorkerDownloadsWithHalfACore(t *testing.T)     { contained(t, 128<<20, 50, 2<<30) }
func TestAWorkerDownloadsWithATenthOfACore(t *testing.T) { contained(t, 128<<20, 10, 128<<20) }
