package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

var write = flag.Bool("write", false, "write docs/reference.md")

const (
	reference  = "docs/reference.md"
	definition = "config/crd/bases/torrent-operator.io_torrentdownloads.yaml"
)

// foreign are fields that are as Kubernetes has them everywhere.
var foreign = map[string]bool{
	"spec.worker.affinity": true, "spec.worker.tolerations": true, "spec.worker.topologySpreadConstraints": true, "status.conditions": true,
}

// describe writes a line for each field below one, in the order of their names.
func describe(out *strings.Builder, path string, of *apiextensionsv1.JSONSchemaProps) {
	for _, name := range slices.Sorted(maps.Keys(of.Properties)) {
		field, whole := of.Properties[name], path+"."+name
		kind, below := kindOf(&field)
		fmt.Fprintf(out, "- `%s`, %s. %s\n", whole, kind, strings.Join(strings.Fields(field.Description), " "))
		if !foreign[whole] {
			describe(out, whole, below)
		}
	}
}

// kindOf says what a field takes, and returns the schema with the fields that
// it has.
func kindOf(of *apiextensionsv1.JSONSchemaProps) (kind string, below *apiextensionsv1.JSONSchemaProps) {
	kind, below = of.Type, of
	switch {
	case of.XIntOrString:
		kind = "number or text"
	case of.Items != nil:
		kind, below = "list", of.Items.Schema
	case of.AdditionalProperties != nil:
		kind = "map"
	}
	if len(of.Enum) > 0 {
		var names []string
		for _, v := range of.Enum {
			names = append(names, strings.Trim(string(v.Raw), `"`))
		}
		kind = "one of " + strings.Join(names, ", ")
	}
	if of.Minimum != nil {
		kind += fmt.Sprintf(", at least %v", *of.Minimum)
	}
	if of.Maximum != nil {
		kind += fmt.Sprintf(", at most %v", json.Number(fmt.Sprintf("%.0f", *of.Maximum)))
	}
	if of.Default != nil && string(of.Default.Raw) != "{}" {
		kind += fmt.Sprintf(", by default `%s`", strings.Trim(string(of.Default.Raw), `"`))
	}
	return kind, below
}

// flags writes the flags of a command and of those below it.
func flags(out *strings.Builder, c *cobra.Command) {
	if c.HasAvailableLocalFlags() {
		fmt.Fprintf(out, "\n### %s\n\n%s.\n\n```\n%s```\n", c.CommandPath(), c.Short, c.LocalFlags().FlagUsages())
	}
	for _, each := range c.Commands() {
		if each.IsAvailableCommand() {
			flags(out, each)
		}
	}
}

func TestTheReferenceIsThatOfTypesAndFlags(t *testing.T) {
	for _, name := range []string{"POD_NAME", "POD_NAMESPACE", "NODE_NAME"} { // Defaults of flags.
		t.Setenv(name, "")
	}
	raw, err := os.ReadFile(definition)
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("# Reference\n\nEvery field and every flag, as the program itself describes them. The [README](../README.md#every-field) has the fields in short;\n" +
		"[kubectl torrent](kubectl.md) has a page of its own.\n")
	schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, part := range []string{"spec", "status"} {
		of := schema.Properties[part]
		fmt.Fprintf(&want, "\n## %s\n\n", part)
		describe(&want, part, &of)
	}
	want.WriteString("\n## Flags\n")
	flags(&want, command())
	if *write {
		if err := os.WriteFile(reference, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("%s is out of date; go test . -run Reference -write writes it (-want +is):\n%s", reference, diff)
	}
}
