// The torrent-operator command: one binary for everything. It only wires
// commands together; each lives in a package of its own.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/cli"
	"github.com/torrent-operator/torrent-operator/internal/version"
)

func main() {
	// A system call on a file holds its place among the running goroutines
	// until the runtime notices that it blocks. With one place more than
	// processors, none of them is idle meanwhile.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	os.Exit(cli.Main(command()))
}

// command is all commands in one.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "torrent-operator",
		Short: "BitTorrent downloads, for Kubernetes and without",
	}
	root.AddCommand(managerCommand(), workerCommand(), dashboardCommand(), versionCommand())
	root.AddCommand(cli.Commands()...)
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Tell version, commit, date and compiler of this program",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), version.Read())
			return err
		},
	}
}
