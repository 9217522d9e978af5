package kubectl

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/client"
)

// completeWithin is how long a person waits for a shell to complete a word.
const completeWithin = 3 * time.Second

// completion completes a word for a shell. What can't be asked completes
// nothing.
type completion = func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective)

// ask completes from what the API server says.
func (p *person) ask(cmd *cobra.Command, names func(ctx context.Context, c *client.Client, namespace string) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	c, namespace, err := p.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, completeWithin)
	defer cancel()
	found, err := names(ctx, c, namespace)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// downloads completes names of downloads that do not stand there yet.
func (p *person) downloads(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.ask(cmd, func(ctx context.Context, c *client.Client, namespace string) ([]string, error) {
		list, err := c.Downloads(ctx, client.Query{Namespace: namespace})
		if err != nil {
			return nil, err
		}
		var names []string
		for i := range list.Items {
			if td := &list.Items[i]; !slices.Contains(args, td.Name) {
				names = append(names, td.Name+"\t"+client.Describe(td).State)
			}
		}
		return names, nil
	})
}

func (p *person) namespaces(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.list(cmd, &corev1.NamespaceList{}, func(string) []ctrl.ListOption { return nil })
}

func (p *person) claims(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.list(cmd, &corev1.PersistentVolumeClaimList{}, func(namespace string) []ctrl.ListOption {
		return []ctrl.ListOption{ctrl.InNamespace(namespace)}
	})
}

func (p *person) storageClasses(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.list(cmd, &storagev1.StorageClassList{}, func(string) []ctrl.ListOption { return nil })
}

func (p *person) list(cmd *cobra.Command, into ctrl.ObjectList, options func(namespace string) []ctrl.ListOption) ([]string, cobra.ShellCompDirective) {
	return p.ask(cmd, func(ctx context.Context, c *client.Client, namespace string) (names []string, err error) {
		if err := c.List(ctx, into, options(namespace)...); err != nil {
			return nil, err
		}
		switch l := into.(type) {
		case *corev1.NamespaceList:
			for i := range l.Items {
				names = append(names, l.Items[i].Name)
			}
		case *corev1.PersistentVolumeClaimList:
			for i := range l.Items {
				names = append(names, l.Items[i].Name)
			}
		case *storagev1.StorageClassList:
			for i := range l.Items {
				names = append(names, l.Items[i].Name)
			}
		}
		return names, nil
	})
}

// contexts completes those of the kubeconfig.
func (p *person) contexts(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
	if raw, err := p.config.ToRawKubeConfigLoader().RawConfig(); err == nil {
		for name := range raw.Contexts {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}
