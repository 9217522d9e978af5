package kubectl

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/cli"
	"github.com/torrent-operator/torrent-operator/internal/client"
)

func newPause(p *person) *cobra.Command {
	return &cobra.Command{
		Use:   "pause NAME...",
		Short: "Stop downloads and their seeding for now",
		Long: `Stop downloads and their seeding for now (spec.suspend). What was fetched is
kept, and "resume" goes on from there.`,
		Example: "  kubectl torrent pause imagenet",
		Args:    some, ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.each(cmd, args, func(c *client.Client, key types.NamespacedName) (string, error) {
				return "paused", c.Suspend(cmd.Context(), key)
			})
		},
	}
}

func newResume(p *person) *cobra.Command {
	return &cobra.Command{
		Use:     "resume NAME...",
		Short:   "Let paused downloads go on",
		Example: "  kubectl torrent resume imagenet",
		Args:    some, ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.each(cmd, args, func(c *client.Client, key types.NamespacedName) (string, error) {
				return "goes on", c.Resume(cmd.Context(), key)
			})
		},
	}
}

func newVerify(p *person) *cobra.Command {
	return &cobra.Command{
		Use:     "verify NAME...",
		Short:   "Hash all data on the volume again, and fetch what is damaged",
		Example: "  kubectl torrent verify imagenet",
		Args:    some, ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.each(cmd, args, func(c *client.Client, key types.NamespacedName) (string, error) {
				return "will be verified", c.Verify(cmd.Context(), key)
			})
		},
	}
}

func newRetry(p *person) *cobra.Command {
	return &cobra.Command{
		Use:     "retry NAME...",
		Short:   "Try downloads that have failed again now",
		Example: "  kubectl torrent retry imagenet",
		Args:    some, ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.each(cmd, args, func(c *client.Client, key types.NamespacedName) (string, error) {
				return "will be tried again", c.Retry(cmd.Context(), key)
			})
		},
	}
}

// rate is a flag of bytes a second, in the units of Kubernetes; 0 is no limit.
type rate struct{ q *resource.Quantity }

// Set implements [pflag.Value].
func (r *rate) Set(s string) error {
	q, err := resource.ParseQuantity(s)
	if err != nil || q.Sign() < 0 {
		return errors.New("it must be bytes a second, such as 10Mi or 500k; 0 is no limit")
	}
	r.q = &q
	return nil
}

// String implements [pflag.Value].
func (r *rate) String() string {
	if r.q == nil {
		return ""
	}
	return r.q.String()
}

// Type implements [pflag.Value].
func (*rate) Type() string { return "rate" }

func newLimit(p *person) *cobra.Command {
	var down, up rate
	var peers int32
	cmd := &cobra.Command{
		Use:   "limit NAME...",
		Short: "Bound what downloads may use",
		Long: `Bound the rates and connections of downloads, whether they run or not. A limit
that is not named stays as it is.`,
		Example: `  kubectl torrent limit imagenet --down 100Mi --up 20Mi
  kubectl torrent limit imagenet --down 0`,
		Args: some, ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			l := client.Limits{DownloadBytesPerSecond: down.q, UploadBytesPerSecond: up.q}
			if cmd.Flags().Changed("peers") {
				l.MaxPeers = &peers
			}
			return p.each(cmd, args, func(c *client.Client, key types.NamespacedName) (string, error) {
				return "limited", c.SetLimits(cmd.Context(), key, l)
			})
		},
	}
	cmd.Flags().Var(&down, "down", "bytes a second received, such as 100Mi; 0 is no limit")
	cmd.Flags().Var(&up, "up", "bytes a second sent, such as 20Mi; 0 is no limit")
	cmd.Flags().Int32Var(&peers, "peers", 0, "connections at once; 0 is the operator's default")
	cmd.MarkFlagsOneRequired("down", "up", "peers")
	return cmd
}

// seedFlags say how long a complete download serves others.
type seedFlags struct {
	none, forever bool
	ratio         float64
	duration      time.Duration
}

// register adds the flags, named after prefix.
func (f *seedFlags) register(cmd *cobra.Command, prefix string) []string {
	names := []string{prefix + "forever", prefix + "ratio", prefix + "for"}
	cmd.Flags().BoolVar(&f.forever, names[0], false, "serve others as long as the download exists")
	cmd.Flags().Float64Var(&f.ratio, names[1], 0, "serve others until so many times the size was sent, such as 1.5")
	cmd.Flags().DurationVar(&f.duration, names[2], 0, "serve others for so long after completion, such as 24h")
	return names
}

