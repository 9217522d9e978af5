package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/bench/rig"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// webSeed is the case of a torrent that comes from a web server alone.
var webSeed = &study{
	name: "webseed", title: "Download from a web seed alone",
	about: "The file of 2 GiB from a web server that sends by `sendfile`, with no peer and no tracker, beside `curl -o` of the same file. " +
		"The line for the hash is reading and hashing the file, which curl does not do.",
	turns: func(b *bench) []turn {
		return []turn{
			{who: ours, note: note(b.ours), take: func(ctx context.Context, b *bench) (result, error) {
				return b.fromWeb(ctx, func(url string) rig.Client {
					return command{b.ours.(command).program, []string{"--web-seed", url}}
				})
			}},
			{who: "curl", note: note(curl{}), take: func(ctx context.Context, b *bench) (result, error) {
				return b.fromWeb(ctx, func(url string) rig.Client { return curl{url: url} })
			}},
			{who: "hash", note: hasher{bare{b.self}}.Settings(), take: func(ctx context.Context, b *bench) (result, error) {
				return b.check(ctx, hasher{bare{b.self}}, oneFile)
			}},
		}
	},
	bars: []bar{share(ours, "curl", 0.8), likeCurl},
}

// likeCurl compares our CPU time with what curl and the hash take.
var likeCurl = bar{
	text: "CPU seconds less those of the hash, at most 1.5 × those of “curl”",
	value: func(r round) (float64, bool) {
		return (r[ours].cpu() - r["hash"].cpu()) / r["curl"].cpu(), r[ours].bytes > 0 && r["curl"].bytes > 0 && r["hash"].bytes > 0
	},
	met: atMost(1.5),
}

// fromWeb lets a client download from a web server.
func (b *bench) fromWeb(ctx context.Context, client func(url string) rig.Client) (result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, turnLimit, fmt.Errorf("it took more than %v", turnLimit))
	defer cancel()
	job, clean, err := b.prepare(ctx, oneFile, 0)
	if err != nil {
		return result{}, err
	}
	defer clean()
	t := job.Torrent
	port, err := freeport.Find(ctx)
	if err != nil {
		return result{}, err
	}
	at := net.JoinHostPort(host, strconv.Itoa(port))
	server, lines, err := rig.Start(ctx, "the web server", rig.Command{Args: []string{b.self, "web", "--payload", t.Dir, "--listen", at}}, says("serving"), says("first "))
	if err != nil {
		return result{}, err
	}
	defer server.Stop()
	if _, err := lines[0].Await(ctx); err != nil {
		return result{}, err
	}
	c := client("http://" + at + "/" + t.Name)
	p, told, err := start(ctx, c.Name(), c.Leech, job, loopback)
	if err != nil {
		return result{}, err
	}
	defer p.Stop()
	verified, err := told.verified.Await(ctx)
	if err != nil {
		return result{}, err
	}
	began, err := earliest(ctx, lines[1:])
	if err != nil {
		return result{}, err
	}
	r := result{bytes: t.Length, wall: verified.At.Sub(began), Usage: verified.Usage}
	p.Stop()
	return r, t.Check(job.Dir)
}

// curl downloads one file and checks nothing.
type curl struct{ url string }

func (curl) Name() string { return "curl" }

func (curl) Version() string {
	out, err := exec.CommandContext(context.Background(), "curl", "--version").Output()
	if err != nil {
		return "not installed"
	}
	first, _, _ := strings.Cut(string(out), "(")
	return strings.TrimSpace(first)
}

func (curl) Settings() string { return "-o" }

func (c curl) Leech(j rig.Job) (rig.Command, error) {
	return rig.Command{
		Args:     []string{"curl", "-sS", "-o", filepath.Join(j.Dir, j.Torrent.Name), "-w", `done\n`, c.url},
		Verified: says("done"),
	}, nil
}

func (curl) Seed(rig.Job) (rig.Command, error) {
	return rig.Command{}, fmt.Errorf("curl serves nobody")
}

// webCommand serves a folder over HTTP.
func webCommand() *cobra.Command {
	var dir, listen string
	cmd := &cobra.Command{
		Use: "web", Short: "Serve a payload over HTTP", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", listen)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "serving")
			var first sync.Once
			files := http.FileServer(http.Dir(dir))
			s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				first.Do(func() { fmt.Fprintln(cmd.OutOrStdout(), "first", time.Now().UnixNano()) })
				files.ServeHTTP(w, r)
			})}
			stop := context.AfterFunc(cmd.Context(), func() { s.Close() })
			defer stop()
			if err := s.Serve(l); cmd.Context().Err() == nil {
				return err
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "payload", "", "folder that holds the payload")
	cmd.Flags().StringVar(&listen, "listen", "", "host:port to listen on")
	return cmd
}
