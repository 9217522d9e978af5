package disk

import (
	"bytes"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// cgroupLimit is where a container finds its memory limit (cgroup v2,
// memory.max), page cache included.
const cgroupLimit = "/sys/fs/cgroup/memory.max"

// memoryLimit returns how many bytes of memory this process may use at most:
// those of its container, or of the machine.
func memoryLimit() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	limit := int64(info.Totalram) * int64(info.Unit)
	if b, err := os.ReadFile(cgroupLimit); err == nil {
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64); err == nil { // "max" is none.
			limit = min(limit, n)
		}
	}
	return limit
}

// openLimit returns how many files this process may have open.
func openLimit() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1024 // What it is by default on most systems.
	}
	return int(min(limit.Cur, math.MaxInt32))
}
