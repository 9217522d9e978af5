package rival

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/torrent-operator/torrent-operator/bench/rig"
)

// buildAnacrolix builds the driver in bench/anacrolix, a module of its own,
// and returns the client that it is.
func buildAnacrolix(ctx context.Context, cache string, log io.Writer) (client, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/torrent-operator/torrent-operator")
	list.Stderr = log
	out, err := list.Output()
	if err != nil {
		return client{}, fmt.Errorf("looking for the source of the driver of anacrolix/torrent: %w; run this in a checkout of torrent-operator", err)
	}
	program := filepath.Join(cache, "anacrolix")
	source := filepath.Join(strings.TrimSpace(string(out)), "bench", "anacrolix")
	build := exec.CommandContext(ctx, "go", "build", "-C", source, "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // What it uses C for is not used here.
	build.Stderr = log
	if err := build.Run(); err != nil {
		return client{}, fmt.Errorf("building the driver of anacrolix/torrent in %s: %w", source, err)
	}
	version, err := anacrolixVersion(program)
	if err != nil {
		return client{}, err
	}
	role := func(role string) func(rig.Job) (rig.Command, error) {
		return func(j rig.Job) (rig.Command, error) {
			return rig.Command{
				Args:     []string{program, role, j.Torrent.File, j.Dir, j.Host, strconv.Itoa(j.Port)},
				Env:      []string{"GOGC=400"},
				Verified: verified,
			}, nil
		}
	}
	return client{
		name:    "anacrolix/torrent",
		version: version,
		settings: "TCP without encryption, no uTP; no limit of unverified bytes, 1,000 connections, " +
			"GOGC=400; mapped files, its default",
		leech: role("leech"),
		seed:  role("seed"),
	}, nil
}

// anacrolixVersion reads the version of the engine that a program was built
// with.
func anacrolixVersion(program string) (string, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", err
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/anacrolix/torrent" {
			return m.Version, nil
		}
	}
	return "", fmt.Errorf("%s was built without github.com/anacrolix/torrent", program)
}
