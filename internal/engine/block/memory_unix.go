//go:build unix && !race

package block

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// reserve maps n bytes that cost memory only once they are touched. They are
// unmapped when nobody can reach the pool any more, which who holds a buffer
// can: it has to be given back. The heap serves if the system has no mappings
// left, and under the race detector, which sees only what lies there.
func (p *Pool) reserve(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return make([]byte, n)
	}
	runtime.AddCleanup(p, func(b []byte) { _ = unix.Munmap(b) }, b)
	return b
}
