package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/selection"
	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// stopWait bounds how long a download that was told to stop takes to write
// down where it is.
const stopWait = 30 * time.Second

// maxSeedRatio is far more than anybody means.
const maxSeedRatio = 1_000_000

// downloadFlags are the flags of download.
type downloadFlags struct {
	output              string
	seed                bool
	seedRatio           float64
	seedTime            time.Duration
	port, maxPeers      int
	trackers, peers     []string
	webSeeds            []string
	noPEX, dht, local   bool
	utp                 bool
	bootstrap           []string
	allow, deny         networks
	encryption          encryption
	headers, bundles    []string
	credentials         []download.Credential // What they say.
	limitDown, limitUp  size
	include, exclude    []string
	priority            []string
	sequential          bool
	preallocate, verify bool
	asJSON              bool
}

// Commands returns the commands of this package, to be added to a root.
func Commands() []*cobra.Command {
	return []*cobra.Command{newDownload(), newCreate(), newInspect(), newTracker()}
}

func newDownload() *cobra.Command {
	var f downloadFlags
	cmd := &cobra.Command{
		Use:   "download FILE|MAGNET...",
		Short: "Download what .torrent files or magnet links name",
		Long: `Download what .torrent files or magnet links name into a folder, and verify all
of it. FILE may be - for standard input. Several are downloaded at once; then
the exit code is that of the first that failed.

What a magnet link names is asked of peers first, found by the trackers and
peers of the link, --tracker, --peer and the DHT. It is kept in the folder, so that the
same link needs nobody for that the next time. If the link selects files (so=),
they alone are fetched, unless --include or --exclude says which.

Ctrl-C stops it, and the same command goes on where it was; what is in the
folder already is used where it is right. A second Ctrl-C ends it at once,
which loses no piece that was written.

A folder that can't be written to is served as it is, if everything is in it.

--include and --exclude select files by patterns as in .gitignore: one without a
slash matches names at any depth (*.tar), one with a slash the path from the
torrent's folder on (train/*.tar), ** any number of folders, and a folder stands
for all that is in it. No other file is made. What pieces hold of neighbouring
files stays in the folder .torrent-operator, and is used if the same command is
run again with other patterns.

On a terminal the progress is redrawn in place; elsewhere it is a line each ten
seconds and for each change; with --json it is one JSON object a line.

HTTP trackers and web seeds are asked through the proxies that HTTP_PROXY,
HTTPS_PROXY and NO_PROXY name. UDP trackers and peers are not: they are spoken to
directly.
` + exitHelp,
		Example: `  torrent-operator download debian.torrent --output /data
  torrent-operator download dataset.torrent -o /data --seed --limit-up 10MiB
  torrent-operator download 'magnet:?xt=urn:btih:0123…&tr=http://tracker.example/announce'
  torrent-operator download dataset.torrent --include 'train/*.tar' --exclude README --priority high=index.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return UsageError(cmd, errors.New("it takes one .torrent FILE or more, or MAGNET links, but got none"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runDownload(cmd, args, f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", ".", "folder that receives the files; it must exist")
	flags.BoolVar(&f.seed, "seed", false, "go on serving others after completion, until stopped")
	flags.Float64Var(&f.seedRatio, "seed-ratio", 0, "serve others until so many times the size was sent, such as 1.5")
	flags.DurationVar(&f.seedTime, "seed-time", 0, "serve others for so long after completion, such as 2h")
	flags.IntVarP(&f.port, "port", "p", 0, "port for peers, of TCP, and of UDP for uTP and the DHT (default the first free of 6881 to 6889)")
	flags.StringArrayVarP(&f.trackers, "tracker", "t", nil, "announce URL, http, https or udp, added to those of the torrent, unless it is private and names some; may be given several times")
	flags.StringArrayVar(&f.peers, "peer", nil, "host:port of a peer; may be given several times")
	flags.StringArrayVar(&f.webSeeds, "web-seed", nil, "URL of a web server that has the files, added to those of the torrent; of the folder that they are in, if it ends in /; may be given several times")
	flags.BoolVar(&f.noPEX, "no-pex", false, "don't let connected peers tell of further peers, nor tell them of any; private torrents never do")
	flags.BoolVar(&f.dht, "dht", dhtDefault(), "find peers without a tracker too, in the DHT: it tells strangers which torrents are wanted here, but never of private ones (env "+dhtEnv+")")
	flags.BoolVar(&f.utp, "utp", true, "take and dial peers over uTP (UDP) too, which gives way to other traffic; where TCP works it is preferred")
	flags.StringArrayVar(&f.bootstrap, "dht-bootstrap", engine.PublicDHT, "host:port of a node by which to get into the DHT, instead of the well-known ones; may be given several times")
	flags.BoolVar(&f.local, "local", false, "find peers in local networks too: it tells all of these networks which torrents are wanted here, but never of private ones")
	flags.Var(&f.allow, "allow-peers", "network in which there may be peers, such as 10.0.0.0/8; may be given several times (default all)")
	flags.Var(&f.deny, "deny-peers", "network in which there may be no peers, also if it is part of one of --allow-peers; may be given several times")
	flags.Var(&f.encryption, "encryption", "encrypt connections to peers: allow, prefer, require or disable; allow connects in the clear first, prefer encrypted (default allow)")
	flags.StringArrayVar(&f.include, "include", nil, "pattern of files to download; may be given several times (default all)")
	flags.StringArrayVar(&f.exclude, "exclude", nil, "pattern of files to leave out; may be given several times")
	flags.StringArrayVar(&f.priority, "priority", nil, "high=PATTERN or low=PATTERN: files to download before or after all others; may be given several times")
	flags.BoolVar(&f.sequential, "sequential", false, "download from the first piece to the last")
	flags.StringArrayVar(&f.headers, "headers", nil, "ORIGIN=FILE: the headers in FILE, one a line, for trackers and web seeds at ORIGIN, such as https://tracker.example.org; may be given several times")
	flags.StringArrayVar(&f.bundles, "ca-bundle", nil, "ORIGIN=FILE: the PEM certificates in FILE are trusted at ORIGIN instead of the system's; may be given several times")
	flags.Var(&f.limitDown, "limit-down", "bytes a second to download at most, such as 10MiB")
	flags.Var(&f.limitUp, "limit-up", "bytes a second to upload at most, such as 10MiB")
	flags.IntVar(&f.maxPeers, "max-peers", 0, "peers to be connected to at most (default 80)")
	flags.BoolVar(&f.preallocate, "preallocate", false, "reserve the space of the files before the first byte")
	flags.BoolVar(&f.verify, "verify", false, "hash everything that is in the folder already, trusting no earlier run")
	flags.BoolVar(&f.asJSON, "json", false, "write the progress as one JSON object a line")
	return cmd
}

// gcPercent replaces the runtime's default of 100. What lives in the heap is
// some 10 MB for a hundred torrents at once, since blocks are not in it; to
// wait for as much garbage again would be most of what is left below 100 MiB.
const gcPercent = 25

func runDownload(cmd *cobra.Command, files []string, f downloadFlags) error {
	if err := f.check(); err != nil {
		return UsageError(cmd, err)
	}
	torrents, err := readTorrents(cmd, files)
	if err != nil {
		return err
	}
	if f.credentials, err = credentials(f.headers, f.bundles); err != nil {
		return err
	}
	switch st, err := os.Stat(f.output); {
	case err != nil:
		return fileError("use the folder", f.output, err)
	case !st.IsDir():
		return fail(exitFiles, "can't use the folder %s: it is a file", f.output)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	e, err := engine.New(engine.Config{PortFirst: f.port, PortLast: f.port, DHT: f.discovery(), UTP: f.utp})
	if err != nil {
		return startError(f.port, err)
	}
	err = downloadAll(cmd, e, torrents, f)
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	return errors.Join(err, e.Close(ctx))
}

// downloadAll downloads all torrents at once and shows how it goes.
func downloadAll(cmd *cobra.Command, e *engine.Engine, torrents []torrent, f downloadFlags) error {
	running, errs := make([]*engine.Torrent, len(torrents)), make([]error, len(torrents))
	for i, t := range torrents {
		var err error
		if running[i], err = e.Add(f.spec(t)); err != nil {
			return err
		}
	}
	var all sync.WaitGroup
	for i, v := range newViews(cmd, f.asJSON, torrents) {
		all.Go(func() { errs[i] = watch(cmd.Context(), running[i], v) })
	}
	all.Wait()
	return outcome(torrents, errs)
}

// check finds what is wrong with the flags.
func (f *downloadFlags) check() error {
	if f.port < 0 || f.port > 65535 {
		return errors.New("--port must be from 1 to 65535")
	}
	if f.maxPeers < 0 || f.seedRatio < 0 || f.seedTime < 0 {
		return errors.New("--max-peers, --seed-ratio and --seed-time must not be negative")
	}
	if !(f.seedRatio <= maxSeedRatio) { // Not a number isn't, either.
		return fmt.Errorf("--seed-ratio must be at most %d; --seed has no end", maxSeedRatio)
	}
	if f.seed && f.seedRatio > 0 || f.seed && f.seedTime > 0 || f.seedRatio > 0 && f.seedTime > 0 {
		return errors.New("only one of --seed, --seed-ratio and --seed-time may be given")
	}
	if _, err := f.files(); err != nil {
		return err
	}
	for _, t := range f.trackers {
		if err := checkURL(t, "http", "https", "udp"); err != nil {
			return fmt.Errorf("--tracker %s: %w", shown(t), err)
		}
	}
	for _, w := range f.webSeeds {
		if err := checkURL(w, "http", "https"); err != nil {
			return fmt.Errorf("--web-seed %s: %w", shown(w), err)
		}
	}
	for _, p := range f.peers {
		if _, _, err := splitHostPort(p); err != nil {
			return fmt.Errorf("--peer %s: %w", p, err)
		}
	}
	for _, n := range f.bootstrap {
		if _, _, err := splitHostPort(n); err != nil {
			return fmt.Errorf("--dht-bootstrap %s: %w", n, err)
		}
	}
	return nil
}

// files is what the flags select, and what is wrong with it.
func (f *downloadFlags) files() (download.Files, error) {
	files := download.Files{Include: f.include, Exclude: f.exclude, Sequential: f.sequential}
	for _, p := range f.priority {
		switch level, pattern, _ := strings.Cut(p, "="); level {
		case "high":
			files.High = append(files.High, pattern)
		case "low":
			files.Low = append(files.Low, pattern)
		default:
			return files, fmt.Errorf("--priority %s: must be high=PATTERN or low=PATTERN", p)
		}
	}
	return files, selection.Check(files)
}

func (f *downloadFlags) spec(t torrent) engine.Spec {
	host, _ := os.Hostname()
	files, _ := f.files() // check has found them to be right.
	s := engine.Spec{
		Metainfo: t.meta, Magnet: t.magnet, Dir: f.output, Owner: fmt.Sprintf("process %d on %s", os.Getpid(), host),
		Files:    files,
		Trackers: f.trackers, Peers: f.peers, WebSeeds: f.webSeeds, NoPEX: f.noPEX, Local: f.local, Credentials: f.credentials,
		Filter: download.PeerFilter{Allow: f.allow, Deny: f.deny}, Encryption: download.Encryption(f.encryption),
		Limits: download.Limits{
			DownloadBytesPerSecond: int64(f.limitDown), UploadBytesPerSecond: int64(f.limitUp), MaxPeers: f.maxPeers,
		},
		Preallocate: f.preallocate, Verify: f.verify, StallTimeout: time.Minute,
	}
	switch {
	case f.seed:
		s.Seeding.Policy = download.SeedForever
	case f.seedRatio > 0:
		s.Seeding = download.Seeding{Policy: download.SeedRatio, RatioPercent: int(max(1, math.Round(f.seedRatio*100)))}
	case f.seedTime > 0:
		s.Seeding = download.Seeding{Policy: download.SeedDuration, Duration: f.seedTime}
	}
	return s
}

func newView(cmd *cobra.Command, asJSON bool, name string) view {
	out := cmd.OutOrStdout()
	if asJSON {
		return &jsonView{out: json.NewEncoder(out)}
	}
	if s := terminal.New(out); s != nil {
		return &screenView{screen: s, name: name}
	}
	return &lineView{terminal.Lines{Out: out}}
}

// watch shows a torrent until it ends or ctx does, which stops it.
func watch(ctx context.Context, t *engine.Torrent, v view) error {
	for {
		select {
		case <-t.Changed():
			v.show(t.Progress(), t.Peers(), false)
			continue
		case <-t.Done():
		case <-ctx.Done():
			if err := stop(t); err != nil {
				return err
			}
		}
		p := t.Progress()
		v.show(p, nil, true)
		return ending(p)
	}
}

// stop stops a torrent, with patience.
func stop(t *engine.Torrent) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	if err := t.Stop(ctx); err != nil {
		return fail(exitStopped, "the download did not stop within %s: some of the last pieces may have to be fetched again", stopWait)
	}
	return nil
}

// ending is the error that the last snapshot of a download amounts to.
func ending(p *download.Progress) error {
	switch {
	case p.State == download.StateFailed && p.Err != nil:
		return failureError(p.Err)
	case !p.CompletedAt.IsZero() && p.BytesVerified == p.BytesTotal:
		return nil
	}
	if p.State == download.StateResolving {
		return fail(exitStopped, "stopped before a peer told what the torrent is; the same command asks again")
	}
	return fail(exitStopped, "stopped at %d%% of %s; the same command goes on from there", termui.Percent(p.BytesVerified, p.BytesTotal), termui.Bytes(p.BytesTotal))
}

// failureError gives a failure its exit code.
func failureError(f *download.Failure) error {
	code := exitFailure
	switch f.Reason {
	case download.ReasonMetainfoInvalid, download.ReasonUnsupportedTorrent:
		code = exitTorrent
	case download.ReasonNothingSelected:
		code = exitUsage
	case download.ReasonPathConflict, download.ReasonVolumeReadOnly, download.ReasonVolumeError, download.ReasonVolumeBusy:
		code = exitFiles
	case download.ReasonInsufficientSpace:
		code = exitSpace
	}
	return &codedError{code, f}
}

// startError says why the engine did not start.
func startError(port int, err error) error {
	switch {
	case !errors.Is(err, engine.ErrPort):
		return err
	case port == 0:
		return fail(exitPort, "no port from 6881 to 6889 is free; name one with --port")
	}
	return fail(exitPort, "port %d is taken, or reserved to root; name another with --port", port)
}
