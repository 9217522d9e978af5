package main

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/bench/light"
)

// lightCommands are the light peers, each as a process of its own.
func lightCommands() []*cobra.Command {
	return []*cobra.Command{seederCommand(), leecherCommand(), crowdCommand(), floorCommand(), hashCommand(), engineCommand(), webCommand()}
}

// peerAddress is a flag that holds an IP address.
type peerAddress struct{ netip.Addr }

// Set implements [pflag.Value].
func (a *peerAddress) Set(s string) (err error) {
	a.Addr, err = netip.ParseAddr(s)
	return err
}

// String implements [pflag.Value].
func (a *peerAddress) String() string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr.String()
}

// Type implements [pflag.Value].
func (*peerAddress) Type() string { return "address" }

const fromHelp = "address of the first of these peers; the system chooses if it is not given"

func lightCommand(use, short string, run func(cmd *cobra.Command, torrent string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " TORRENT", Short: short, Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, args[0]) },
	}
}

func seederCommand() *cobra.Command {
	var c light.SeedConfig
	var from peerAddress
	cmd := lightCommand("seeder", "Serve a payload at next to no cost", func(cmd *cobra.Command, torrent string) error {
		c.Torrent, c.From, c.Out = torrent, from.Addr, cmd.OutOrStdout()
		if c.Listen != "" {
			fmt.Fprintln(c.Out, "serving")
		}
		return light.Seed(cmd.Context(), c)
	})
	flags := cmd.Flags()
	flags.StringVar(&c.Dir, "payload", "", "folder that holds the payload")
	flags.Int64Var(&c.Repeat, "repeat", 0, "bytes after which the payload repeats")
	flags.StringSliceVar(&c.Dial, "dial", nil, "host:port of peers to serve")
	flags.Var(&from, "from", fromHelp)
	flags.StringVar(&c.Listen, "listen", "", "host:port to listen on")
	flags.Int64Var(&c.Limit, "limit", 0, "bytes a second for each connection")
	return cmd
}

func leecherCommand() *cobra.Command {
	var c light.LeechConfig
	from := peerAddress{netip.MustParseAddr("127.0.0.2")}
	cmd := lightCommand("leecher", "Fetch a payload and throw it away", func(cmd *cobra.Command, torrent string) error {
		c.Torrent, c.From, c.Out = torrent, from.Addr, cmd.OutOrStdout()
		return light.Leech(cmd.Context(), c)
	})
	flags := cmd.Flags()
	flags.StringVar(&c.Address, "dial", "", "host:port of the seeder")
	flags.IntVar(&c.Connections, "connections", 1, "how many peers this is")
	flags.Var(&from, "from", fromHelp)
	return cmd
}

func crowdCommand() *cobra.Command {
	var c light.CrowdConfig
	from := peerAddress{netip.MustParseAddr("127.0.1.1")}
	cmd := lightCommand("crowd", "Be many peers that do little", func(cmd *cobra.Command, torrent string) error {
		c.Torrent, c.From, c.Out = torrent, from.Addr, cmd.OutOrStdout()
		return light.Crowd(cmd.Context(), c)
	})
	flags := cmd.Flags()
	flags.StringVar(&c.Address, "dial", "", "host:port of the client")
	flags.StringVar(&c.Dir, "payload", "", "folder that holds the payload")
	flags.Var(&from, "from", fromHelp)
	flags.IntVar(&c.Idle, "idle", 0, "peers that never send anything")
	flags.IntVar(&c.Slow, "slow", 0, "peers that send slowly")
	flags.IntVar(&c.Rate, "slow-rate", 8<<10, "bytes a second of a slow peer")
	return cmd
}

func floorCommand() *cobra.Command {
	var c light.FloorConfig
	cmd := lightCommand("floor", "Download with the least that it takes", func(cmd *cobra.Command, torrent string) error {
		c.Torrent, c.Out = torrent, cmd.OutOrStdout()
		return light.Floor(cmd.Context(), c)
	})
	flags := cmd.Flags()
	flags.StringVar(&c.Dir, "output", ".", "folder that receives the payload")
	flags.StringVar(&c.Listen, "listen", "", "host:port to listen on")
	flags.IntVar(&c.Seeders, "seeders", 1, "how many seeders will dial")
	return cmd
}
