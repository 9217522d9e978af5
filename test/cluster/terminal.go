package cluster

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OpenTerminal returns the two ends of a pseudo-terminal: what a process writes
// to slave, which it takes for a terminal, is read from master. Both are the
// caller's to close.
func OpenTerminal(columns, rows uint16) (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = ResizeTerminal(master, columns, rows)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// ResizeTerminal makes the window of a pseudo-terminal another size.
func ResizeTerminal(master *os.File, columns, rows uint16) error {
	return unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows})
}
