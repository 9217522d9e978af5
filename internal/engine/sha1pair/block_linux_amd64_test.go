package sha1pair

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Were the processor asked wrongly, pairs would be slow and nobody would see
// it. The kernel has asked as well.
func TestFastIsWhatTheKernelFound(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	flags := strings.Fields(string(info))
	if want := slices.Contains(flags, "sha_ni") && slices.Contains(flags, "ssse3"); Fast() != want {
		t.Errorf("Fast is %v, and the kernel's flags say %v", Fast(), want)
	}
}
