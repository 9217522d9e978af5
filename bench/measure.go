package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/torrent-operator/torrent-operator/bench/link"
	"github.com/torrent-operator/torrent-operator/bench/rig"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

const (
	// turnLimit bounds one turn: a client that takes longer has failed.
	turnLimit = 10 * time.Minute
	// durableLimit is how long is waited for a client to tell that every
	// byte is on stable storage.
	durableLimit = 2 * time.Minute
	// host is where clients listen.
	host = "127.0.0.1"
)

// source is where a client under test gets its bytes from.
type source struct {
	payload rig.Payload
	seeders int          // Light seeders, each a process of its own.
	crowd   []string     // Arguments of the crowd of other peers, if there is one.
	path    *link.Config // Lies between the client and the seeders; nil is loopback.
}

// leech lets a client download from light peers.
func (b *bench) leech(ctx context.Context, c rig.Client, from source) (result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, turnLimit, fmt.Errorf("it took more than %v", turnLimit))
	defer cancel()
	job, clean, err := b.prepare(ctx, from.payload, from.seeders)
	if err != nil {
		return result{}, err
	}
	defer clean()
	t := job.Torrent
	here, there := loopback, loopback
	if from.path != nil {
		l, err := link.New(ctx, *from.path)
		if err != nil {
			return result{}, err
		}
		defer l.Close() // Whether it worked shows in what has arrived.
		job.Host = l.A.Addr.String()
		here, there = across(&l.A), across(&l.B)
	}
	p, lines, err := start(ctx, c.Name(), c.Leech, job, here)
	if err != nil {
		return result{}, err
	}
	defer p.Stop()
	var (
		crew   rig.Crew
		firsts []*rig.Line
	)
	defer func() { crew.Stop() }()
	for i := range from.seeders {
		args := []string{b.self, "seeder", t.File, "--payload", t.Dir, "--dial", address(job)}
		if from.path == nil {
			args = append(args, "--from", fmt.Sprintf("127.0.0.%d", 2+i))
		}
		if t.Repeat > 0 {
			args = append(args, "--repeat", strconv.FormatInt(t.Repeat, 10))
		}
		seeder, first, err := rig.Start(ctx, "the light seeder", rig.Command{Args: there(args)}, says("first "))
		if err != nil {
			return result{}, err
		}
		crew, firsts = append(crew, seeder), append(firsts, first...)
	}
	if from.crowd != nil {
		args := append([]string{b.self, "crowd", t.File, "--payload", t.Dir, "--dial", address(job)}, from.crowd...)
		crowd, _, err := rig.Start(ctx, "the crowd", rig.Command{Args: args})
		if err != nil {
			return result{}, err
		}
		crew = append(crew, crowd)
	}
	verified, err := lines.verified.Await(ctx)
	if err != nil {
		return result{}, err
	}
	began, err := earliest(ctx, firsts)
	if err != nil {
		return result{}, err
	}
	r := result{bytes: t.Length, wall: verified.At.Sub(began), Usage: verified.Usage}
	if lines.durable != nil {
		ctx, cancel := context.WithTimeout(ctx, durableLimit)
		defer cancel()
		durable, err := lines.durable.Await(ctx)
		if err != nil {
			return result{}, err
		}
		r.durable = durable.At.Sub(began)
	}
	p.Stop()
	return r, t.Check(job.Dir)
}

// seed lets a client serve light leechers.
func (b *bench) seed(ctx context.Context, c rig.Client, payload rig.Payload, leechers int) (result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, turnLimit, fmt.Errorf("it took more than %v", turnLimit))
	defer cancel()
	job, clean, err := b.prepare(ctx, payload, leechers)
	if err != nil {
		return result{}, err
	}
	defer clean()
	t := job.Torrent
	if err := alias(t.Dir, job.Dir); err != nil {
		return result{}, err
	}
	p, lines, err := start(ctx, c.Name(), c.Seed, job, loopback)
	if err != nil {
		return result{}, err
	}
	defer p.Stop()
	if _, err := lines.verified.Await(ctx); err != nil {
		return result{}, err
	}
	before := p.Usage()
	args := []string{b.self, "leecher", t.File, "--dial", address(job), "--connections", strconv.Itoa(leechers)}
	leecher, marks, err := rig.Start(ctx, "the light leecher", rig.Command{Args: args}, says("first "), says("done "))
	if err != nil {
		return result{}, err
	}
	defer leecher.Stop()
	began, err := earliest(ctx, marks[:1])
	if err != nil {
		return result{}, err
	}
	done, err := marks[1].Await(ctx)
	if err != nil {
		return result{}, err
	}
	r := result{bytes: t.Length * int64(leechers), wall: done.At.Sub(began), Usage: p.Usage()}
	r.User -= before.User
	r.System -= before.System
	return r, nil
}

