package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/torrent-operator/torrent-operator/bench/rig"
	"github.com/torrent-operator/torrent-operator/bench/rival"
)

// options are the flags of the command.
type options struct {
	rounds                int
	document, cache, work string
	only                  []string
}

// bench is what all cases use.
type bench struct {
	options
	self    string // This program, whose hidden commands are the light peers.
	ours    rig.Client
	floor   rig.Client
	rivals  []rig.Client
	machine string
	log     io.Writer
}

// study is a case: who has a turn in each round, and what must hold.
type study struct {
	name  string
	title string
	about string // For the document: what is measured and what is special about it.
	turns func(b *bench) []turn
	bars  []bar
	// sent says that the table is about what was sent, not received.
	sent bool
	// own, if it is set, measures and reports in a way of its own.
	own func(ctx context.Context, b *bench) (text string, missed bool, err error)
}

// turn is one line of a case's table.
type turn struct {
	who  string
	note string // For the document: version and settings of a client.
	take func(ctx context.Context, b *bench) (result, error)
	// least is how many MB/s a client is known to reach where the floor
	// reaches [knownFloor]; 0 if that is not known.
	least float64
}

// result is what one turn has come to.
type result struct {
	bytes   int64
	wall    time.Duration
	durable time.Duration // Until every byte is on stable storage; 0 if nobody tells.
	rig.Usage
}

// rate is in MB/s: millions of bytes a second.
func (r result) rate() float64 { return float64(r.bytes) / 1e6 / r.wall.Seconds() }

// cpu is in CPU seconds a GiB, user and system together.
func (r result) cpu() float64 { return r.CPU().Seconds() / (float64(r.bytes) / (1 << 30)) }

// round holds what everybody has come to in one round.
type round map[string]result

// Who is who in tables.
const (
	ours  = "torrent-operator"
	floor = "floor"
)

// rivals returns the results of all who are neither we nor the floor.
func (r round) rivals() (all []result) {
	for who, x := range r {
		if !strings.HasPrefix(who, ours) && !strings.HasPrefix(who, floor) {
			all = append(all, x)
		}
	}
	return all
}

func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{options: o, log: os.Stderr}
	if b.work == "" {
		b.work = filepath.Join(o.cache, "work")
	}
	// What a run that was cut short has left.
	if err := errors.Join(os.RemoveAll(b.work), os.MkdirAll(b.work, 0o755)); err != nil {
		return nil, err
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	program := filepath.Join(o.cache, "torrent-operator")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "github.com/torrent-operator/torrent-operator")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = b.log
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("building the command: %w", err)
	}
	b.ours, b.floor = command{program: program}, bare{b.self}
	if b.rivals, err = rival.All(ctx, o.cache, b.log); err != nil {
		return nil, err
	}
	b.machine = machine()
	return b, nil
}

// known returns the rival with that name.
func (b *bench) known(name string) rig.Client {
	i := slices.IndexFunc(b.rivals, func(c rig.Client) bool { return c.Name() == name })
	if i < 0 {
		panic("no rival is called " + name)
	}
	return b.rivals[i]
}

// run measures the cases, one after the other.
func run(ctx context.Context, chosen []*study, o options) error {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	missed := false
	for _, s := range chosen {
		text, bad, err := b.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("\n## %s\n\n%s", s.title, text)
		if b.document != "" {
			if err := replaceSection(b.document, s.name, text); err != nil {
				return err
			}
		}
		missed = missed || bad
	}
	if missed {
		return errMissed
	}
	return nil
}

// measure returns the tables of a case and whether a bar was missed.
func (b *bench) measure(ctx context.Context, s *study) (text string, missed bool, err error) {
	if s.own != nil {
		return s.own(ctx, b)
	}
	rep, err := b.study(ctx, s)
	if err != nil {
		return "", false, err
	}
	return rep.markdown(), rep.missed(), nil
}

// voids is how many rounds may be void before a case is given up.
const voids = 4

// study takes the rounds of a case.
func (b *bench) study(ctx context.Context, s *study) (*report, error) {
	if err := rig.DropCaches(); err != nil {
		return nil, err
	}
	ballast, err := rig.NewBallast()
	if err != nil {
		return nil, err
	}
	defer func() { ballast.Close() }()
	rep := &report{study: s, machine: b.machine, at: time.Now()}
	for _, t := range s.turns(b) {
		if len(b.only) == 0 || slices.Contains(b.only, t.who) || slices.Contains(b.only, "ours") && strings.HasPrefix(t.who, ours) {
			rep.turns = append(rep.turns, t)
		}
	}
	if len(rep.turns) > 0 { // The first turn finds caches cold and does not count.
		if _, err := rep.turns[0].take(ctx, b); err != nil {
			return nil, fmt.Errorf("%s: %w", rep.turns[0].who, err)
		}
	}
	for len(rep.rounds) < b.rounds {
		fresh, err := rig.NewBallast() // Before the old one goes, so that no block is free in between.
		if err != nil {
			return nil, err
		}
		ballast.Close()
		ballast = fresh
		r := round{}
		for _, t := range rep.turns {
			x, err := b.take(ctx, s.name, t)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.who, err)
			}
			r[t.who] = x
			fmt.Fprintf(b.log, "%-8s round %d  %-24s %7.0f MB/s  %5.2f CPU s/GiB  %4d MiB\n",
				s.name, len(rep.rounds)+1, t.who, x.rate(), x.cpu(), x.Anonymous>>20)
		}
		if slow := rep.slow(r); slow != "" {
			fmt.Fprintf(b.log, "%-8s void: %s\n", s.name, slow)
			if rep.void++; rep.void > voids {
				return nil, fmt.Errorf("more than %d rounds were void, the last because %s; is something else running on this machine?", voids, slow)
			}
			continue
		}
		rep.rounds = append(rep.rounds, r)
	}
	return rep, nil
}

const (
	// maxStolen is which share of the processors' time the host may keep for
	// itself during a turn that counts.
	maxStolen = 0.05
	// tries is how often a turn is taken at most. The last one counts however
	// it went.
	tries = 6
)

// take takes a turn, again if the host disturbed it.
func (b *bench) take(ctx context.Context, name string, t turn) (x result, err error) {
	for range tries {
		if x, err = t.take(ctx, b); err != nil || x.Stolen <= maxStolen {
			break
		}
		fmt.Fprintf(b.log, "%-8s again: the host of this machine kept %.0f%% of the processors' time while %s had its turn (%.0f MB/s)\n",
			name, 100*x.Stolen, t.who, x.rate())
	}
	return x, err
}

// quiet lets what earlier turns have written come to rest.
func quiet() { syscall.Sync() }
