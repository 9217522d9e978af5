// Command bench measures the engine side by side with other clients, over
// loopback, and says whether it is as fast as it is meant to be. docs/performance.md
// tells the method and holds the last results.
//
//	go run ./bench              all cases
//	go run ./bench one four     some of them
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var errMissed = errors.New("a bar was missed")

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "bench [CASE...]",
		Short: "Measure the engine side by side with other clients",
		Long: `Measure the engine side by side with other clients, over loopback.
All cases are run if none is named. Each is a number of rounds in which
everybody has a turn; a bar is met if all rounds but one meet it. The exit
code is 1 if a bar was missed. Nothing else should run on the machine.

Cases:
` + caseHelp(),
		Args:         cobra.ArbitraryArgs,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := choose(args)
			if err != nil {
				return err
			}
			return run(cmd.Context(), chosen, o)
		},
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	flags := cmd.Flags()
	flags.IntVar(&o.rounds, "rounds", 7, "how often everybody has a turn")
	flags.StringVar(&o.document, "write", "", "Markdown file whose sections of the cases are replaced by the results")
	flags.StringVar(&o.cache, "cache", filepath.Join(cache, "torrent-operator", "bench"), "folder of payloads and of the programs that are built")
	flags.StringVar(&o.work, "work", "", "folder for what is downloaded, 24 GB at most (default one in the cache)")
	flags.StringArrayVar(&o.only, "only", nil, "whose turns to take, such as floor, by name, or ours; may be given several times; bars that need the others are left out")
	cmd.AddCommand(lightCommands()...)
	return cmd
}

func caseHelp() string {
	var b strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&b, "  %-8s %s\n", c.name, c.title)
	}
	return strings.TrimRight(b.String(), "\n")
}

// choose returns the cases with the given names, or all.
func choose(names []string) ([]*study, error) {
	if len(names) == 0 {
		return cases, nil
	}
	var chosen []*study
	for _, name := range names {
		found := false
		for _, c := range cases {
			if c.name == name {
				chosen, found = append(chosen, c), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no case %q; the cases are:\n%s", name, caseHelp())
		}
	}
	return chosen, nil
}
