package kubectl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/cli"
	"github.com/torrent-operator/torrent-operator/internal/client"
)

// goals are what can be waited for. A download that is gone is nil.
var goals = map[string]func(td *v1alpha1.TorrentDownload) bool{
	"complete": has(v1alpha1.ConditionComplete),
	"resolved": has(v1alpha1.ConditionMetadataResolved),
	"seeding":  has(v1alpha1.ConditionSeeding),
	"deleted":  func(td *v1alpha1.TorrentDownload) bool { return td == nil },
}

func has(condition string) func(*v1alpha1.TorrentDownload) bool {
	return func(td *v1alpha1.TorrentDownload) bool {
		return td != nil && td.Status.ObservedGeneration == td.Generation && meta.IsStatusConditionTrue(td.Status.Conditions, condition)
	}
}

func newWait(p *person) *cobra.Command {
	var goal string
	var timeout time.Duration
	var stalled bool
	cmd := &cobra.Command{
		Use:   "wait NAME...",
		Short: "Wait until downloads are complete",
		Long: `Wait until all downloads that are named are as --for says: complete (every piece
verified and durable), resolved (the metainfo is known), seeding, or deleted.

A download that is stalled is waited for, because it may go on; with --or-stalled
it ends the waiting.

Exit codes:
  0  they are
  8  the time of --timeout was over
  9  --or-stalled, and a download is stalled
  1  one of them was deleted instead, and any other failure`,
		Example: `  kubectl torrent wait imagenet --timeout 2h
  kubectl torrent wait imagenet --for=deleted`,
		Args: some, ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			met := goals[goal]
			if met == nil {
				return cli.UsageError(cmd, fmt.Errorf("--for is one of %s, not %q", strings.Join(slices.Sorted(maps.Keys(goals)), ", "), goal))
			}
			c, namespace, err := p.client()
			if err != nil {
				return err
			}
			ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
			if timeout > 0 {
				ctx, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
			}
			defer cancel()
			for _, name := range args {
				key := types.NamespacedName{Namespace: namespace, Name: name}
				if err := await(ctx, c, key, goal, stalled); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "torrentdownload/%s is %s\n", name, goal)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&goal, "for", "complete", "what to wait for: complete, resolved, seeding or deleted")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "how long to wait, such as 30m; 0 is for ever")
	cmd.Flags().BoolVar(&stalled, "or-stalled", false, "wait no longer when a download can't go on, or has long had no byte")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(slices.Sorted(maps.Keys(goals)), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var errTimeout = errors.New("the time was over")

// await waits for one download.
func await(ctx context.Context, c *client.Client, key types.NamespacedName, goal string, stalled bool) error {
	if goal != "deleted" {
		if _, err := c.Download(ctx, key); err != nil {
			return err
		}
	}
	met, state := false, "not seen"
	var end error
	err := c.Follow(ctx, client.Query{Namespace: key.Namespace, Name: key.Name}, func(all client.Downloads) bool {
		td := all[key]
		if met = goals[goal](td); met {
			return false
		}
		if td == nil {
			end = fmt.Errorf("%s was deleted before it was %s", key.Name, goal)
			return false
		}
		v := client.Describe(td)
		if state = v.State; v.Mood == client.MoodStuck && stalled {
			end = cli.WithCode(exitStuck, fmt.Errorf("%s is stalled, %s: %s", key.Name, v.Reason, v.Message))
			return false
		}
		return true
	})
	switch {
	case err != nil, met, end != nil:
		return errors.Join(err, end)
	case errors.Is(context.Cause(ctx), errTimeout):
		return cli.WithCode(exitTimeout, fmt.Errorf("%s is not %s yet: %s", key.Name, goal, state))
	}
	return cli.WithCode(exitStopped, fmt.Errorf("stopped before %s was %s", key.Name, goal))
}
