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

func newTracker() *cobra.Command {
	var listen string
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "tracker",
		Short: "Run a small tracker",
		Long: `Run a tracker that serves every torrent announced to it, from memory, until it
is stopped. It answers /announce and /scrape, and prints its announce URL when
it is ready. Peers are at the address from which they connect.
` + exitHelp,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < time.Second || interval > 24*time.Hour {
				return usageError(cmd, errors.New("--interval must be from 1s to 24h"))
			}
			return runTracker(cmd, listen, interval)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", ":6969", "address to listen on; port 0 is any free one")
	cmd.Flags().DurationVar(&interval, "interval", 30*time.Minute, "how often clients are to announce")
	return cmd
}

func runTracker(cmd *cobra.Command, listen string, interval time.Duration) error {
	var config net.ListenConfig
	l, err := config.Listen(cmd.Context(), "tcp", listen)
	if err != nil {
		return listenError(cmd, listen, err)
	}
	server := &http.Server{
		Handler:           tracker.NewServer(interval, nil),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    128 << 10,
	}
	fmt.Fprintln(cmd.OutOrStdout(), announceURL(l.Addr()))
	served := make(chan error, 1)
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
func announceURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + "/announce"
}

func listenError(cmd *cobra.Command, listen string, err error) error {
	var addr *net.AddrError
	var dns *net.DNSError
	if errors.As(err, &addr) || errors.As(err, &dns) {
		return usageError(cmd, fmt.Errorf("--listen %s is no address: %w", listen, err))
	}
	if codeOf(err) == exitPort {
		return fail(exitPort, "can't listen on %s: the port is taken, or reserved to root; choose another with --listen", listen)
	}
	return fmt.Errorf("can't listen on %s: %w", listen, err)
}
