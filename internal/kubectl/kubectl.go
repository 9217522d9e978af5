// Package kubectl is the commands of "kubectl torrent". They read flags, ask
// package client, and show what it says; whoever runs them acts with the rights
// of their kubeconfig and no others.
package kubectl

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/torrent-operator/torrent-operator/internal/cli"
	"github.com/torrent-operator/torrent-operator/internal/client"
)

// Exit codes besides those of package cli, and that of a signal.
const (
	exitStopped = 7
	exitTimeout = 8
	exitStuck   = 9
)

// person is who runs a command, and where: what the flags of kubectl say.
type person struct {
	config *genericclioptions.ConfigFlags
	now    func() time.Time
}

// Command returns the root of all commands.
func Command() *cobra.Command {
	p := &person{config: genericclioptions.NewConfigFlags(true), now: time.Now}
	p.config.CacheDir = nil // Nothing is looked up that could be kept.
	root := &cobra.Command{
		Use:         "kubectl-torrent",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl torrent"},
		Short:       "Add, watch and steer BitTorrent downloads on a cluster",
		Long: `Add, watch and steer the TorrentDownloads of a cluster on which torrent-operator
is installed. It acts as the user of your kubeconfig, with that user's rights.

Exit codes:
  0  done
  1  any other failure
  2  the command line is wrong
  3  the file is no valid torrent, or of a kind that is not supported
  4  a file or folder is missing, can't be read or written, or is in the way
  7  stopped by a signal before it was done
  8  the time of wait --timeout was over
  9  wait --or-stalled, and the download is stalled`,
		Example: `  kubectl torrent add dataset.torrent --claim datasets --watch
  kubectl torrent add 'magnet:?xt=urn:btih:…' --size 100Gi
  kubectl torrent watch`,
	}
	root.CompletionOptions.DisableDefaultCmd = true // kubectl completes; docs/kubectl.md says how.
	p.config.AddFlags(root.PersistentFlags())
	for name, complete := range map[string]completion{"namespace": p.namespaces, "context": p.contexts} {
		_ = root.RegisterFlagCompletionFunc(name, complete) // It fails for flags that are not there.
	}
	root.AddCommand(
		newAdd(p), newList(p), newWatch(p), newDescribe(p), newWait(p),
		newPause(p), newResume(p), newLimit(p), newSeed(p), newVerify(p), newRetry(p), newDelete(p), newLogs(p), newDashboard(p),
	)
	for _, c := range cli.FileCommands() {
		c.Example = strings.ReplaceAll(c.Example, "torrent-operator ", "kubectl torrent ")
		root.AddCommand(c)
	}
	return root
}

// client returns who acts, and the namespace in which they do.
func (p *person) client() (c *client.Client, namespace string, err error) {
	config, err := p.config.ToRESTConfig()
	if err != nil {
		return nil, "", fmt.Errorf("there is no cluster to talk to: %w", err)
	}
	config.QPS = -1 // The API server bounds whom it must by itself.
	if namespace, _, err = p.config.ToRawKubeConfigLoader().Namespace(); err != nil {
		return nil, "", err
	}
	c, err = client.New(config)
	return c, namespace, err
}

// each does something to downloads that were named, and prints what it says of
// each. It goes on after a failure, and returns them all.
func (p *person) each(cmd *cobra.Command, names []string, do func(*client.Client, types.NamespacedName) (string, error)) error {
	c, namespace, err := p.client()
	if err != nil {
		return err
	}
	var failures []string
	var first error
	for _, name := range names {
		said, err := do(c, types.NamespacedName{Namespace: namespace, Name: name})
		if err != nil {
			failures = append(failures, err.Error())
			if first == nil {
				first = err
			}
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "torrentdownload/%s %s\n", name, said)
	}
	if len(failures) > 1 {
		return fmt.Errorf("%d of %d failed: %s", len(failures), len(names), strings.Join(failures, "; "))
	}
	return first
}

// some wants one name or more.
func some(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cli.UsageError(cmd, fmt.Errorf("it takes the NAME of one download or more"))
	}
	return nil
}

// one wants as many arguments as what counts, called as it says.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return cli.UsageError(cmd, fmt.Errorf("it takes %s, but got %d", what, len(args)))
		}
		return nil
	}
}
