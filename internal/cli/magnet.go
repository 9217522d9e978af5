package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// torrent is what a command was given: the content of a .torrent file, or a
// magnet link.
type torrent struct {
	meta   *metainfo.Metainfo
	magnet *metainfo.Magnet
}

// hash returns the info hash.
func (t torrent) hash() metainfo.Hash {
	if t.meta != nil {
		return t.meta.InfoHash
	}
	return t.magnet.InfoHash
}

// name is what a person knows the torrent by: its name, or that of the link,
// or its hash.
func (t torrent) name() string {
	if t.meta != nil {
		return t.meta.Info.Name
	}
	return cmp.Or(t.magnet.Name, t.magnet.InfoHash.String())
}

// readArgument reads what a command was given: a magnet link, or the name of a
// .torrent file.
func readArgument(cmd *cobra.Command, arg string) (t torrent, err error) {
	if IsMagnet(arg) {
		t.magnet, err = metainfo.ParseMagnet(arg)
	} else {
		t.meta, err = readTorrent(cmd, arg)
	}
	return t, err
}

// IsMagnet says whether an argument is a magnet link, and no file that happens
// to be called like one.
func IsMagnet(arg string) bool {
	if len(arg) < len("magnet:") || !strings.EqualFold(arg[:len("magnet:")], "magnet:") {
		return false
	}
	_, err := os.Stat(arg)
	return err != nil
}

// SummarizeMagnet writes what a link says for a person.
func SummarizeMagnet(w io.Writer, m *metainfo.Magnet) {
	row := func(label string, values ...string) {
		for _, v := range values {
			fmt.Fprintf(w, "%-12s %s\n", label+":", termui.Clean(v))
		}
	}
	if m.Name != "" {
		row("Name", m.Name)
	}
	row("Info hash", m.InfoHash.String())
	row("Tracker", m.Trackers...)
	row("Web seed", m.WebSeeds...)
	row("Peer", m.Peers...)
	for _, r := range m.Select {
		row("Files", fmt.Sprintf("%d to %d", r.First, r.Last))
	}
}

// inspectedMagnet is a link for a program.
type inspectedMagnet struct {
	Name     string   `json:"name,omitempty"`
	InfoHash string   `json:"infoHash"`
	Trackers []string `json:"trackers"`
	WebSeeds []string `json:"webSeeds"`
	Peers    []string `json:"peers"`
	// Files are the numbers of the files that are wanted, as ranges of which
	// both ends are included; empty for all.
	Files [][2]int `json:"files"`
}

func forProgram(m *metainfo.Magnet) inspectedMagnet {
	v := inspectedMagnet{
		Name: m.Name, InfoHash: m.InfoHash.String(), Trackers: append([]string{}, m.Trackers...),
		WebSeeds: append([]string{}, m.WebSeeds...), Peers: append([]string{}, m.Peers...), Files: [][2]int{},
	}
	for _, r := range m.Select {
		v.Files = append(v.Files, [2]int{r.First, r.Last})
	}
	return v
}
