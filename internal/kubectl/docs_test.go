package kubectl

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var write = flag.Bool("write", false, "write docs/kubectl.md")

const docs = "../../docs/kubectl.md"

const intro = `# kubectl torrent

A plugin of kubectl that adds, watches and steers TorrentDownloads. It acts as the user of your kubeconfig, with that user's rights and
no others, and needs nothing in the cluster but the operator. It runs on Linux, macOS and Windows.

` + "```" + `
go install github.com/torrent-operator/torrent-operator/cmd/kubectl-torrent@latest    # into a folder of your PATH
kubectl torrent watch
` + "```" + `

Peers, files and exact pieces come from the Pod of a download, through the API server: whoever may create pods/portforward in the
namespace, as the roles edit and admin of Kubernetes let, sees them. All others see what the status says.

Words are completed (names of downloads, namespaces, claims) if a script of this name is in your PATH:

` + "```sh" + `
printf '#!/bin/sh\nexec kubectl torrent __complete "$@"\n' > kubectl_complete-torrent && chmod +x kubectl_complete-torrent
` + "```" + `
`

// page is the documentation of all commands.
func page() string {
	var b strings.Builder
	b.WriteString(intro)
	root := Command()
	_, codes, _ := strings.Cut(root.Long, "Exit codes:\n")
	fmt.Fprintf(&b, "\n## Exit codes\n\n```\n%s\n```\n", codes)
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			describeCommand(&b, c)
		}
	}
	fmt.Fprintf(&b, "\n## Flags of all commands\n\n```\n%s```\n", root.PersistentFlags().FlagUsages())
	return b.String()
}

func describeCommand(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n", c.CommandPath())
	about := c.Long
	if about == "" {
		about = c.Short + "."
	}
	text, codes, _ := strings.Cut(strings.TrimSpace(about), "Exit codes:\n")
	fmt.Fprintf(b, "%s\n\n```\n%s\n```\n", strings.TrimSpace(text), c.UseLine())
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "\nIt can be called %s, too.\n", strings.Join(c.Aliases, " or "))
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", unindent(c.Example))
	}
	if flags := c.LocalNonPersistentFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(b, "\n```\n%s```\n", flags.FlagUsages())
	}
	if codes != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", codes)
	}
}

func unindent(s string) string {
	return strings.ReplaceAll(strings.TrimPrefix(s, "  "), "\n  ", "\n")
}

func TestTheDocumentationIsThatOfTheCommands(t *testing.T) {
	want := page()
	if *write {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("docs/kubectl.md is out of date (go test ./internal/kubectl -write):\n%s", d)
	}
}

func TestEveryCommandHelpsAPerson(t *testing.T) {
	for _, c := range Command().Commands() {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || c.Example == "" && c.Name() != "inspect" {
			t.Errorf("%s: a line that says what it does is missing, or an example", c.CommandPath())
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len([]rune(line)) > 100 {
				t.Errorf("%s: a line of its help is too long for a terminal: %s", c.CommandPath(), line)
			}
		}
	}
}
