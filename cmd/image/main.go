// Command image builds the operator's image, without Docker, into an archive
// that containerd, podman, skopeo, kind and Docker load. "make image" runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/torrent-operator/torrent-operator/internal/image"
)

func main() {
	output := flag.String("output", "", "the archive to write")
	name := flag.String("name", "ghcr.io/torrent-operator/torrent-operator:latest", "the image's full name, with a tag")
	version := flag.String("version", "dev", "the version that the image's label tells")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "what it is to run on")
	flag.Parse()
	if err := run(*output, *name, *version, strings.Split(*platforms, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(output, name, version string, platforms []string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	f, err := os.Create(output)
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(output)
		}
	}()
	if err := image.WriteOperator(ctx, f, name, version, platforms...); err != nil {
		return err
	}
	return f.Close()
}
