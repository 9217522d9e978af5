package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine describes where this runs, in a few words.
func machine() string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	var (
		system unix.Utsname
		info   unix.Sysinfo_t
	)
	kernel := "?"
	if unix.Uname(&system) == nil {
		kernel, _, _ = strings.Cut(unix.ByteSliceToString(system.Release[:]), "-")
	}
	_ = unix.Sysinfo(&info) // Its zero says that it is not known.
	return fmt.Sprintf("%d × %s, %d GiB, Linux %s, %s", runtime.NumCPU(), model, (info.Totalram*uint64(info.Unit)+1<<29)>>30, kernel, runtime.Version())
}
