//go:build !interop

package interop

import (
	"os"
	"testing"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/cli"
)

// command runs torrent-operator: this very test binary, so that a plain
// "go test" needs nothing built before.
var command = os.Args[0]

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "" {
		os.Exit(m.Run())
	}
	root := &cobra.Command{Use: "torrent-operator"}
	root.AddCommand(cli.Commands()...)
	os.Exit(cli.Main(root))
}
