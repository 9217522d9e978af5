package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace without a name. It ends when nothing
// refers to it any more: not this process, and no process that was started in
// it. To make one takes root.
type Namespace struct {
	file *os.File
}

// NewNamespace makes a namespace that holds nothing but a loopback device,
// which is down.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{}
	err := thereAndBack(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w; run as root, with CAP_SYS_ADMIN", err)
		}
		var err error
		n.file, err = os.Open(ownNamespace)
		return err
	})
	return n, err
}

// NamespaceOf is the network namespace of a process.
func NamespaceOf(pid int) (*Namespace, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	return &Namespace{file: file}, err
}

// Path names the namespace to other programs, as long as this process lives
// and has not closed it.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// Do calls f in the namespace. Sockets that f makes, and processes that it
// starts, belong there; goroutines that it starts do not.
func (n *Namespace) Do(f func() error) error {
	return thereAndBack(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering a network namespace: %w", err)
		}
		return f()
	})
}

// Close gives the namespace up; see [Namespace].
func (n *Namespace) Close() error { return n.file.Close() }

// ownNamespace is that of the thread that opens it.
const ownNamespace = "/proc/thread-self/ns/net"

// thereAndBack calls f, which may change the network namespace of its thread,
// and brings the thread back.
func thereAndBack(f func() error) error {
	runtime.LockOSThread()
	old, err := os.Open(ownNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer old.Close()
	err = f()
	if back := unix.Setns(int(old.Fd()), unix.CLONE_NEWNET); back != nil {
		// A thread that can't go back stays locked, and ends with its goroutine.
		return errors.Join(err, fmt.Errorf("going back to the network namespace of this process: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

// start starts a program in the namespace, or in that of this process if there
// is none.
func (n *Namespace) start(cmd *exec.Cmd) error {
	if n == nil {
		return cmd.Start()
	}
	return n.Do(cmd.Start)
}