// seeding is what the flags ask for.
func (f *seedFlags) seeding() (v1alpha1.Seeding, error) {
	switch {
	case f.forever:
		return v1alpha1.Seeding{Policy: v1alpha1.SeedingForever}, nil
	case f.ratio != 0:
		percent := math.Round(f.ratio * 100)
		if !(percent >= 1 && percent <= 1_000_000) {
			return v1alpha1.Seeding{}, errors.New("a ratio is from 0.01 to 10000")
		}
		return v1alpha1.Seeding{Policy: v1alpha1.SeedingRatio, RatioPercent: int32(percent)}, nil
	case f.duration != 0:
		seconds := math.Ceil(f.duration.Seconds())
		if seconds < 1 || seconds > 315_360_000 {
			return v1alpha1.Seeding{}, errors.New("others are served for a second at least and ten years at most")
		}
		return v1alpha1.Seeding{Policy: v1alpha1.SeedingDuration, DurationSeconds: int32(seconds)}, nil
	}
	return v1alpha1.Seeding{Policy: v1alpha1.SeedingNone}, nil
}

func newSeed(p *person) *cobra.Command {
	var f seedFlags
	cmd := &cobra.Command{
		Use:   "seed NAME...",
		Short: "Say how long complete downloads serve others",
		Example: `  kubectl torrent seed imagenet --ratio 1.5
  kubectl torrent seed imagenet --for 24h
  kubectl torrent seed imagenet --none`,
		Args: some, ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.seeding()
			if err != nil {
				return cli.UsageError(cmd, err)
			}
			said := map[v1alpha1.SeedingPolicy]string{
				v1alpha1.SeedingNone: "stops seeding at completion", v1alpha1.SeedingForever: "seeds as long as it exists",
				v1alpha1.SeedingRatio:    fmt.Sprintf("seeds until %d%% of its size was sent", s.RatioPercent),
				v1alpha1.SeedingDuration: fmt.Sprintf("seeds for %s after completion", f.duration),
			}[s.Policy]
			return p.each(cmd, args, func(c *client.Client, key types.NamespacedName) (string, error) {
				return said, c.SetSeeding(cmd.Context(), key, s)
			})
		},
	}
	names := append(f.register(cmd, ""), "none")
	cmd.Flags().BoolVar(&f.none, "none", false, "stop at completion")
	cmd.MarkFlagsOneRequired(names...)
	cmd.MarkFlagsMutuallyExclusive(names...)
	return cmd
}

func newDelete(p *person) *cobra.Command {
	var data bool
	cmd := &cobra.Command{
		Use:   "delete NAME...",
		Short: "Delete downloads, with or without their data",
		Long: `Delete downloads. Without --data what becomes of their data is what
spec.deletionPolicy says: it stays in the claim unless that is Delete. With --data
the torrent's own files are removed and nothing else, or the claim if it was made
for the download; with --data=false they stay in any case.`,
		Example: `  kubectl torrent delete imagenet
  kubectl torrent delete imagenet --data`,
		Args: some, ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.each(cmd, args, func(c *client.Client, key types.NamespacedName) (string, error) {
				td, err := c.Download(cmd.Context(), key)
				if err != nil {
					return "", err
				}
				var policy *v1alpha1.DeletionPolicy
				if cmd.Flags().Changed("data") {
					policy = ptr.To(v1alpha1.DeletionRetain)
					if data {
						policy = ptr.To(v1alpha1.DeletionDelete)
					}
					td.Spec.DeletionPolicy = *policy
				}
				return "deleted; " + fate(td), c.Remove(cmd.Context(), key, policy)
			})
		},
	}
	cmd.Flags().BoolVar(&data, "data", false, "remove the data too, or with --data=false keep it whatever spec.deletionPolicy says")
	return cmd
}

// fate says what becomes of the data of a download that is deleted.
func fate(td *v1alpha1.TorrentDownload) string {
	made := td.Spec.Volume.ClaimTemplate != nil
	claim := td.Spec.Volume.ClaimName
	if made {
		claim = td.Name
	}
	switch remove := td.Spec.DeletionPolicy == v1alpha1.DeletionDelete; {
	case remove && made:
		return fmt.Sprintf("claim %s, which was made for it, goes with all that is in it", claim)
	case remove:
		return fmt.Sprintf("its files are being removed from claim %s", claim)
	default:
		return fmt.Sprintf("its data stays in claim %s", claim)
	}
}
