package interop

import (
	"os"
	"testing"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/cli"
)

// asCommand is set in the environment of a process of this test binary that is
// to be the torrent-operator command.
const asCommand = "INTEROP_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "" {
		os.Exit(m.Run())
	}
	root := &cobra.Command{Use: "torrent-operator"}
	root.AddCommand(cli.Commands()...)
	os.Exit(cli.Main(root))
}
