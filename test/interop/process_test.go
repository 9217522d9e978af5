package interop

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a program that a test started. It ends with the test, and if the
// test failed, the end of its log is told.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    string        // Path of the file that receives standard output and error.
	exited chan struct{} // Closed when it has ended.
	err    error         // Of exec.Cmd.Wait; to be read once exited is closed.
}

// grace is how long a program may take to end when told to.
const grace = 20 * time.Second

// program is a program to be started.
func program(argv ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), argv[0], argv[1:]...)
}

// start runs a program in a process group of its own. The kernel ends it if
// this process dies first.
func start(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{name: name, cmd: cmd, log: log.Name(), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.exited
		if t.Failed() {
			t.Logf("The end of the log of %s (%s):\n%s", name, strings.Join(cmd.Args, " "), p.tail(3000))
		}
	})
	return p
}

// signal reaches the whole group, as long as its leader was not waited for:
// only until then is the number certain to be its own.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.exited:
	default:
		syscall.Kill(-p.cmd.Process.Pid, s) //nolint:errcheck // It may have ended just now.
	}
}

// stop asks the program to end and returns how it did.
func (p *process) stop() error {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		return p.err
	case <-time.After(grace):
		p.signal(syscall.SIGKILL)
		<-p.exited
		return fmt.Errorf("%s did not end within %s", p.name, grace)
	}
}

// wait returns when the program has ended by itself, with nil if it says that
// all went well.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.exited:
		if p.err != nil {
			return fmt.Errorf("%s: %w", p.name, p.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s is not done: %w", p.name, context.Cause(ctx))
	}
}

// tail returns the last n bytes of the log.
func (p *process) tail(n int) []byte {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(b[max(0, len(b)-n):])
}

// await asks again and again until ok reports true. An error of ok's ends it
// at once, and so does the end of one of the processes that are needed.
func await(ctx context.Context, what string, ok func() (bool, error), needed ...*process) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		done, err := ok()
		if done || err != nil {
			return err
		}
		for _, p := range needed {
			select {
			case <-p.exited:
				return fmt.Errorf("waiting for %s: %s has ended: %s", what, p.name, p.cmd.ProcessState)
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
