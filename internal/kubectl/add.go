package kubectl

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/cli"
	"github.com/torrent-operator/torrent-operator/internal/client"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// addFlags are the flags of add.
type addFlags struct {
	a         client.Addition
	size      string
	down, up  rate
	peers     int32
	seed      seedFlags
	deleteToo bool
	watch     bool
	dryRun    string
	printing  *genericclioptions.PrintFlags
}

func newAdd(p *person) *cobra.Command {
	f := &addFlags{printing: printFlags()}
	cmd := &cobra.Command{
		Use:   "add FILE|URL|MAGNET|INFOHASH",
		Short: "Add a download",
		Long: `Add a download of a .torrent file, the URL of one, a magnet link, or an info hash.
FILE may be - for standard input.

The data goes to an existing claim (--claim) or to one that is made for it. A
.torrent file is kept in a ConfigMap, or in a Secret if the torrent is private,
which goes with the download. A URL is fetched by the cluster. A magnet link and
a URL can be read by everybody who may read the download: where they hold a
secret, add the .torrent file instead.`,
		Example: `  kubectl torrent add dataset.torrent --claim datasets --path imagenet --watch
  kubectl torrent add 'magnet:?xt=urn:btih:…' --size 100Gi --storage-class fast
  kubectl torrent add https://example.org/a.torrent --claim datasets --files '*.tar'
  kubectl torrent add dataset.torrent --claim datasets --dry-run=client -o yaml`,
		Args: one("one FILE, URL, MAGNET link or INFOHASH"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, p, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.a.Name, "name", "", "name of the download (default made from the torrent's own)")
	flags.StringVar(&f.a.Claim, "claim", "", "existing PersistentVolumeClaim for the data (default one made for the download)")
	flags.StringVar(&f.a.Path, "path", "", "folder of the claim for the data (default its root)")
	flags.StringVar(&f.size, "size", "", "size of the claim that is made, such as 100Gi (default what the torrent needs)")
	flags.StringVar(&f.a.StorageClass, "storage-class", "", "StorageClass of the claim that is made (default the cluster's)")
	flags.StringArrayVar(&f.a.Include, "files", nil, "fetch only files that match a pattern such as '*.tar' or 'train/**'; may be given several times")
	flags.StringArrayVar(&f.a.Exclude, "exclude", nil, "don't fetch files that match a pattern; may be given several times")
	flags.StringArrayVar(&f.a.Trackers, "tracker", nil, "announce URL besides those of the torrent; may be given several times")
	flags.StringArrayVar(&f.a.Peers, "peer", nil, "host:port of a peer to connect to; may be given several times")
	flags.Var(&f.down, "down", "bytes a second received, such as 100Mi")
	flags.Var(&f.up, "up", "bytes a second sent, such as 20Mi")
	flags.Int32Var(&f.peers, "peers", 0, "connections at once; 0 is the operator's default")
	cmd.MarkFlagsMutuallyExclusive(f.seed.register(cmd, "seed-")...)
	flags.BoolVar(&f.a.Suspended, "paused", false, "don't begin before it is resumed")
	flags.BoolVar(&f.deleteToo, "delete-data", false, "when the download is deleted, its data goes too")
	flags.BoolVarP(&f.watch, "watch", "w", false, "watch it until it is complete")
	flags.StringVar(&f.dryRun, "dry-run", "none", "none, or client: only print what would be made, with -o yaml or -o json")
	f.printing.AddFlags(cmd)
	for _, of := range []string{"size", "storage-class"} {
		cmd.MarkFlagsMutuallyExclusive("claim", of)
	}
	_ = cmd.RegisterFlagCompletionFunc("claim", p.claims) // They fail for flags that are not there.
	_ = cmd.RegisterFlagCompletionFunc("storage-class", p.storageClasses)
	return cmd
}

func (f *addFlags) run(cmd *cobra.Command, p *person, arg string) error {
	if f.dryRun != "none" && f.dryRun != "client" {
		return cli.UsageError(cmd, fmt.Errorf("--dry-run is none or client, not %q", f.dryRun))
	}
	c, namespace, err := p.client()
	if err != nil {
		return err
	}
	f.a.Namespace = namespace
	if err := f.options(); err != nil {
		return cli.UsageError(cmd, err)
	}
	out := cmd.OutOrStdout()
	quiet := *f.printing.OutputFormat != "" || f.dryRun == "client"
	told := out
	if quiet {
		told = io.Discard
	}
	if err := f.source(cmd, told, arg); err != nil {
		return err
	}
	if f.dryRun == "client" {
		if *f.printing.OutputFormat == "" {
			*f.printing.OutputFormat = "yaml"
		}
		return f.show(out)
	}
	if f.a.Claim != "" {
		if err := c.CheckClaim(cmd.Context(), types.NamespacedName{Namespace: namespace, Name: f.a.Claim}); err != nil {
			return err
		}
	}
	td, err := c.Add(cmd.Context(), &f.a)
	if err != nil {
		return err
	}
	if *f.printing.OutputFormat != "" {
		return f.printed(out, td)
	}
	fmt.Fprintf(out, "torrentdownload/%s added; its data goes to %s\n", td.Name, place(td))
	if f.watch {
		return watch(cmd, p, c, watched{query: client.Query{Namespace: namespace}, names: []string{td.Name}})
	}
	return nil
}

// options takes in what the flags say.
func (f *addFlags) options() (err error) {
	if f.size != "" {
		q, err := resource.ParseQuantity(f.size)
		if err != nil {
			return fmt.Errorf("--size %s: it must be a size such as 100Gi", f.size)
		}
		f.a.Size = &q
	}
	if f.peers < 0 {
		return errors.New("--peers can't be negative")
	}
	f.a.Limits = v1alpha1.Limits{MaxPeers: f.peers}
	if q := f.down.q; q != nil && !q.IsZero() {
		f.a.Limits.DownloadBytesPerSecond = q
	}
	if q := f.up.q; q != nil && !q.IsZero() {
		f.a.Limits.UploadBytesPerSecond = q
	}
	if f.deleteToo {
		f.a.DeletionPolicy = v1alpha1.DeletionDelete
	}
	f.a.Seeding, err = f.seed.seeding()
	return err
}

// source takes in what is to be added, and says what is inside.
func (f *addFlags) source(cmd *cobra.Command, out io.Writer, arg string) error {
	lower := strings.ToLower(arg)
	switch {
	case cli.IsMagnet(arg):
		m, err := metainfo.ParseMagnet(arg)
		if err != nil {
			return err
		}
		f.a.Magnet = arg
		cli.SummarizeMagnet(out, m)
	case strings.HasPrefix(lower, "http://"), strings.HasPrefix(lower, "https://"):
		f.a.URL = arg
	default:
		if _, err := metainfo.ParseHash(arg); err == nil {
			f.a.InfoHash = arg
			return nil
		}
		b, m, err := cli.ReadTorrent(cmd, arg)
		if err != nil {
			return err
		}
		f.a.Metainfo = b
		cli.Summarize(out, m)
	}
	return nil
}

// show prints what would be made.
func (f *addFlags) show(out io.Writer) error {
	td, holder, err := f.a.Objects()
	if err != nil {
		return err
	}
	objects := []runtime.Object{td}
	if holder != nil {
		objects = []runtime.Object{holder, td}
	}
	return f.printed(out, objects...)
}

func (f *addFlags) printed(out io.Writer, objects ...runtime.Object) error {
	printer, err := f.printing.ToPrinter()
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := printer.PrintObj(o, out); err != nil {
			return err
		}
	}
	return nil
}

// printFlags are those of kubectl that print objects.
func printFlags() *genericclioptions.PrintFlags {
	return genericclioptions.NewPrintFlags("").WithTypeSetter(client.Scheme)
}

// place says where the data of a download is or goes.
func place(td *v1alpha1.TorrentDownload) string {
	v := td.Spec.Volume
	claim := "claim " + v.ClaimName
	if v.ClaimName == "" {
		claim = "claim " + td.Name + ", made for it"
	}
	if v.Path != "" {
		claim += ", folder " + v.Path
	}
	return claim
}
