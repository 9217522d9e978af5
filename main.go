// The torrent-operator command: one binary for everything. It only wires
// commands together; each lives in a package of its own.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/cli"
)

func main() {
	root := &cobra.Command{
		Use:   "torrent-operator",
		Short: "BitTorrent downloads, for Kubernetes and without",
	}
	root.AddCommand(managerCommand())
	root.AddCommand(cli.Commands()...)
	os.Exit(cli.Main(root))
}
