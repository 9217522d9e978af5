// The kubectl-torrent command is a plugin of kubectl: whoever has it in their
// PATH says "kubectl torrent".
package main

import (
	"os"

	"github.com/torrent-operator/torrent-operator/internal/cli"
	"github.com/torrent-operator/torrent-operator/internal/kubectl"
)

func main() { os.Exit(cli.Main(kubectl.Command())) }
