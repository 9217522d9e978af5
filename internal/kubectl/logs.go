package kubectl

import (
	"io"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func newLogs(p *person) *cobra.Command {
	var o corev1.PodLogOptions
	var tail int64
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print the log of a download's Pod",
		Long: `Print what the Pod of a download says: that which runs, or the last one. A download
that runs in the operator itself has none; the operator's log has what it says.`,
		Example: "  kubectl torrent logs imagenet -f",
		Args:    one("the NAME of one download"), ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, namespace, err := p.client()
			if err != nil {
				return err
			}
			td, err := c.Download(cmd.Context(), types.NamespacedName{Namespace: namespace, Name: args[0]})
			if err != nil {
				return err
			}
			if tail >= 0 {
				o.TailLines = &tail
			}
			if since > 0 {
				o.SinceSeconds = ptr.To(int64(since.Seconds()) + 1)
			}
			_, log, err := c.Logs(cmd.Context(), td, o)
			if err != nil {
				return err
			}
			defer log.Close()
			_, err = io.Copy(cmd.OutOrStdout(), log)
			if cmd.Context().Err() != nil { // Whoever follows a log ends it so.
				return nil
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on with what it says from now on")
	cmd.Flags().BoolVar(&o.Timestamps, "timestamps", false, "put the time before each line")
	cmd.Flags().Int64Var(&tail, "tail", -1, "print only so many of the last lines")
	cmd.Flags().DurationVar(&since, "since", 0, "print only what was said in the last time, such as 10m")
	return cmd
}
