package peerconn

import (
	"errors"
	"io"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// scatter is the socket of a TCP connection. It reads into many places with
// one system call, and it knows when it is dry.
type scatter struct {
	raw  syscall.RawConn
	try  func(fd uintptr) bool // attempt, as a value made once.
	into []unix.Iovec
	wait bool
	n    int
	err  error
}

// newSocket returns the best socket that there is for a connection.
func newSocket(conn net.Conn) socket {
	if tcp, ok := conn.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			s := &scatter{raw: raw}
			s.try = s.attempt
			return s
		}
	}
	return newPlain(conn)
}

func (s *scatter) read(parts [][]byte, wait bool) (int, error) {
	s.into, s.wait = s.into[:0], wait
	for _, p := range parts {
		if len(p) > 0 {
			s.into = append(s.into, unix.Iovec{Base: &p[0], Len: uint64(len(p))})
		}
	}
	err := s.raw.Read(s.try)
	switch {
	case err != nil:
		return 0, err
	case s.dry():
		return 0, errDry
	case s.err != nil:
		return 0, s.err
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// attempt reads once. It returns false if the socket is dry and is to be
// waited for.
func (s *scatter) attempt(fd uintptr) bool {
	for {
		// unix.Readv would make a list anew each time.
		n, _, e := unix.Syscall(unix.SYS_READV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(s.into))), uintptr(len(s.into)))
		switch e {
		case 0:
			s.n, s.err = int(n), nil
		case unix.EINTR:
			continue
		default:
			s.n, s.err = 0, e
		}
		return !s.wait || !s.dry()
	}
}

// dry says whether the last attempt found nothing.
func (s *scatter) dry() bool { return errors.Is(s.err, unix.EAGAIN) }
