package disk

import (
	"math"

	"golang.org/x/sys/unix"

	"github.com/torrent-operator/torrent-operator/internal/cgroup"
)

// memoryLimit returns how many bytes of memory this process may use at most:
// those of its container, or of the machine.
func memoryLimit() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	limit := int64(info.Totalram) * int64(info.Unit)
	if n := cgroup.MemoryLimit(); n > 0 {
		limit = min(limit, n)
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
