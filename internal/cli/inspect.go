package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

func newInspect() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect FILE|MAGNET",
		Short: "Show what is in a .torrent file or a magnet link",
		Long: `Show what is in a .torrent file: its info hash, size, trackers and files. FILE
may be - for standard input. Of a magnet link it shows what the link itself
says; no peer is asked. Trackers are shown whole, passkeys included.
` + exitHelp,
		Args: exactly(1, "one .torrent FILE or MAGNET link"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := readArgument(cmd, args[0])
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			switch {
			case t.magnet != nil && asJSON:
				err = json.NewEncoder(out).Encode(forProgram(t.magnet))
			case t.magnet != nil:
				SummarizeMagnet(out, t.magnet)
			case asJSON:
				err = inspectJSON(out, t.meta)
			default:
				inspect(out, t.meta)
			}
			if flushErr := out.Flush(); err == nil {
				err = flushErr
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

// inspect writes a torrent for a person.
func inspect(w io.Writer, m *metainfo.Metainfo) {
	Summarize(w, m)
	fmt.Fprintln(w)
	for _, f := range m.Info.Files {
		if !f.Pad {
			fmt.Fprintf(w, "%10s  %s\n", termui.Bytes(f.Length), termui.Clean(f.Path))
		}
	}
}

// inspected is a torrent for a program.
type inspected struct {
	Name         string          `json:"name"`
	InfoHash     string          `json:"infoHash"`
	BytesTotal   int64           `json:"bytesTotal"` // Padding excluded.
	PieceLength  int64           `json:"pieceLength"`
	Pieces       int             `json:"pieces"`
	Private      bool            `json:"private"`
	Source       string          `json:"source,omitempty"`
	Comment      string          `json:"comment,omitempty"`
	CreatedBy    string          `json:"createdBy,omitempty"`
	CreationDate *time.Time      `json:"creationDate,omitempty"`
	Trackers     [][]string      `json:"trackers"`
	WebSeeds     []string        `json:"webSeeds"`
	Nodes        []string        `json:"nodes"`
	Magnet       string          `json:"magnet"` // The link to it, trackers included.
	Files        []inspectedFile `json:"files"`
}

type inspectedFile struct {
	Path       string `json:"path"`
	Length     int64  `json:"length"`
	Offset     int64  `json:"offset"`
	Executable bool   `json:"executable,omitempty"`
}

func inspectJSON(w io.Writer, m *metainfo.Metainfo) error {
	v := inspected{
		Name: m.Info.Name, InfoHash: m.InfoHash.String(), BytesTotal: m.Info.PayloadLength(),
		PieceLength: m.Info.PieceLength, Pieces: m.Info.PieceCount(), Private: m.Info.Private,
		Source: m.Info.Source, Comment: m.Comment, CreatedBy: m.CreatedBy,
		Trackers: append([][]string{}, m.Tiers()...), WebSeeds: append([]string{}, m.URLList...),
		Nodes: []string{}, Magnet: m.Magnet().String(), Files: []inspectedFile{},
	}
	if !m.CreationDate.IsZero() {
		at := m.CreationDate.UTC()
		v.CreationDate = &at
	}
	for _, n := range m.Nodes {
		v.Nodes = append(v.Nodes, net.JoinHostPort(n.Host, strconv.Itoa(n.Port)))
	}
	for _, f := range m.Info.Files {
		if !f.Pad {
			v.Files = append(v.Files, inspectedFile{f.Path, f.Length, f.Offset, f.Executable})
		}
	}
	return json.NewEncoder(w).Encode(v)
}
