// Package cli is the commands that need no Kubernetes: download, create,
// inspect and tracker. They read flags, call the engine, and show what it
// says; every failure is one line on standard error and an exit code that
// --help documents. Files named _linux.go are about the engine and the tracker,
// which run on Linux alone; the rest is the kubectl plugin's too, wherever that
// runs.
package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// FileCommands returns those commands that are about .torrent files and magnet
// links alone.
func FileCommands() []*cobra.Command { return []*cobra.Command{newCreate(), newInspect()} }

// Main runs the command line of this process and returns its exit code. The
// first SIGINT or SIGTERM ends the context that commands run in; the second
// ends the process at once.
func Main(root *cobra.Command) int {
	log.SetOutput(discreet{log.Writer()})
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		cancel(errStopped)
		<-signals
		os.Exit(int(exitStopped))
	}()
	return Run(ctx, root)
}

// discreet keeps what servers send out of the standard logger: net/http has no
// other, and writes there the bytes that come unasked on a connection that
// rests. They mean nothing, and may repeat what was asked, passkeys included.
type discreet struct{ to io.Writer }

// Write implements [io.Writer]. It gets a whole line each time.
func (d discreet) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("Unsolicited response received on idle HTTP channel")) {
		return len(line), nil
	}
	return d.to.Write(line)
}

// Run runs the command line that root was given until it is done or ctx ends,
// says in one line on root's error output what went wrong, and returns the
// exit code.
func Run(ctx context.Context, root *cobra.Command) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(UsageError)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if isUsage(err.Error()) {
		err = UsageError(cmd, err)
	}
	fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.DisplayName(), oneLine(err.Error()))
	return int(codeOf(err))
}

// isUsage says whether cobra found the command line to be wrong. It has no type
// for that.
func isUsage(message string) bool {
	for _, begin := range []string{"unknown command", "if any flags in the group", "at least one of the flags in the group"} {
		if strings.HasPrefix(message, begin) {
			return true
		}
	}
	return false
}

// oneLine joins the lines of a message. It may quote strangers, such as a
// tracker or a torrent, who get nothing to say to the terminal.
func oneLine(s string) string { return termui.Clean(strings.Join(strings.Fields(s), " ")) }

// exactly wants n arguments, called as in names.
func exactly(n int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return UsageError(cmd, fmt.Errorf("it takes %s, but got %d", names, len(args)))
		}
		return nil
	}
}
