package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/bench/rig"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
)

// Two torrents are moved at once, within a limit at which both together take
// ten seconds.
var limitedPayloads = []rig.Payload{
	{Name: "limited-a", PieceLength: 1 << 20, Sizes: []int64{320 << 20}},
	{Name: "limited-b", PieceLength: 1 << 20, Sizes: []int64{320 << 20}},
}

// limitedRate is what both torrents may move together, in bytes a second.
const limitedRate = 64 << 20

// limiting is a turn in which an engine has a limit, by a flag of the command
// below.
func limiting(who, flag string, rate int, sends bool) turn {
	return turn{who: ours + ", " + who, take: func(ctx context.Context, b *bench) (result, error) {
		return b.limited(ctx, []string{flag, strconv.Itoa(rate)}, sends)
	}}
}

// onTheLimit judges how far a turn is from its limit.
func onTheLimit(who string) bar {
	return bar{
		text: fmt.Sprintf("rate of “%s” in parts of its limit, 0.95 to 1.05", who),
		value: func(r round) (float64, bool) {
			x := r[ours+", "+who]
			return float64(x.bytes) / x.wall.Seconds() / limitedRate, x.bytes > 0
		},
		met: func(v float64) bool { return 0.95 <= v && v <= 1.05 },
	}
}

// limited lets an engine download or send both torrents.
func (b *bench) limited(ctx context.Context, flags []string, sends bool) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, turnLimit)
	defer cancel()
	var torrents []*rig.Torrent
	for _, p := range limitedPayloads {
		t, err := p.Make(ctx, b.cache)
		if err != nil {
			return result{}, err
		}
		torrents = append(torrents, t)
	}
	job, clean, err := b.job(ctx, nil, len(torrents))
	if err != nil {
		return result{}, err
	}
	defer clean()
	args := append([]string{b.self, "engine", "--output", job.Dir, "--port", strconv.Itoa(job.Port)}, flags...)
	r := result{}
	for _, t := range torrents {
		args = append(args, t.File)
		r.bytes += t.Length
		if sends {
			if err := alias(t.Dir, job.Dir); err != nil {
				return result{}, err
			}
		}
	}
	p, lines, err := rig.Start(ctx, "the engine", rig.Command{Args: args}, says("verified"))
	if err != nil {
		return result{}, err
	}
	defer p.Stop()
	if sends {
		if _, err := lines[0].Await(ctx); err != nil {
			return result{}, err
		}
	}
	var (
		crew          rig.Crew
		firsts, dones []*rig.Line
	)
	defer func() { crew.Stop() }()
	for _, t := range torrents {
		args := []string{b.self, "seeder", t.File, "--payload", t.Dir, "--dial", address(job)}
		if sends {
			args = []string{b.self, "leecher", t.File, "--dial", address(job)}
		}
		peer, marks, err := rig.Start(ctx, "a light peer", rig.Command{Args: args}, says("first "), says("done "))
		if err != nil {
			return result{}, err
		}
		crew = append(crew, peer)
		firsts, dones = append(firsts, marks[0]), append(dones, marks[1])
	}
	if !sends {
		dones = lines
	}
	began, err := earliest(ctx, firsts)
	if err != nil {
		return result{}, err
	}
	for _, l := range dones {
		done, err := l.Await(ctx)
		if err != nil {
			return result{}, err
		}
		r.wall = max(r.wall, done.At.Sub(began))
	}
	r.Usage = p.Usage()
	return r, nil
}

// engineCommand runs the engine as the operator does, with several torrents and
// limits of its own, and seeds what it has.
func engineCommand() *cobra.Command {
	var (
		cfg    engine.Config
		limits download.Limits
		dir    string
	)
	cmd := &cobra.Command{
		Use: "engine TORRENT...", Short: "Download torrents and seed them", Hidden: true, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.PortLast, cfg.Listen = cfg.PortFirst, []netip.Addr{netip.MustParseAddr(host)}
			cfg.ProgressInterval = 50 * time.Millisecond
			e, err := engine.New(cfg)
			if err != nil {
				return err
			}
			defer e.Close(context.Background())
			var all []*engine.Torrent
			for _, name := range args {
				t, err := addTorrent(e, name, dir, limits)
				if err != nil {
					return err
				}
				all = append(all, t)
			}
			for _, t := range all {
				if err := awaitVerified(cmd.Context(), t); err != nil {
					return err
				}
			}
			fmt.Fprintln(cmd.OutOrStdout(), "verified")
			<-cmd.Context().Done()
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "output", "", "folder that receives the files")
	flags.IntVar(&cfg.PortFirst, "port", 0, "port to listen on")
	flags.Int64Var(&cfg.DownloadBytesPerSecond, "engine-down", 0, "bytes a second to download, all together")
	flags.Int64Var(&cfg.UploadBytesPerSecond, "engine-up", 0, "bytes a second to upload, all together")
	flags.Int64Var(&limits.DownloadBytesPerSecond, "torrent-down", 0, "bytes a second to download, each")
	flags.Int64Var(&limits.UploadBytesPerSecond, "torrent-up", 0, "bytes a second to upload, each")
	return cmd
}

func addTorrent(e *engine.Engine, name, dir string, limits download.Limits) (*engine.Torrent, error) {
	m, err := rig.ReadTorrent(name)
	if err != nil {
		return nil, err
	}
	s := engine.Spec{Metainfo: m, Dir: dir, Owner: "bench", Limits: limits}
	s.Seeding.Policy = download.SeedForever
	return e.Add(s)
}

func awaitVerified(ctx context.Context, t *engine.Torrent) error {
	for {
		if p := t.Progress(); p.BytesTotal > 0 && p.BytesVerified == p.BytesTotal {
			return nil
		}
		select {
		case <-t.Changed():
		case <-t.Done():
			if err := t.Progress().Err; err != nil {
				return err
			}
			return errors.New("a torrent ended before it was complete")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
