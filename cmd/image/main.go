// Command image builds the operator's image, without Docker, into an archive
// that containerd, podman, skopeo, kind and Docker load. "make image" runs it. It also
// writes the bill of materials of a program and the licenses of what it consists
// of, for the Dockerfile and for releases.
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
	"github.com/torrent-operator/torrent-operator/internal/version"
)

// platform is one of those that programs are made for: what they consist of is
// the same on all of them.
const platform = "linux/amd64"

func main() {
	output := flag.String("output", "", "the archive to write")
	name := flag.String("name", "ghcr.io/torrent-operator/torrent-operator:latest", "the image's full name, with a tag")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "what it is to run on")
	sbom := flag.String("sbom", "", "make no image: write the bill of materials of this program, in SPDX")
	notices := flag.String("notices", "", "make no image: write the licenses and notices of what this package consists of")
	var of version.Info
	flag.StringVar(&of.Version, "version", "dev", "the version that the program and the image's label tell")
	flag.StringVar(&of.Commit, "commit", "", "the commit from which it is built")
	flag.StringVar(&of.Date, "date", "", "when that was made, such as 2026-01-02T03:04:05Z")
	flag.Parse()
	write := func(ctx context.Context, f *os.File) error {
		return image.WriteOperator(ctx, f, *name, of, strings.Split(*platforms, ",")...)
	}
	switch {
	case *sbom != "":
		write = func(ctx context.Context, f *os.File) error { return writeSBOM(ctx, f, *sbom, of) }
	case *notices != "":
		write = func(ctx context.Context, f *os.File) error { return writeNotices(ctx, f, *notices) }
	}
	if err := run(*output, write); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// run writes a file, which is there only if all of it could be written.
func run(output string, write func(context.Context, *os.File) error) (err error) {
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
	if err := write(ctx, f); err != nil {
		return err
	}
	return f.Close()
}

func writeNotices(ctx context.Context, f *os.File, of string) error {
	licenses, err := image.Licenses(ctx, platform, of)
	if err != nil {
		return err
	}
	_, err = f.Write(image.Notices(licenses))
	return err
}

func writeSBOM(ctx context.Context, f *os.File, program string, of version.Info) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	licenses, err := image.Licenses(ctx, platform, ".")
	if err != nil {
		return err
	}
	bill, err := image.SBOM(content, of, licenses)
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	_, err = f.Write(bill)
	return err
}
