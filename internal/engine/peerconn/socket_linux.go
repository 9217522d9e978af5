package peerconn

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// scatter is the socket of a TCP connection. It reads into two places with one
// system call, and it knows when it is dry.
type scatter struct {
	raw   syscall.RawConn
	try   func(fd uintptr) bool // attempt, as a value made once.
	parts [2][]byte
	into  [][]byte // Of parts: those that are to be filled.
	wait  bool
	n     int
	err   error
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
	return plain{conn}
}

func (s *scatter) read(p, q []byte, wait bool) (int, error) {
	s.parts[0], s.parts[1] = p, q
	s.into, s.wait = s.parts[:], wait
	if len(p) == 0 {
		s.into = s.parts[1:]
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
		s.n, s.err = unix.Readv(int(fd), s.into)
		if !errors.Is(s.err, unix.EINTR) {
			return !s.wait || !s.dry()
		}
	}
}

// dry says whether the last attempt found nothing.
func (s *scatter) dry() bool { return errors.Is(s.err, unix.EAGAIN) }
