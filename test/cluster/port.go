package cluster

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A reservedPort is a free TCP port of 127.0.0.1 that stays ours: a socket is
// bound to it but never listens. A server of the same user can listen on it
// with SO_REUSEPORT, and nobody else can take it in between. That matters
// because the packages of one go test run start their control planes at the
// same time.
type reservedPort struct {
	number int
	fd     int
}

func reservePort() (reservedPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return reservedPort{}, fmt.Errorf("reserving a port: %w", err)
	}
	p := reservedPort{fd: fd}
	if err := p.bind(); err != nil {
		p.release()
		return reservedPort{}, fmt.Errorf("reserving a port of 127.0.0.1: %w", err)
	}
	return p, nil
}

func (p *reservedPort) bind() error {
	if err := unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(p.fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	name, err := unix.Getsockname(p.fd)
	if err != nil {
		return err
	}
	p.number = name.(*unix.SockaddrInet4).Port
	return nil
}

// address is host:port.
func (p reservedPort) address() string { return fmt.Sprintf("127.0.0.1:%d", p.number) }

func (p reservedPort) release() { _ = unix.Close(p.fd) }