// place makes arguments run somewhere.
type place func(args []string) []string

// loopback is where everybody is who needs no path.
func loopback(args []string) []string { return args }

// across is an end of a path.
func across(end *link.End) place {
	return func(args []string) []string { return end.Command(context.Background(), args...).Args }
}

// progress is what a client tells while it works.
type progress struct{ verified, durable *rig.Line }

func start(ctx context.Context, name string, how func(rig.Job) (rig.Command, error), job rig.Job, where place) (*rig.Process, progress, error) {
	c, err := how(job)
	if err != nil {
		return nil, progress{}, err
	}
	c.Args = where(c.Args)
	expect := []func(string) bool{c.Verified}
	if c.Durable != nil {
		expect = append(expect, c.Durable)
	}
	p, lines, err := rig.Start(ctx, name, c, expect...)
	if err != nil {
		return nil, progress{}, err
	}
	var told progress
	told.verified = lines[0]
	if c.Durable != nil {
		told.durable = lines[1]
	}
	return p, told, nil
}

// prepare is job for a payload, which it makes if it has to, and reads, so that
// it lies in the page cache.
func (b *bench) prepare(ctx context.Context, payload rig.Payload, peers int) (job rig.Job, clean func(), err error) {
	t, err := payload.Make(ctx, b.cache)
	if err != nil {
		return job, nil, err
	}
	if err := warm(t.Dir); err != nil {
		return job, nil, err
	}
	return b.job(ctx, t, peers)
}

// job prepares fresh folders and a free port.
func (b *bench) job(ctx context.Context, t *rig.Torrent, peers int) (job rig.Job, clean func(), err error) {
	dir, err := os.MkdirTemp(b.work, "turn-")
	if err != nil {
		return job, nil, err
	}
	clean = func() { _ = empty(dir) } // What is left goes with b.work.
	job = rig.Job{Torrent: t, Dir: filepath.Join(dir, "data"), Scratch: filepath.Join(dir, "scratch"), Host: host, Peers: peers}
	for _, d := range []string{job.Dir, job.Scratch} {
		if err := os.Mkdir(d, 0o755); err != nil {
			clean()
			return job, nil, err
		}
	}
	if job.Port, err = freeport.Find(ctx); err != nil {
		clean()
		return job, nil, err
	}
	quiet()
	return job, clean, nil
}

// empty frees the space of all files of a folder, but leaves the files: ext4
// looks at each inode that was deleted in the last minutes before it gives out
// another one, so whoever makes many files would pay for those of the turn before.
// Files that have other names too only lose this one.
func empty(dir string) error {
	return walk(dir, func(name string) error {
		info, err := os.Lstat(name)
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Nlink > 1 || !info.Mode().IsRegular() {
			return os.Remove(name)
		}
		return os.Truncate(name, 0)
	})
}

func address(j rig.Job) string { return net.JoinHostPort(j.Host, strconv.Itoa(j.Port)) }

// earliest waits for the lines "first <unix nanoseconds>" and returns the
// first of these times.
func earliest(ctx context.Context, lines []*rig.Line) (time.Time, error) {
	var first time.Time
	for _, l := range lines {
		mark, err := l.Await(ctx)
		if err != nil {
			return first, err
		}
		n, err := strconv.ParseInt(strings.TrimPrefix(mark.Line, "first "), 10, 64)
		if err != nil {
			return first, fmt.Errorf("a light peer wrote %q: %w", mark.Line, err)
		}
		if at := time.Unix(0, n); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, nil
}

// warm reads all files of a folder.
func warm(dir string) error {
	return walk(dir, func(name string) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(io.Discard, f)
		return err
	})
}

// alias makes dir a copy of from whose files are the same ones.
func alias(from, dir string) error {
	return walk(from, func(name string) error {
		to := filepath.Join(dir, strings.TrimPrefix(name, from))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.Link(name, to)
	})
}

// walk calls do with each file of a folder.
func walk(dir string, do func(name string) error) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return do(name)
	})
}
