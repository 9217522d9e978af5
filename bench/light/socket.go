package light

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a TCP connection in blocking mode. When its context ends, calls
// that wait return at once, with an error or as at the end of the stream.
type socket struct {
	fd   int
	stop func() bool   // Forgets about the context; false if it ended before.
	cut  chan struct{} // Closed when the end of the context was carried out.
}

// takeOver turns a connection of package net into a socket, also in failure.
func takeOver(ctx context.Context, conn net.Conn) (*socket, error) {
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if e := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, fmt.Errorf("take over a socket: %w", err)
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make a socket blocking: %w", err)
	}
	s := &socket{fd: fd, cut: make(chan struct{})}
	s.stop = context.AfterFunc(ctx, func() {
		defer close(s.cut)
		_ = unix.Shutdown(fd, unix.SHUT_RDWR) // If it fails, the connection has ended already.
	})
	return s, nil
}

// unpaced prepares a socket, before it connects or listens on a loopback
// address, for a network where nothing can be congested: a congestion control
// that paces, as BBR does, would spend a timer on every segment. Reno is in
// every kernel.
func unpaced(_, address string, raw syscall.RawConn) error {
	if at, err := netip.ParseAddrPort(address); err != nil || !at.Addr().IsLoopback() {
		return err
	}
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
	}); e != nil {
		return e
	}
	return os.NewSyscallError("setsockopt", err)
}

func (s *socket) close() {
	if !s.stop() {
		<-s.cut // Or it would shut down whoever gets the number next.
	}
	unix.Close(s.fd)
}

// patience bounds how long one read may wait; 0 is for ever.
func (s *socket) patience(d time.Duration) error {
	tv := unix.NsecToTimeval(int64(d))
	return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
}

// call makes one system call on n bytes at p until no signal interrupts it.
func (s *socket) call(trap uintptr, name string, p unsafe.Pointer, n, flags int) (int, error) {
	for {
		r, _, errno := unix.Syscall6(trap, uintptr(s.fd), uintptr(p), uintptr(n), uintptr(flags), 0, 0)
		if errno == 0 {
			return int(r), nil
		}
		if errno != unix.EINTR {
			return 0, os.NewSyscallError(name, errno)
		}
	}
}

// recv fills what it can of p, which is not empty.
func (s *socket) recv(p []byte, flags int) (int, error) {
	n, err := s.call(unix.SYS_RECVFROM, "recv", unsafe.Pointer(&p[0]), len(p), flags)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

// read fills all of p.
func (s *socket) read(p []byte) error {
	for len(p) > 0 {
		n, err := s.recv(p, unix.MSG_WAITALL)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// dropArrived throws away what has arrived, without waiting, in the kernel and
// without a copy: for that Linux takes MSG_TRUNC on TCP sockets (tcp(7)). The
// error is io.EOF when nothing will follow.
func (s *socket) dropArrived() error {
	n, err := s.call(unix.SYS_RECVFROM, "recv", nil, 1<<30, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err == nil && n == 0:
		return io.EOF
	}
	return err
}

// write sends all of p. With more set, it waits for what is sent next.
func (s *socket) write(p []byte, more bool) error {
	flags := unix.MSG_NOSIGNAL
	if more {
		flags |= unix.MSG_MORE
	}
	for len(p) > 0 {
		n, err := s.call(unix.SYS_SENDTO, "send", unsafe.Pointer(&p[0]), len(p), flags)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// scatter fills all of the parts, one after another. It uses parts up.
func (s *socket) scatter(parts [][]byte) error {
	for len(parts) > 0 {
		n, _, _, _, err := unix.RecvmsgBuffers(s.fd, parts, nil, unix.MSG_WAITALL)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("recvmsg", err)
		case n == 0:
			return io.EOF
		}
		for len(parts) > 0 && n >= len(parts[0]) {
			n -= len(parts[0])
			parts = parts[1:]
		}
		if n > 0 {
			parts[0] = parts[0][n:]
		}
	}
	return nil
}
