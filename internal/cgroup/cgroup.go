// Package cgroup reads what the kernel lets this process use at most, as a
// container's runtime has set it. The engine's disk and main size themselves by
// it. It knows both versions of cgroups, and falls back to nothing where there
// are none.
package cgroup

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// MemoryLimit returns how many bytes of memory, page cache included, the
// process may use with all others of its container; 0 if nothing bounds it.
func MemoryLimit() int64 { return memoryLimit("/") }

// memoryLimit finds the limit below a root folder.
func memoryLimit(root string) int64 {
	b, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	limit := int64(math.MaxInt64)
	for line := range strings.Lines(string(b)) {
		// "4:memory:/a/b" in version 1, "0::/a/b" in version 2.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch {
		case fields[0] == "0" && fields[1] == "":
			limit = min(limit, least(filepath.Join(root, "sys/fs/cgroup"), fields[2], "memory.max"))
			limit = min(limit, least(filepath.Join(root, "sys/fs/cgroup/unified"), fields[2], "memory.max"))
		case hasMemory(fields[1]):
			limit = min(limit, least(filepath.Join(root, "sys/fs/cgroup/memory"), fields[2], "memory.limit_in_bytes"))
		}
	}
	if limit >= unlimited {
		return 0
	}
	return limit
}

// unlimited is where version 1 begins to mean no limit: it says the largest
// number of pages there could be.
const unlimited = math.MaxInt64 &^ (1<<20 - 1)

func hasMemory(controllers string) bool {
	for c := range strings.SplitSeq(controllers, ",") {
		if c == "memory" {
			return true
		}
	}
	return false
}

// least returns the smallest number that file has in the folder of a group and
// in those above it. In a container what is mounted is often its own group under
// the name of the topmost, while its path is that of the host: folders that are
// not there are passed over.
func least(mount, group, file string) int64 {
	limit := int64(math.MaxInt64)
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		if b, err := os.ReadFile(filepath.Join(mount, group, file)); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil { // "max" is none.
				limit = min(limit, n)
			}
		}
		if group == "/" {
			return limit
		}
	}
}
