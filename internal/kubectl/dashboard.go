package kubectl

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/cli"
	"github.com/torrent-operator/torrent-operator/internal/dashboard"
)

func newDashboard(p *person) *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Serve a web page on this machine, to watch and steer downloads in a browser",
		Long: `Serve a web page on this machine, to watch and steer downloads in a browser, with
the rights of your kubeconfig, until Ctrl-C.

Open the address that it prints. That works once, in one browser, because other
users of this machine reach the port, too.`,
		Example: `  kubectl torrent dashboard
  kubectl torrent dashboard --context staging --listen 127.0.0.1:8080`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.UsageError(cmd, fmt.Errorf("it takes no arguments, but got %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := p.config.ToRESTConfig()
			if err != nil {
				return fmt.Errorf("there is no cluster to talk to: %w", err)
			}
			namespace, _, err := p.config.ToRawKubeConfigLoader().Namespace()
			if err != nil {
				return err
			}
			o := dashboard.Options{Config: config, Namespace: namespace}
			return dashboard.ServeLocal(cmd.Context(), o, listen, func(address string) { fmt.Fprintln(cmd.OutOrStdout(), address) })
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address of this machine to listen at; port 0 is any free one")
	return cmd
}
