package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// createFlags are the flags of create.
type createFlags struct {
	output             string
	trackers, webSeeds []string
	nodes              []string
	pieceLength        size
	private, pad       bool
	source, comment    string
	noDate, force      bool
}

func newCreate() *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use:   "create PATH",
		Short: "Make a .torrent file of a file or folder",
		Long: `Make a .torrent file of a file or folder: hash its content on all cores, write
the file, and say what is in it.

The same content with the same flags and --no-date gives the same bytes.
` + exitHelp,
		Example: `  torrent-operator create dataset/ --tracker https://tracker.example.org/announce
  torrent-operator create disk.img --output - --no-date > disk.torrent`,
		Args: exactly(1, "the PATH of one file or folder"),
		RunE: func(cmd *cobra.Command, args []string) error { return create(cmd, args[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", "", "where to write the file; - is standard output (default NAME.torrent)")
	flags.StringArrayVarP(&f.trackers, "tracker", "t", nil, "announce URL, http, https or udp; may be given several times, each a tier of its own")
	flags.StringArrayVar(&f.webSeeds, "web-seed", nil, "URL of a web server that has the content; may be given several times")
	flags.StringArrayVar(&f.nodes, "node", nil, "host:port of a DHT node; may be given several times")
	flags.Var(&f.pieceLength, "piece-length", "bytes of a piece, a power of two such as 1MiB (default chosen by size)")
	flags.BoolVar(&f.private, "private", false, "peers may come from the trackers only (BEP 27)")
	flags.BoolVar(&f.pad, "pad", false, "let every file begin with a piece of its own (BEP 47)")
	flags.StringVar(&f.source, "source", "", "where it is published; part of the info hash")
	flags.StringVar(&f.comment, "comment", "", "a comment for people")
	flags.BoolVar(&f.noDate, "no-date", false, "leave the creation date out")
	flags.BoolVarP(&f.force, "force", "f", false, "replace the .torrent file if it exists")
	return cmd
}

func create(cmd *cobra.Command, path string, f createFlags) error {
	o, err := f.options(cmd)
	if err != nil {
		return err
	}
	// The place is checked before hours of hashing, not after.
	if f.output != "" && f.output != "-" {
		if err := f.placeFor(f.output); err != nil {
			return err
		}
	}
	bar := terminal.New(cmd.ErrOrStderr())
	if bar != nil {
		o.Progress = hashing(bar, time.Now)
	}
	m, err := metainfo.Create(cmd.Context(), path, o)
	if bar != nil {
		bar.Clear()
	}
	if err != nil && cmd.Context().Err() != nil {
		return fail(exitStopped, "stopped before the torrent was made; nothing was written")
	}
	if err != nil {
		return fail(exitFiles, "%w", err) // It names the file already.
	}
	b, err := m.Marshal()
	if err != nil {
		return err
	}
	if f.output == "-" {
		if _, err := cmd.OutOrStdout().Write(b); err != nil {
			return fileError("write", "standard output", err)
		}
		return nil
	}
	name := f.output
	if name == "" {
		name = m.Info.Name + ".torrent"
		if err := f.placeFor(name); err != nil {
			return err
		}
	}
	if err := writeFile(name, b); err != nil {
		return fileError("write", name, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s\n", name)
	Summarize(cmd.OutOrStdout(), m)
	return nil
}

// options checks the flags and makes options of them.
func (f *createFlags) options(cmd *cobra.Command) (metainfo.CreateOptions, error) {
	o := metainfo.CreateOptions{
		PieceLength: int64(f.pieceLength), Private: f.private, Source: f.source, Comment: f.comment,
		CreatedBy: "torrent-operator", URLList: f.webSeeds, Pad: f.pad,
	}
	if n := o.PieceLength; n != 0 && (n&(n-1) != 0 || n < 16<<10 || n > metainfo.MaxPieceLength) {
		return o, UsageError(cmd, fmt.Errorf("--piece-length must be a power of two from 16KiB to %dGiB", metainfo.MaxPieceLength>>30))
	}
	if !f.noDate {
		o.CreationDate = time.Now()
	}
	for _, t := range f.trackers {
		if err := checkURL(t, "http", "https", "udp"); err != nil {
			return o, UsageError(cmd, fmt.Errorf("--tracker %s: %w", shown(t), err))
		}
		o.Announce = append(o.Announce, []string{t})
	}
	for _, w := range f.webSeeds {
		if err := checkURL(w, "http", "https"); err != nil {
			return o, UsageError(cmd, fmt.Errorf("--web-seed %s: %w", shown(w), err))
		}
	}
	for _, n := range f.nodes {
		host, port, err := splitHostPort(n)
		if err != nil {
			return o, UsageError(cmd, fmt.Errorf("--node %s: %w", n, err))
		}
		o.Nodes = append(o.Nodes, metainfo.Node{Host: host, Port: port})
	}
	return o, nil
}

// placeFor says whether a .torrent file may be written as name.
func (f *createFlags) placeFor(name string) error {
	if folder := filepath.Dir(name); !isFolder(folder) {
		return fail(exitFiles, "can't write %s: there is no folder %s", name, folder)
	}
	switch st, err := os.Stat(name); {
	case err == nil && st.IsDir():
		return fail(exitFiles, "can't write %s: it is a folder; --output takes the name of the .torrent file", name)
	case err == nil && st.Mode().IsRegular() && !f.force:
		return fail(exitFiles, "%s exists already; choose another name with --output, or replace it with --force", name)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fileError("write", name, err)
	}
	return nil
}

// writeFile writes b under a name that appears only when all of it is there. A
// device or pipe that has the name is written to, and not replaced.
func writeFile(name string, b []byte) (err error) {
	if st, err := os.Stat(name); err == nil && !st.Mode().IsRegular() {
		return os.WriteFile(name, b, 0)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".torrent-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

func isFolder(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

func checkURL(s string, schemes ...string) error {
	u, err := url.Parse(s)
	if err == nil && u.Hostname() != "" && slices.Contains(schemes, u.Scheme) {
		if _, _, err := splitHostPort(u.Host); u.Scheme == "udp" && err != nil {
			return errors.New("a udp:// URL needs a port, such as udp://tracker.example.org:6969/announce")
		}
		return nil
	}
	return fmt.Errorf("it must be a URL that begins with %s://", strings.Join(schemes, ":// or "))
}

// shown returns of a URL what an error may show: scheme and host. The rest may
// be a secret, and errors end up in logs.
func shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "…"
	}
	return u.Scheme + "://" + u.Host + "/…"
}

func splitHostPort(s string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(s)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil || host == "" || port < 1 || port > 65535 {
		return "", 0, errors.New("it must be host:port")
	}
	return host, port, nil
}

// Summarize writes what a torrent is, without its files.
func Summarize(w io.Writer, m *metainfo.Metainfo) {
	row := func(label, format string, args ...any) {
		fmt.Fprintf(w, "%-12s %s\n", label+":", termui.Clean(fmt.Sprintf(format, args...)))
	}
	row("Name", "%s", m.Info.Name)
	row("Info hash", "%s", m.InfoHash)
	row("Magnet", "%s", m.Magnet())
	row("Size", "%s (%d bytes)", termui.Bytes(m.Info.PayloadLength()), m.Info.PayloadLength())
	row("Pieces", "%d of %s", m.Info.PieceCount(), termui.Bytes(m.Info.PieceLength))
	files := 0
	for _, f := range m.Info.Files {
		if !f.Pad {
			files++
		}
	}
	row("Files", "%d", files)
	if m.Info.Private {
		row("Private", "yes")
	}
	optional := func(label, value string) {
		if value != "" {
			row(label, "%s", value)
		}
	}
	optional("Source", m.Info.Source)
	optional("Comment", m.Comment)
	optional("Created by", m.CreatedBy)
	if !m.CreationDate.IsZero() {
		row("Created", "%s", m.CreationDate.UTC().Format(time.RFC3339))
	}
	for i, tier := range m.Tiers() {
		for _, t := range tier {
			row("Tracker", "%s (tier %d)", t, i+1)
		}
	}
	for _, u := range m.URLList {
		row("Web seed", "%s", u)
	}
	for _, n := range m.Nodes {
		row("DHT node", "%s", net.JoinHostPort(n.Host, strconv.Itoa(n.Port)))
	}
}
