package rig

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	pageSize = 4 << 10
	// hugePages is how many pages there are in a block of 2 MiB, the least
	// that a virtual machine gives back to its host.
	hugePages = 512
	// ballastSpare is how much free memory is left alone while the ballast is
	// taken, in bytes: well above where the kernel begins to reclaim.
	ballastSpare = 512 << 20
	// ballastStep is how much is taken at once.
	ballastStep = 64 << 20
)

// Ballast keeps free memory resident. A virtual machine may give free memory
// back to its host in blocks of 2 MiB; the first use of each page then costs a
// fault there, and writing a file can take ten times as long, now and then. Once all
// free memory has been touched, and one page of each block is held, no block
// is free as a whole: all clients find memory that is there. What becomes free
// later in whole blocks, because a client ends or the kernel reclaims what
// nobody read for long, is not held: a ballast is to be taken anew for each
// round.
type Ballast struct{ memory []byte }

// DropCaches has the kernel forget what it holds of files that nobody uses, so
// that a ballast can be taken of that memory too. It needs root.
func DropCaches() error {
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("1"), 0); err != nil {
		return fmt.Errorf("having the kernel drop what it holds of files: %w", err)
	}
	return nil
}

// NewBallast touches all free memory, which may take a minute, and keeps a
// five-hundredth of it. It needs root, to be told where pages lie.
func NewBallast() (*Ballast, error) {
	free, err := freeMemory()
	if err != nil {
		return nil, fmt.Errorf("asking for the size of memory: %w", err)
	}
	memory, err := unix.Mmap(-1, 0, max(ballastStep, free/ballastStep*ballastStep), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserving %d bytes of address space: %w", free, err)
	}
	b := &Ballast{memory}
	if err := b.take(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close lets go of everything.
func (b *Ballast) Close() { _ = unix.Munmap(b.memory) }

func (b *Ballast) take() error {
	if err := unix.Madvise(b.memory, unix.MADV_NOHUGEPAGE); err != nil { // Pages are to be freed one by one.
		return err
	}
	taken := 0
	for ; taken < len(b.memory); taken += ballastStep {
		if free, err := freeMemory(); err != nil || free < ballastSpare {
			break
		}
		if err := unix.Madvise(b.memory[taken:taken+ballastStep], unix.MADV_POPULATE_WRITE); err != nil {
			return fmt.Errorf("taking memory: %w", err)
		}
	}
	frames, err := b.frames(taken / pageSize)
	if err != nil {
		return err
	}
	return b.release(frames)
}

// release gives back all pages but one of each block.
func (b *Ballast) release(frames []uint64) error {
	held := map[uint64]bool{} // By block.
	for first := 0; first < len(frames); {
		if block := frames[first] / hugePages; !held[block] {
			held[block] = true
			first++
			continue
		}
		end := first + 1
		for end < len(frames) && held[frames[end]/hugePages] {
			end++
		}
		if err := unix.Madvise(b.memory[first*pageSize:end*pageSize], unix.MADV_DONTNEED); err != nil {
			return fmt.Errorf("giving memory back: %w", err)
		}
		first = end
	}
	return nil
}

// frames returns the number of the physical page behind each of the first n
// pages (Documentation/admin-guide/mm/pagemap.rst of Linux).
func (b *Ballast) frames(n int) ([]uint64, error) {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw := make([]byte, 8*n)
	at := int64(uintptr(unsafe.Pointer(unsafe.SliceData(b.memory)))) / pageSize * 8
	if _, err := f.ReadAt(raw, at); err != nil {
		return nil, err
	}
	frames := make([]uint64, n)
	for i := range frames {
		frames[i] = binary.LittleEndian.Uint64(raw[8*i:]) & (1<<55 - 1)
	}
	if slices.Max(frames) == 0 {
		return nil, errors.New("the system doesn't tell where pages of memory lie, which takes root")
	}
	return frames, nil
}

// freeMemory returns how many bytes nobody uses, not even the page cache.
func freeMemory() (int, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, err
	}
	return int(info.Freeram) * int(info.Unit), nil
}
