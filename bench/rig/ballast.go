package rig

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// ballastLow and ballastHigh are the bounds that free memory is kept
	// between, in bytes: well above where the kernel begins to reclaim.
	ballastLow, ballastHigh = 256 << 20, 512 << 20
	// ballastStep is how much is taken or let go at once.
	ballastStep = 32 << 20
	// ballastInterval is how often free memory is looked at. Page-cache
	// writes take some megabytes a millisecond.
	ballastInterval = 5 * time.Millisecond
)

// Ballast holds the memory that nobody uses, and lets go of it as others need
// it. On a virtual machine that gives free memory back to its host, the first
// use of a page costs a fault there, which can make writing a file ten times
// dearer, now and then. Memory that comes from the ballast is there already,
// so that all clients find the same conditions.
type Ballast struct {
	memory []byte
	held   int // The first so many bytes of memory are resident.
	stop   chan struct{}
	done   chan struct{}
}

// NewBallast takes the memory that is free now, which may take a minute.
func NewBallast() (*Ballast, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return nil, fmt.Errorf("asking for the size of memory: %w", err)
	}
	total := int(info.Totalram) * int(info.Unit) / ballastStep * ballastStep
	memory, err := unix.Mmap(-1, 0, total, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserving %d bytes of address space: %w", total, err)
	}
	// Huge pages would be faster, but to make one the kernel drops files from
	// the page cache.
	_ = unix.Madvise(memory, unix.MADV_NOHUGEPAGE)
	b := &Ballast{memory: memory, stop: make(chan struct{}), done: make(chan struct{})}
	for b.adjust() {
	}
	go b.run()
	return b, nil
}

// Close lets go of everything.
func (b *Ballast) Close() {
	close(b.stop)
	<-b.done
	_ = unix.Munmap(b.memory)
}

func (b *Ballast) run() {
	defer close(b.done)
	tick := time.NewTicker(ballastInterval)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-tick.C:
			b.adjust()
		}
	}
}

// adjust takes or lets go of one step, and returns whether it took one.
func (b *Ballast) adjust() bool {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return false
	}
	free := int(info.Freeram) * int(info.Unit)
	switch {
	case free > ballastHigh && b.held+ballastStep <= len(b.memory):
		if unix.Madvise(b.memory[b.held:b.held+ballastStep], unix.MADV_POPULATE_WRITE) != nil {
			return false
		}
		b.held += ballastStep
		return true
	case free < ballastLow && b.held > 0:
		b.held -= ballastStep
		_ = unix.Madvise(b.memory[b.held:b.held+ballastStep], unix.MADV_DONTNEED)
	}
	return false
}
