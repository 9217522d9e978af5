// Command init is the first process of a node of a test cluster, and, as
// "init pause", the process that holds the namespaces of a Pod.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/torrent-operator/torrent-operator/test/cluster/machine"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		os.Exit(1)
	}
}

// run does one of three things: "enter FOLDER..." goes into control groups and
// on to "boot", which runs a node; "pause" waits for its end.
func run(args []string) error {
	switch {
	case len(args) > 0 && args[0] == "enter":
		return machine.Enter(args[1:], "boot")
	case len(args) == 1 && args[0] == "boot":
		return machine.Boot(os.Stdin)
	case len(args) == 1 && args[0] == "pause":
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
		<-end
		return nil
	}
	return fmt.Errorf("unknown arguments: %q", args)
}
