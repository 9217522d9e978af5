package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/torrent-operator/torrent-operator/bench/rig"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
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
		b, err := os.ReadFile(torrent)
		if err != nil {
			return err
		}
		m, err := metainfo.Parse(b)
		if err != nil {
			return err
		}
		if err := hashAll(m.Info, dir); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "verified")
		return nil
	})
	cmd.Flags().StringVar(&dir, "payload", "", "folder that holds the payload, of one file")
	return cmd
}

// hashAll checks a torrent of one file.
func hashAll(info *metainfo.Info, dir string) error {
	f, err := os.Open(filepath.Join(dir, info.Files[0].Path))
	if err != nil {
		return err
	}
	defer f.Close()
	var (
		next  atomic.Int64
		group errgroup.Group
	)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			v := info.NewVerifier()
			buf := make([]byte, 256<<10)
			for piece := int(next.Add(1) - 1); piece < info.PieceCount(); piece = int(next.Add(1) - 1) {
				v.Reset(piece)
				at, rest := int64(piece)*info.PieceLength, info.PieceSize(piece)
				for rest > 0 {
					n, err := f.ReadAt(buf[:min(rest, int64(len(buf)))], at)
					if err != nil {
						return err
					}
					v.Write(buf[:n])
					at, rest = at+int64(n), rest-int64(n)
				}
				if !v.OK() {
					return fmt.Errorf("piece %d is wrong", piece)
				}
			}
			return nil
		})
	}
	return group.Wait()
}
