// Command anacrolix downloads or seeds one torrent with
// github.com/anacrolix/torrent, set to be fast over loopback. It lives in a
// module of its own, so that the product never depends on that engine.
//
//	anacrolix leech|seed TORRENT DIR HOST PORT
//
// It connects to nobody and listens on HOST:PORT. It prints "verified" when all
// of the payload is in DIR and checked, and runs until SIGINT or SIGTERM.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/anacrolix/torrent"
	"github.com/anacrolix/torrent/metainfo"
	"github.com/anacrolix/torrent/storage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "anacrolix:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 5 || args[0] != "leech" && args[0] != "seed" {
		return errors.New("usage: anacrolix leech|seed TORRENT DIR HOST PORT")
	}
	port, err := strconv.Atoi(args[4])
	if err != nil {
		return fmt.Errorf("the port: %w", err)
	}
	info, err := metainfo.LoadFromFile(args[1])
	if err != nil {
		return fmt.Errorf("reading the torrent %s: %w", args[1], err)
	}
	files := storage.NewFileOpts(storage.NewFileClientOpts{
		ClientBaseDir:   args[2],
		PieceCompletion: storage.NewMapPieceCompletion(),
	})
	defer files.Close()
	client, err := torrent.NewClient(config(args[3], port, files))
	if err != nil {
		return fmt.Errorf("starting a client on %s:%d: %w", args[3], port, err)
	}
	defer client.Close()
	t, err := client.AddTorrent(info)
	if err != nil {
		return fmt.Errorf("adding the torrent %s: %w", args[1], err)
	}
	if args[0] == "leech" {
		t.DownloadAll()
	} else if err := t.VerifyDataContext(ctx); err != nil {
		return fmt.Errorf("checking what is in %s: %w", args[2], err)
	}
	select {
	case <-t.Complete().On():
		fmt.Println("verified")
	case <-ctx.Done():
		return nil
	}
	<-ctx.Done()
	return nil
}

func config(host string, port int, files storage.ClientImpl) *torrent.ClientConfig {
	c := torrent.NewDefaultClientConfig()
	c.ListenHost = func(string) string { return host }
	c.ListenPort = port
	c.DefaultStorage = files
	c.Seed = true
	c.Slogger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c.NoDHT, c.DisableTrackers, c.DisablePEX, c.NoDefaultPortForwarding = true, true, true, true
	c.DisableUTP, c.DisableIPv6, c.DisableWebtorrent, c.DisableWebseeds = true, true, true, true
	// Plain text only: hiding costs a cipher over every byte.
	c.HeaderObfuscationPolicy = torrent.HeaderObfuscationPolicy{RequirePreferred: true, Preferred: false}
	c.EstablishedConnsPerTorrent = 1000
	c.MaxUnverifiedBytes = 0 // No limit.
	return c
}
