// Command demo shows the whole way from kubectl apply to verified bytes, on
// one machine, with nothing but what this repository builds: a real API
// server, a tracker, two seeders, the operator, and a TorrentDownload that
// fills a PersistentVolume. "make demo" runs it. All that it starts is gone
// when it ends, however it ends.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/torrent-operator/torrent-operator/test/cluster"
)

func main() {
	binary := flag.String("binary", "bin/torrent-operator", "the torrent-operator binary to show")
	exit := flag.Bool("exit", false, "end after the download instead of waiting for Ctrl-C")
	flag.Parse()
	os.Exit(show(*binary, *exit))
}

// show runs the demo and returns the exit code: 0, 1 if it failed, 130 if it
// was interrupted before its end.
func show(binary string, exit bool) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the demo at once
	err := run(ctx, os.Stdout, binary, exit)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Println("\nStopped before the end; everything that was started is gone.")
		return 130
	}
	fmt.Fprintf(os.Stderr, "\nThe demo failed: %v\nEverything that was started is gone.\n", err)
	return 1
}

// demo is one run, and what it has started so far.
type demo struct {
	out    io.Writer
	start  time.Time
	binary string
	dir    string // all files of this run lie below it

	fail      context.CancelCauseFunc // ends the run with a reason
	cleanup   []func()                // undoes what was done, the last first
	cp        *cluster.ControlPlane
	torrent   string // the .torrent file
	infoHash  string
	magnet    string // the link to it
	trackerAt string // announce URL
	table     *table
}

func run(parent context.Context, out io.Writer, binary string, exit bool) (err error) {
	ctx, fail := context.WithCancelCause(parent)
	d := &demo{out: out, start: time.Now(), fail: fail}
	defer d.close()
	defer func() {
		// What ended the run says more than what was interrupted by it.
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		if err != nil && parent.Err() == nil {
			d.tellLog("operator")
		}
	}()
	if d.binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "torrent-operator-demo-"); err != nil {
		return err
	}
	d.undo(func() { os.RemoveAll(d.dir) })
	for _, step := range []func(context.Context) error{
		d.startControlPlane, d.startDashboard, d.startTracker, d.makeTorrent, d.startSeeders,
		d.startOperator, d.applyObjects, d.awaitDownload, d.compare, d.byLink,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.summary(exit)
	if exit {
		return nil
	}
	<-ctx.Done()
	if parent.Err() == nil {
		return context.Cause(ctx) // something that we started has died
	}
	fmt.Fprintln(out, "\nStopping; everything that was started goes with it.")
	return nil
}

// undo has f called at the end, before all that was handed in earlier.
func (d *demo) undo(f func()) { d.cleanup = append(d.cleanup, f) }

// close undoes everything.
func (d *demo) close() {
	d.fail(nil)
	for i := len(d.cleanup) - 1; i >= 0; i-- {
		d.cleanup[i]()
	}
}

// say tells a step, with the time since the start.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "[%3.0fs] %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

// launch starts a process that is meant to run until the end. If it ends
// before, the demo does too, and says why.
func (d *demo) launch(name string, stdout io.Writer, args ...string) error {
	log := filepath.Join(d.dir, name+".log")
	p, err := cluster.Command{Args: args, Log: log, Stdout: stdout}.Start()
	if err != nil {
		return err
	}
	stopping := make(chan struct{})
	d.undo(func() {
		close(stopping)
		p.Stop(3 * time.Second)
	})
	go func() {
		<-p.Done()
		select {
		case <-stopping:
		default:
			d.fail(fmt.Errorf("the %s ended on its own: %w", name, cmp.Or(p.Err(), errEnded)))
		}
	}()
	return nil
}

// tellLog prints the end of a log before it is removed.
func (d *demo) tellLog(name string) {
	const most = 4000
	log, err := os.ReadFile(filepath.Join(d.dir, name+".log"))
	if err == nil {
		fmt.Fprintf(d.out, "\nThe end of the %s's log:\n%s\n", name, log[max(0, len(log)-most):])
	}
}

// errEnded is the reason of a process that ended with exit code zero.
var errEnded = errors.New("it was meant to run until the end of the demo")

// poll calls ready each second until it returns true, ctx ends or the time is
// over; then the error says what was waited for.
func poll(ctx context.Context, limit time.Duration, what string, ready func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s, and this did not happen within %s", what, limit))
	defer cancel()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		done, err := ready(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
