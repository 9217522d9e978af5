// Command scale holds the operator to what it may cost where there are many
// downloads: the real binary works for a real API server with thousands of
// TorrentDownloads, of which some run, in workers that report as real ones do.
// "make scale" runs it. It prints a table, and fails if a bar is missed.
//
// There is no node: what a node would do for a Job is done here, by the code of
// a worker around a download that is made up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// limit bounds a whole run.
const limit = 8 * time.Minute

// settings say how much there is to do.
type settings struct {
	binary  string
	objects int           // TorrentDownloads in all,
	active  int           // of which so many run at any time.
	claims  int           // Downloads that share a claim.
	window  time.Duration // How long is measured.
	// shortest and longest are how long a download that is made up takes.
	shortest, longest time.Duration
}

func main() {
	s := settings{shortest: time.Minute, longest: 3 * time.Minute}
	flag.StringVar(&s.binary, "binary", "bin/torrent-operator", "the torrent-operator binary to measure")
	flag.IntVar(&s.objects, "objects", 10_000, "how many TorrentDownloads there are")
	flag.IntVar(&s.active, "active", 200, "how many of them run at any time")
	flag.IntVar(&s.claims, "claim-users", 50, "how many downloads share a claim")
	flag.DurationVar(&s.window, "window", 2*time.Minute, "how long is measured")
	write := flag.String("write", "", "Markdown file whose figures are replaced by those of this run")
	flag.Parse()
	log.SetLogger(logr.Discard())
	if err := run(s, *write); err != nil {
		fmt.Fprintf(os.Stderr, "scale: %v\n", err)
		os.Exit(1)
	}
}

// run measures until somebody ends it, or for as long as it may take.
func run(s settings, write string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit))
	defer cancel()
	met, err := measure(ctx, s, write)
	switch {
	case err != nil:
		return errors.Join(err, context.Cause(ctx))
	case !met:
		return errors.New("a bar was missed")
	}
	return nil
}

// measure does everything, prints what it came to, and says whether all bars
// are met.
func measure(ctx context.Context, s settings, write string) (bool, error) {
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("[%3.0fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	w, err := newWorld(ctx, s)
	if err != nil {
		return false, err
	}
	defer w.close()
	say("A control plane runs. %d objects are made.", s.objects)
	if err := w.populate(ctx); err != nil {
		return false, err
	}
	say("They are there. The operator starts, and %d downloads begin.", s.active)
	r, err := w.run(ctx, say)
	if err != nil {
		return false, err
	}
	text := r.table()
	fmt.Println("\n" + text)
	for _, what := range r.late {
		fmt.Println("Not seen:", what)
	}
	if write != "" {
		err = replace(write, text)
	}
	return r.met(), err
}
