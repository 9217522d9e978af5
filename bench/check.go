package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/bench/rig"
)

// check measures how long a client takes to hash data that is all there: from
// its start until it says that every piece is right.
func (b *bench) check(ctx context.Context, c rig.Client, payload rig.Payload) (result, error) {
	job, clean, err := b.prepare(ctx, payload, 0)
	if err != nil {
		return result{}, err
	}
	defer clean()
	t := job.Torrent
	if err := alias(t.Dir, job.Dir); err != nil {
		return result{}, err
	}
	began := time.Now()
	p, lines, err := start(ctx, c.Name(), c.Leech, job, loopback)
	if err != nil {
		return result{}, err
	}
	defer p.Stop()
	verified, err := lines.verified.Await(ctx)
	if err != nil {
		return result{}, err
	}
	return result{bytes: t.Length, wall: verified.At.Sub(began), Usage: verified.Usage}, nil
}

// hasher is the floor of a check: all cores read and hash.
type hasher struct{ bare }

func (hasher) Settings() string { return "pread and SHA-1, on all cores" }

func (c hasher) Leech(j rig.Job) (rig.Command, error) {
	return rig.Command{Args: []string{c.self, "hash", j.Torrent.File, "--payload", j.Dir}, Verified: says("verified")}, nil
}

func hashCommand() *cobra.Command {
	var dir string
	cmd := lightCommand("hash", "Hash a payload on all cores", func(cmd *cobra.Command, torrent string) error {
		m, err := rig.ReadTorrent(torrent)
		if err != nil {
			return err
		}
		if err := rig.Check(m.Info, dir); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "verified")
		return nil
	})
	cmd.Flags().StringVar(&dir, "payload", "", "folder that holds the payload")
	return cmd
}
