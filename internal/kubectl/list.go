package kubectl

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/client"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

func newList(p *person) *cobra.Command {
	var q client.Query
	var all, bare bool
	printing := printFlags()
	cmd := &cobra.Command{
		Use:     "list [NAME...]",
		Aliases: []string{"get", "ls"},
		Short:   "List downloads",
		Long: `List downloads, of the namespace or, with -A, of all. -o wide shows more of each,
-o yaml, json, name and the other formats of kubectl the objects.`,
		Example: `  kubectl torrent list -A
  kubectl torrent list imagenet -o yaml`,
		ValidArgsFunction: p.downloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, namespace, err := p.client()
			if err != nil {
				return err
			}
			if q.Namespace = namespace; all {
				q.Namespace = ""
			}
			list, err := named(cmd, c, q, args)
			if err != nil {
				return err
			}
			if o := *printing.OutputFormat; o != "" && o != "wide" {
				return printList(cmd.OutOrStdout(), printing.ToPrinter, list, len(args) == 1 || o == "name")
			}
			if len(list.Items) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), nothing(q.Namespace))
				return nil
			}
			return table(cmd.OutOrStdout(), list, tableOptions{all: all, wide: *printing.OutputFormat == "wide", bare: bare, now: p.now()})
		},
	}
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "list those of all namespaces")
	cmd.Flags().StringVarP(&q.Labels, "selector", "l", "", "list those whose labels match, such as team=ml")
	cmd.Flags().BoolVar(&bare, "no-headers", false, "leave the headings out")
	printing.AddFlags(cmd)
	cmd.Flags().Lookup("output").Usage = "wide, or an output format of kubectl: " + strings.Join(printing.AllowedFormats(), ", ")
	return cmd
}

// nothing says that there is nothing to show.
func nothing(namespace string) string {
	if namespace == "" {
		return "There is no download in any namespace."
	}
	return fmt.Sprintf("There is no download in namespace %s.", namespace)
}

// named lists those that were named, or all that a query means.
func named(cmd *cobra.Command, c *client.Client, q client.Query, names []string) (*v1alpha1.TorrentDownloadList, error) {
	if len(names) == 0 {
		return c.Downloads(cmd.Context(), q)
	}
	list := &v1alpha1.TorrentDownloadList{}
	for _, name := range names {
		td, err := c.Download(cmd.Context(), types.NamespacedName{Namespace: q.Namespace, Name: name})
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, *td)
	}
	return list, nil
}

// printList prints objects, as one list or each by itself.
func printList(out io.Writer, printer func() (printers.ResourcePrinter, error), list *v1alpha1.TorrentDownloadList, apart bool) error {
	to, err := printer()
	if err != nil {
		return err
	}
	if apart {
		for i := range list.Items {
			if err := to.PrintObj(&list.Items[i], out); err != nil {
				return err
			}
		}
		return nil
	}
	all := &metav1.List{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "List"}}
	for i := range list.Items {
		list.Items[i].SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
		all.Items = append(all.Items, runtime.RawExtension{Object: &list.Items[i]})
	}
	return to.PrintObj(all, out)
}

// tableOptions say how a table looks.
type tableOptions struct {
	all, wide, bare bool
	now             time.Time
}

// table writes downloads for a person, one on a line.
func table(out io.Writer, list *v1alpha1.TorrentDownloadList, o tableOptions) error {
	w := printers.GetNewTabWriter(out)
	row := func(namespace string, wide []string, cells ...string) {
		if o.all {
			cells = slices.Insert(cells, 0, namespace)
		}
		if o.wide {
			cells = append(cells, wide...)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if !o.bare {
		row("NAMESPACE", []string{"NODE", "PIECES", "UPLOADED", "INFOHASH", "MESSAGE"}, "NAME", "STATE", "DONE", "SIZE", "DOWN", "UP", "LEFT", "PEERS", "CLAIM", "AGE")
	}
	for i := range list.Items {
		td := &list.Items[i]
		v := client.Describe(td)
		state := v.State
		if v.Reason != "" {
			state += " (" + v.Reason + ")"
		}
		row(td.Namespace, []string{
			or(td.Status.Worker.NodeName), known(v.Pieces.Total > 0, fmt.Sprintf("%d/%d", v.Pieces.Verified, v.Pieces.Total)),
			termui.Bytes(v.Uploaded), or(td.Status.InfoHash.V1), or(termui.Clean(v.Message)),
		}, td.Name, state, known(v.Total > 0, fmt.Sprintf("%d%%", v.Percent)), known(v.Total > 0, termui.Bytes(v.Total)),
			known(v.Down > 0, termui.Rate(v.Down)), known(v.Up > 0, termui.Rate(v.Up)), known(v.ETA > 0, termui.Duration(v.ETA)),
			known(td.Status.Peers != nil, fmt.Sprint(v.Connected)), or(td.Status.Volume.ClaimName), age(td.CreationTimestamp.Time, o.now))
	}
	return w.Flush()
}

// or is a cell of a table that is not empty.
func or(s string) string { return known(s != "", s) }

// known is a cell of a table, or a dash where there is nothing to say.
func known(ok bool, s string) string {
	if !ok {
		return "-"
	}
	return s
}

// age is how long ago something was, as kubectl writes it.
func age(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return duration.HumanDuration(now.Sub(at))
}
