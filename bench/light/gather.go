package light

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gatherSize is how much a pipe refers to at most: as much as everybody may
// ask for (pipe(7)).
const gatherSize = 1 << 20

// gather sends memory over a socket without copying it: it puts references to
// the pages of dozens of blocks and their headers into a pipe, and moves all of
// them into the socket with one call. That costs a third of what a sendfile
// for each block costs, with a send for its header.
//
// The other side reads the very pages, at a time that nobody here knows. So
// what is sent must not change until the process ends.
type gather struct {
	socket *socket
	r, w   int // The pipe. It is empty between calls.
	slots  int // How many pages it can refer to.
	used   int // How many parts refers to.
	parts  []unix.Iovec
	bytes  int // Of all parts.
}

func newGather(s *socket) (*gather, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	g := &gather{socket: s, r: pipe[0], w: pipe[1]}
	size, err := unix.FcntlInt(uintptr(g.w), unix.F_SETPIPE_SZ, gatherSize)
	if err != nil {
		g.close()
		return nil, fmt.Errorf("make a pipe hold %d bytes: %w", gatherSize, err)
	}
	g.slots = size / os.Getpagesize()
	return g, nil
}

func (g *gather) close() {
	unix.Close(g.r)
	unix.Close(g.w)
}

// add sends b, which is neither empty nor larger than the pipe, at the latest
// with the next flush.
func (g *gather) add(b []byte) error {
	page := uintptr(os.Getpagesize())
	at := uintptr(unsafe.Pointer(&b[0]))
	pages := int((at+uintptr(len(b))-1)/page-at/page) + 1
	if g.used+pages > g.slots {
		if err := g.move(unix.SPLICE_F_MORE); err != nil {
			return err
		}
	}
	part := unix.Iovec{Base: &b[0]}
	part.SetLen(len(b))
	g.parts = append(g.parts, part)
	g.used += pages
	g.bytes += len(b)
	return nil
}

// flush sends all that was added.
func (g *gather) flush() error { return g.move(0) }

func (g *gather) move(flags int) error {
	if g.bytes == 0 {
		return nil
	}
	n, err := unix.Vmsplice(g.w, g.parts, 0)
	switch {
	case err != nil:
		return os.NewSyscallError("vmsplice", err)
	case n < g.bytes:
		return fmt.Errorf("only %d of %d bytes of the payload can be read: a file was cut short meanwhile", n, g.bytes)
	}
	for g.bytes > 0 {
		n, err := unix.Splice(g.r, nil, g.socket.fd, nil, g.bytes, flags)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("splice", err)
		}
		g.bytes -= int(n)
	}
	g.parts, g.used = g.parts[:0], 0
	return nil
}
