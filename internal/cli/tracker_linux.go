package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/engine/tracker"
)

// noUDP is the value of --listen-udp that turns UDP off.
const noUDP = "none"

func newTracker() *cobra.Command {
	var listen, listenUDP string
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "tracker",
		Short: "Run a small tracker",
		Long: `Run a tracker that serves every torrent announced to it, from memory, until it
is stopped. It answers announces and scrapes over HTTP, at /announce and
/scrape, and over UDP, and prints its two announce URLs, a line each, when it is
ready. Peers are at the address from which they connect.
` + exitHelp,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < time.Second || interval > 24*time.Hour {
				return UsageError(cmd, errors.New("--interval must be from 1s to 24h"))
			}
			return runTracker(cmd, listen, listenUDP, interval)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", ":6969", "address to listen on; port 0 is any free one")
	cmd.Flags().StringVar(&listenUDP, "listen-udp", "", "address to listen on for UDP; none is not to (default that of --listen)")
	cmd.Flags().DurationVar(&interval, "interval", 30*time.Minute, "how often clients are to announce")
	return cmd
}

func runTracker(cmd *cobra.Command, listen, listenUDP string, interval time.Duration) error {
	var config net.ListenConfig
	l, err := config.Listen(cmd.Context(), "tcp", listen)
	if err != nil {
		return listenError(cmd, "--listen", listen, err)
	}
	defer l.Close()
	answers := tracker.NewServer(interval, nil)
	served := make(chan error, 2)
	urls := announceURL("http", l.Addr())
	if listenUDP != noUDP {
		if listenUDP == "" {
			listenUDP = l.Addr().String()
		}
		conn, err := config.ListenPacket(cmd.Context(), "udp", listenUDP)
		if err != nil {
			return listenError(cmd, "--listen-udp", listenUDP, err)
		}
		defer conn.Close()
		urls += "\n" + announceURL("udp", conn.LocalAddr())
		go func() { served <- answers.ServeUDP(conn.(*net.UDPConn)) }()
	}
	server := &http.Server{
		Handler:           answers,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    128 << 10,
	}
	fmt.Fprintln(cmd.OutOrStdout(), urls)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("the tracker ended: %w", err)
	case <-cmd.Context().Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}

// announceURL returns the URL of a tracker that listens on addr; one that
// listens on all addresses is named by the loopback one.
func announceURL(scheme string, addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/announce"
}

func listenError(cmd *cobra.Command, flag, listen string, err error) error {
	var addr *net.AddrError
	var dns *net.DNSError
	if errors.As(err, &addr) || errors.As(err, &dns) {
		return UsageError(cmd, fmt.Errorf("%s %s is no address: %w", flag, listen, err))
	}
	if codeOf(err) == exitPort {
		return fail(exitPort, "can't listen on %s: the port is taken, or reserved to root; choose another with %s", listen, flag)
	}
	return fmt.Errorf("can't listen on %s: %w", listen, err)
}
