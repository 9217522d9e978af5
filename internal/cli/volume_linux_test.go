package cli

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// smallVolume returns a folder with a file system of its own, of so many bytes.
// Only root can make one; without that right the test that needs it is skipped.
func smallVolume(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if err != nil && os.Geteuid() == 0 {
		t.Skipf("root here may not mount a tmpfs: %v", err)
	}
	if err != nil {
		t.Skipf("only root can mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
