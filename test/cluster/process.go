package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// A Command says how to start a [Process].
type Command struct {
	// Args are the program and its arguments. The process goes by the base
	// name of the program in errors.
	Args []string
	// Env is added to the environment of the caller.
	Env []string
	// Log is the file to which all goes that the process prints.
	Log string
	// Stdout, if set, gets the standard output instead of the log.
	Stdout io.Writer
	// Namespace, if set, is the network namespace to start it in.
	Namespace *Namespace
	// Unshare are more namespaces that it gets for itself: CLONE_NEW... flags
	// of clone(2).
	Unshare uintptr
	// Stdin, if set, is its standard input.
	Stdin io.Reader
}

// A Process is a child that does not outlive its parent: when the parent dies,
// kill -9 included, the kernel ends the child too. It leads a process group of
// its own, so that a Ctrl-C in the terminal reaches the parent alone, which
// then stops its children in the right order.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; read it after done
}

// Start starts the process and does not wait for anything that it does.
func (c Command) Start() (*Process, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Args[0], c.Args[1:]...) //nolint:noctx // it ends by Stop, which takes its group along
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	cmd.WaitDelay = time.Second // for a grandchild that keeps Stdout open
	cmd.Stdin = c.Stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: c.Unshare}
	p := &Process{name: filepath.Base(c.Args[0]), log: c.Log, cmd: cmd, done: make(chan struct{})}

	started := make(chan error, 1)
	go func() {
		// The kernel's notion of a parent is the thread that forked, so that
		// thread must last as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		defer log.Close()
		err := c.Namespace.start(cmd)
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	return p, nil
}

// PID is the id of the process, and of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says that the process has ended, how, and what it said last. It is nil
// while the process runs, and after an end with exit code zero.
func (p *Process) Err() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	if p.err == nil {
		return nil
	}
	said, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s ended: %w; the end of its log %s:\n%s", p.name, p.err, p.log, tail(said, 2000))
}

// Stop ends the process and all of its group, and returns when it is gone. It
// asks politely first and kills after grace; a grace of zero kills at once.
func (p *Process) Stop(grace time.Duration) {
	if grace > 0 {
		p.signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(grace):
		}
	}
	p.signal(syscall.SIGKILL)
	<-p.done
}

// signal reaches the whole group. An error means that nobody is left in it.
func (p *Process) signal(s syscall.Signal) {
	_ = syscall.Kill(-p.PID(), s)
}

// await calls ready each interval until it returns nil. It gives up when ctx
// ends or when one of the processes does, and says what was missing last.
func await(ctx context.Context, interval time.Duration, ready func(context.Context) error, needed ...*Process) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		missing := ready(ctx)
		if missing == nil {
			return nil
		}
		for _, p := range needed {
			select {
			case <-p.Done():
				return errors.Join(fmt.Errorf("%s is gone", p.name), p.Err())
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), missing)
		case <-ticker.C:
		}
	}
}
