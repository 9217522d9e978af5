//go:build linux

package disk

import (
	"sync"
	"testing"
)

func TestManyBeginInTheSameNewFolder(t *testing.T) {
	for range 50 {
		dir := t.TempDir()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				fsys, err := openRoot(dir, "a/b/c", true)
				if err != nil {
					t.Error(err)
					return
				}
				fsys.Close()
			})
		}
		all.Wait()
	}
}
