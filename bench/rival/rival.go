// Package rival holds the clients that the engine is measured against, each
// set as fast as it sensibly goes over loopback, and what installs them. All
// are set to find no peers by themselves: they listen and wait to be dialed.
package rival

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/torrent-operator/torrent-operator/bench/rig"
)

// All returns the rivals, in the order of the tables. What is missing of them
// is installed from the system's packages if this process may do that, and
// built into the folder cache. What takes time is told on log.
func All(ctx context.Context, cache string, log io.Writer) ([]rig.Client, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	versions, err := installed(ctx, log)
	if err != nil {
		return nil, err
	}
	anacrolix, err := buildAnacrolix(ctx, cache, log)
	if err != nil {
		return nil, err
	}
	return []rig.Client{
		libtorrent("tuned", versions[libtorrentPackage]),
		libtorrent("defaults", versions[libtorrentPackage]),
		anacrolix,
		aria2(versions[aria2Package]),
		transmission(versions[transmissionPackage]),
	}, nil
}

// client is a rival.
type client struct {
	name, version, settings string
	leech, seed             func(rig.Job) (rig.Command, error)
}

func (c client) Name() string     { return c.name }
func (c client) Version() string  { return c.version }
func (c client) Settings() string { return c.settings }

func (c client) Leech(j rig.Job) (rig.Command, error) {
	cmd, err := c.leech(j)
	if err != nil {
		return cmd, fmt.Errorf("preparing %s to download: %w", c.name, err)
	}
	return cmd, nil
}

func (c client) Seed(j rig.Job) (rig.Command, error) {
	cmd, err := c.seed(j)
	if err != nil {
		return cmd, fmt.Errorf("preparing %s to seed: %w", c.name, err)
	}
	return cmd, nil
}

// verified matches the line of the drivers written here, and of [hook].
func verified(line string) bool { return line == "verified" }

// hook writes a program that says "verified", for clients that call one when
// they are complete but say nothing, and returns its path.
func hook(j rig.Job) (string, error) {
	name := filepath.Join(j.Scratch, "verified")
	return name, os.WriteFile(name, []byte("#!/bin/sh\necho verified\n"), 0o755)
}
